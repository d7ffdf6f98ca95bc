"""All measurements of `wavegen eval`."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from fast_gen.engines.choice import choose_engine
from fast_gen.engines.sampling import usual_settings
from fast_gen.engines.weights import GeneratorWeights
from fast_gen.evaluation.generated import GeneratedSound, generated_sound
from fast_gen.evaluation.report import EvalReport
from fast_gen.evaluation.subject import EvalRequest, EvalSubject
from fast_gen.evaluation.vocoded import VocodedClip, chosen_clips, vocoded_clip, vocoded_facts
from fast_gen.vocoding.refine import USUAL_TURNS
from wavenet_app.audio.mel import MelFrames
from wavenet_app.checkpoints.trained import find_checkpoint, load_trained
from wavenet_app.config import ModelConfig
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.device import training_device
from wavenet_app.core.errors import UserError
from wavenet_app.core.terminal import number_of, progress_bar
from wavenet_app.corpus.conditions import ClipConditioning
from wavenet_app.corpus.speakers import speaker_shares
from wavenet_app.evaluation.held_out_audio import held_out_audio
from wavenet_app.evaluation.held_out_bits import held_out_bits


@dataclass(frozen=True, eq=False)
class EvalSound:
    """The waveforms behind a report, to play and to draw.

    Attributes:
        generated: of a model without mel frames, else None.
        vocoded: of a vocoder, else empty.
        history: a row for each validation during training, from the checkpoint.
        history_lpc: bits per sample of LPC-24 on the same clips.
    """

    generated: GeneratedSound | None
    vocoded: tuple[VocodedClip, ...]
    history: list[dict[str, float]]
    history_lpc: float


def evaluate(request: EvalRequest, folder: DataFolder, console: Console, began: float) -> tuple[EvalReport, EvalSound]:
    """Returns the report and the waveforms behind it.

    Args:
        request: what to measure.
        folder: the data folder.
        console: for progress only.
        began: when the command began, on the clock of `time.monotonic`.

    Raises:
        UserError: the checkpoint or the audio is missing, or a setting is invalid.
    """
    path = find_checkpoint(folder.root, request.checkpoint)
    trained = load_trained(path)
    config = trained.config
    settings = usual_settings(config.model, request.temperature, request.quiet_temperature)
    if request.turns is not None and config.model.mel is None:
        raise UserError(f"--refine is for vocoders, and {config.name} does not take mel frames")
    turns = USUAL_TURNS if request.turns is None else request.turns
    named_voice = _named_voice(request, config.model)
    weights = GeneratorWeights.of(trained.model)
    choose_engine(request.engine, weights)  # fails here, not after a minute of measuring
    with progress_bar(console, "decoding") as on_decode:
        audio = held_out_audio(trained, request.paths, folder, on_decode, voice_is_named=named_voice is not None)
    console.print(_plan(request, vocoder=config.model.mel is not None), highlight=False, soft_wrap=True)
    corpus, rate = audio.corpus, audio.corpus.sample_rate
    mel = None if config.model.mel is None else MelFrames(config.model.mel, rate)
    conditioning = ClipConditioning(config.model.speakers, mel, named_voice)
    coding = config.model.coding
    subject = EvalSubject(trained.model.to(training_device()), weights, corpus, conditioning, settings)
    seconds = request.seconds or None
    with progress_bar(console, "bits per sample") as on_file:
        bits = held_out_bits(
            subject.model, audio.fitted, corpus, seconds=seconds, conditioning=conditioning, progress=on_file
        )
    if not bits.files:
        raise UserError(f"none of the {len(corpus.validation)} clips is longer than 30 ms, so nothing can be measured")
    generated = vocoded = spoken = None
    clips: tuple[VocodedClip, ...] = ()
    if mel is None:
        generated, spoken = generated_sound(request, subject, console)
    else:
        clips = _vocode(request, subject, turns, console)
        with progress_bar(console, "comparing with the originals") as on_clip:
            vocoded = vocoded_facts(
                clips,
                temperature=settings.temperature,
                turns=turns,
                sample_rate=rate,
                progress=on_clip,
            )
    report = EvalReport(
        checkpoint=str(path),
        name=config.name,
        sample_rate=rate,
        gain=corpus.gain,
        coding=coding.name,
        bits=bits,
        trained_validation=trained.content.get("validation"),
        before_training=trained.content.get("before_training"),
        best_validation=min(
            filter(math.isfinite, (row["validation"] for row in trained.content["history"])), default=None
        ),
        is_elsewhere=bool(request.paths),
        fitted_on=audio.fitted_on,
        generated=generated,
        vocoded=vocoded,
        skipped=(*corpus.skipped, *bits.skipped),
        remarks=corpus.remarks,
        seconds=time.monotonic() - began,
    )
    baseline = trained.content.get("baseline") or {"lpc": math.nan}
    return report, EvalSound(spoken, clips, trained.content["history"], baseline["lpc"])


def _plan(request: EvalRequest, *, vocoder: bool) -> str:
    """Returns what is about to be done, in a line: it takes minutes."""
    audio = f"up to {request.seconds:g} s of held-out audio" if request.seconds else "all held-out audio"
    what, source = ("vocoding", " of it") if vocoder else ("generating", "")
    clips = f"{number_of(request.clips, 'clip')} of {request.clip_seconds:g} s{source}"
    return f"measuring bits per sample on {audio}, then {what} {clips} and comparing them with real ones"


def _named_voice(request: EvalRequest, model: ModelConfig) -> NDArray[np.float32] | None:
    """Returns the share of each speaker in all of the given audio, (speakers,); None without --speaker."""
    if request.speaker is None:
        return None
    if not request.paths:
        raise UserError("--speaker names the speaker of the audio given as PATH; add a path or leave --speaker out")
    return speaker_shares(request.speaker, model.speakers)


def _vocode(request: EvalRequest, subject: EvalSubject, turns: int, console: Console) -> tuple[VocodedClip, ...]:
    """Returns held-out clips vocoded from their own mel frames, under a progress bar."""
    engine = subject.engine(request.engine, console)
    num_samples = max(1, round(request.clip_seconds * subject.corpus.sample_rate))
    chosen = chosen_clips(subject.corpus.validation, request.clips)
    made = []
    with progress_bar(console, "vocoding") as show:
        for done, clip in enumerate(chosen, start=1):
            made.append(
                vocoded_clip(
                    engine,
                    subject.model,
                    subject.corpus,
                    clip,
                    subject.conditioning,
                    num_samples=num_samples,
                    seed=request.seed,
                    settings=subject.settings,
                    turns=turns,
                )
            )
            show(done, len(chosen))
    return tuple(made)
