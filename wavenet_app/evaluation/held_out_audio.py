"""Which audio a trained model is measured on: none that it was trained on, and none left out without a word."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from wavenet_app.checkpoints.trained import Trained
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.corpus.baseline import FittedPredictors, coded_pieces, fit_predictors
from wavenet_app.corpus.cache import Progress
from wavenet_app.corpus.corpus import Clip, Corpus, SkippedFile, open_clips, open_corpus

TRAINED_ON = "this model was trained on it"


@dataclass(frozen=True)
class HeldOutAudio:
    """Audio to measure a model on.

    Attributes:
        corpus: its validation clips are the ones to measure; what was left out stands in its `skipped`.
        fitted: the classical predictors.
        fitted_on: a clause on which audio they were fitted to.
    """

    corpus: Corpus
    fitted: FittedPredictors
    fitted_on: str


def held_out_audio(
    trained: Trained,
    paths: Sequence[str],
    folder: DataFolder,
    progress: Progress | None = None,
    *,
    voice_is_named: bool = False,
) -> HeldOutAudio:
    """Opens the audio to measure a model on, at the rate, gain and trimming of its run.

    Who speaks in a file, the rule of the run says; a file of somebody whom the model does not know is left out.

    Args:
        trained: the model.
        paths: folders and files, or names in the data folder; empty for the clips that the run itself held out.
        folder: the data folder.
        progress: called after each decoded file with (done, total, file name).
        voice_is_named: whether the user says whose voice all of it is, so that no rule is asked.

    Raises:
        UserError: a path does not exist, no audio is left, or there is no path and the run's own audio is not here.
    """
    config = trained.config
    own, why_not = _own_corpus(trained, folder, progress)
    if paths:
        rule = None if voice_is_named else config.corpus.speakers
        opened = _opened(trained, paths, rule, folder, progress)
    elif own is not None:
        opened = own
    else:
        raise UserError(f"the clips that this run held out are not here ({why_not}); name some audio to measure it on")
    corpus = _without_training_clips(opened, trained, own if paths else None)
    coding = config.model.coding
    source, fitted_on = (own, "the run's training clips") if own else (corpus, "the measured clips themselves")
    clips = source.training if own else source.validation
    fitted = fit_predictors(coded_pieces(source, clips, coding), sample_rate=source.sample_rate, coding=coding)
    if own is None:
        fitted_on += f", which favours them (the run's training clips are not here: {why_not})"
    return HeldOutAudio(corpus, fitted, fitted_on)


def _opened(
    trained: Trained, paths: Sequence[str], rule: str | None, folder: DataFolder, progress: Progress | None
) -> Corpus:
    """Returns named audio, without the files of speakers that the model does not know, which `skipped` then names."""
    config = trained.config
    hint = "" if rule is None else "; --speaker NAME says who speaks in all of it"
    sources = [folder.data_set(path) for path in paths]
    try:
        opened = open_clips(
            sources,
            audio=config.audio,
            cache_dir=folder.cache,
            speakers=rule,
            progress=progress,
        )
    except UserError as error:
        raise UserError(f"{error}{hint}") from None
    if rule is None:
        return opened
    known = config.model.speakers
    strangers = tuple(
        SkippedFile(clip.name, f"the model knows no speaker called '{clip.speaker}'")
        for clip in opened.validation
        if clip.speaker not in known
    )
    kept = tuple(clip for clip in opened.validation if clip.speaker in known)
    if not kept:
        raise UserError(
            f"none of the {len(strangers)} files is of a speaker that the model knows ({', '.join(known)}); the first: "
            f"{strangers[0].name}: {strangers[0].reason}{hint}"
        )
    return replace(opened, validation=kept, skipped=(*opened.skipped, *strangers))


def _own_corpus(trained: Trained, folder: DataFolder, progress: Progress | None) -> tuple[Corpus | None, str]:
    """Returns the corpus that the run was trained on, if it is here, else why not."""
    config = trained.config
    try:
        corpus = open_corpus(
            [folder.data_set(path) for path in config.corpus.paths],
            audio=config.audio,
            split=config.corpus,
            cache_dir=folder.cache,
            sample_rate=config.audio.sample_rate,
            gain=config.audio.gain,
            progress=progress,
        )
    except UserError as error:
        return None, str(error)
    known = _training_names(trained)
    if known and not known & {clip.name for clip in corpus.training}:
        return None, f"{', '.join(config.corpus.paths)} holds other files now"
    return corpus, ""


def _training_names(trained: Trained) -> set[str]:
    """Returns the names of the training clips, as far as the checkpoint says; an exported one says nothing."""
    return set(trained.content.get("split", {}).get("training", ()))


def _without_training_clips(opened: Corpus, trained: Trained, own: Corpus | None) -> Corpus:
    """Returns the corpus without the validation clips that the model was trained on, which `skipped` then names."""
    if own is not None:
        seen_files = {os.path.realpath(clip.path) for clip in own.training}

        def seen(clip: Clip) -> bool:
            return os.path.realpath(clip.path) in seen_files
    else:
        names = _training_names(trained)

        def seen(clip: Clip) -> bool:
            return clip.name in names

    kept = tuple(clip for clip in opened.validation if not seen(clip))
    dropped = tuple(SkippedFile(clip.name, TRAINED_ON) for clip in opened.validation if seen(clip))
    if not kept:
        raise UserError(
            f"all {len(dropped)} clips of it were trained on, so they say nothing about the model; "
            "name other audio, or none for the clips that the run held out"
        )
    return replace(opened, validation=kept, skipped=(*opened.skipped, *dropped))
