"""Selects the audio to evaluate a model on: nothing that it was trained on; skipped files are listed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from wavenet_app.checkpoints.trained import Trained
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.core.terminal import number_of
from wavenet_app.corpus.baseline import FittedPredictors, coded_pieces, fit_predictors
from wavenet_app.corpus.cache import Progress
from wavenet_app.corpus.coded import for_model
from wavenet_app.corpus.corpus import Clip, Corpus, SkippedFile, open_clips, open_corpus

TRAINED_ON = "this model was trained on it"


@dataclass(frozen=True)
class HeldOutAudio:
    """Audio to evaluate a model on.

    Attributes:
        corpus: corpus whose validation clips are evaluated; `skipped` lists skipped files.
        fitted: the classical predictors.
        fitted_on: clause that describes the audio they were fitted on.
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
    """Opens the audio to evaluate a model on, at the rate, gain and trimming of its run.

    The rule of the run gives the speaker of each file; files of speakers that the model does not know are skipped.

    Args:
        trained: the model.
        paths: folders and files, or names in the data folder; empty for the held-out clips of the run.
        folder: the data folder.
        progress: called after each decoded file with (done, total, file name).
        voice_is_named: whether the user names the voice of all files, so that the rule is not used.

    Raises:
        UserError: a path does not exist, no audio is left, or no path is given and the audio of the run is missing.
    """
    config = trained.config
    own, why_not = own_corpus(trained, folder, progress)
    if paths:
        rule = None if voice_is_named else config.corpus.speakers
        opened = _opened(trained, paths, rule, folder, progress)
    elif own is not None:
        opened = own
    else:
        raise UserError(f"the held-out clips of this run are missing ({why_not}); name other audio to evaluate on")
    corpus = _without_training_clips(opened, trained, own if paths else None)
    coding = config.model.coding
    source, fitted_on = (own, "the run's training clips") if own else (corpus, "the evaluated clips")
    clips = source.training if own else source.validation
    fitted = fit_predictors(coded_pieces(source, clips, coding), sample_rate=source.sample_rate, coding=coding)
    if own is None:
        fitted_on += f", which favours the predictors (the run's training clips are missing: {why_not})"
    return HeldOutAudio(corpus, fitted, fitted_on)


def _opened(
    trained: Trained, paths: Sequence[str], rule: str | None, folder: DataFolder, progress: Progress | None
) -> Corpus:
    """Returns the named audio; files of speakers that the model does not know are in `skipped`."""
    config = trained.config
    hint = "" if rule is None else "; give --speaker NAME if all files have the same speaker"
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
    opened = for_model(opened, config.model.mel)
    if rule is None:
        return opened
    known = config.model.speakers
    unknown = tuple(
        SkippedFile(clip.name, f"the model knows no speaker called '{clip.speaker}'")
        for clip in opened.validation
        if clip.speaker not in known
    )
    kept = tuple(clip for clip in opened.validation if clip.speaker in known)
    if not kept:
        raise UserError(
            f"no speaker of the {number_of(len(unknown), 'file')} is known to the model ({', '.join(known)}); "
            f"the first: {unknown[0].name}: {unknown[0].reason}{hint}"
        )
    return replace(opened, validation=kept, skipped=(*opened.skipped, *unknown))


def own_corpus(trained: Trained, folder: DataFolder, progress: Progress | None) -> tuple[Corpus | None, str]:
    """Returns the corpus that a model was trained on, or None and why it is not available.

    Args:
        trained: the model.
        folder: the data folder.
        progress: called after each decoded file with (done, total, file name).
    """
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
        return None, f"{', '.join(config.corpus.paths)} contains other files now"
    return for_model(corpus, config.model.mel), ""


def _training_names(trained: Trained) -> set[str]:
    """Returns the names of the training clips; empty for an exported checkpoint."""
    return set(trained.content.get("split", {}).get("training", ()))


def _without_training_clips(opened: Corpus, trained: Trained, own: Corpus | None) -> Corpus:
    """Returns the corpus without the clips that the model was trained on; those are in `skipped`."""
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
            f"the model was trained on all {number_of(len(dropped), 'clip')} of this audio, which makes the result "
            "meaningless; name other audio, or none for the held-out clips of the run"
        )
    return replace(opened, validation=kept, skipped=(*opened.skipped, *dropped))
