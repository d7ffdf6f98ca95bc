"""The results of `wavegen eval` as plain values: the verdict in words, every figure, and JSON."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any

from fast_gen.evaluation.vocoded import VocodedFacts, vocoded_sentence
from fast_gen.generation.ranking import ScoredClip
from wavenet_app.core.terminal import number_of
from wavenet_app.corpus.corpus import SkippedFile
from wavenet_app.corpus.verdict import few_clips, gained, verdict, verdict_elsewhere
from wavenet_app.evaluation.held_out_bits import HeldOutBits
from wavenet_app.evaluation.runaway import Failure
from wavenet_app.evaluation.sound_distributions import SoundDistances

SOUNDS = {
    "log_mel": "log-mel bands (dB)",
    "pitch": "pitch (semitones)",
    "energy": "energy (dB)",
    "pauses": "length of pauses (s)",
}
"""Field of `SoundDistances` -> label."""


@dataclass(frozen=True)
class Likeness:
    """Distances of a set of clips to real ones.

    Attributes:
        sounds: distances of spectrum, pitch, energy and pauses.
        frechet: Frechet distance on our own embedding, in dB^2.
        clips: how many clips the set holds.
    """

    sounds: SoundDistances
    frechet: float
    clips: int


@dataclass(frozen=True)
class GeneratedFacts:
    """Properties of generated clips.

    Attributes:
        seconds: length of each clip.
        temperature: that they were sampled at.
        quiet_temperature: that of their quiet parts; None for the same.
        speakers: the speaker of each clip; empty for a model without speakers.
        bits: of each clip under the model itself, at temperature 1.
        failures: of each clip.
        real_seconds: length of each real piece.
        real_failures: of each real piece, by the same definitions.
        whistles: how many generated clips and how many real pieces have a whistle; see `evaluation.whistles`.
        voiced: share of the frames with a pitch, in generated and in real clips.
        paused: share of the time that is pause, in generated and in real clips.
        likeness: of the generated clips to half of the real pieces.
        yardstick: of the other half to that half, which a perfect model would reach; None for a single piece.
    """

    seconds: float
    temperature: float
    quiet_temperature: float | None
    speakers: tuple[str, ...]
    bits: tuple[float, ...]
    failures: tuple[Failure | None, ...]
    real_seconds: float
    real_failures: tuple[Failure | None, ...]
    whistles: tuple[int, int]
    voiced: tuple[float, float]
    paused: tuple[float, float]
    likeness: Likeness
    yardstick: Likeness | None


@dataclass(frozen=True)
class EvalReport:
    """All results.

    Attributes:
        checkpoint: the file.
        name: of the run.
        sample_rate: in Hz.
        gain: of the run, at which everything was measured.
        coding: of the samples, such as "256 mu-law codes".
        bits: bits per sample on held-out audio.
        trained_validation: the last validation of training, in bits per sample over all held-out clips, or None.
        before_training: bits per sample of the model that the run started from, on the audio of `best_validation`; None
            from scratch.
        best_validation: the best validation during training, in bits per sample; None without any.
        is_elsewhere: whether other audio than the held-out audio of the run was measured.
        fitted_on: the audio that the classical predictors were fitted on, in words.
        generated: of the generated clips; None for a vocoder.
        vocoded: of held-out clips vocoded from their own mel frames; None for any other model.
        skipped: files that were not measured, each with its reason.
        remarks: notes about the audio for the user.
        seconds: from the start of the command, with loading, to the last measurement.
    """

    checkpoint: str
    name: str
    sample_rate: int
    gain: float
    coding: str
    bits: HeldOutBits
    trained_validation: float | None
    before_training: float | None
    best_validation: float | None
    is_elsewhere: bool
    fitted_on: str
    generated: GeneratedFacts | None
    vocoded: VocodedFacts | None
    skipped: tuple[SkippedFile, ...]
    remarks: tuple[str, ...]
    seconds: float

    @property
    def verdict(self) -> list[str]:
        """The result in plain words, the most important first."""
        judge = verdict_elsewhere if self.is_elsewhere else verdict
        lines = [judge(self.bits.overall.model, self.bits.baseline)]
        if self.vocoded is not None:
            lines[0] += "; judge a vocoder by its sound"
        if not self.is_elsewhere and (added := gained(self.before_training, self.best_validation)) is not None:
            lines.append(added)
        if (few := few_clips(self.bits.available_files, self.bits.available_seconds)) is not None:
            lines.append(few)
        if self.generated is not None:
            length = f" of {self.generated.seconds:g} s"
            lines.append(failure_sentence(self.generated.failures, "generated clip", length))
        if self.vocoded is not None:
            lines.append(vocoded_sentence(self.vocoded))
            lines.append(
                failure_sentence(tuple(file.failure for file in self.vocoded.files), "vocoded clip", " as sampled")
            )
        return lines

    def to_json(self) -> str:
        """Returns all of it as strict JSON; what is not a number is null."""
        return json.dumps(_plain({"verdict": self.verdict, **asdict(self)}), allow_nan=False, ensure_ascii=False)


def failure_sentence(failures: tuple[Failure | None, ...], noun: str, after: str = "") -> str:
    """Returns in words how many clips failed.

    Args:
        failures: of each clip.
        noun: what the clips are, such as "generated clip".
        after: what follows the noun, such as " of 2 s".

    >>> failure_sentence((None, "noise", None), "generated clip", " of 2 s")
    'of 3 generated clips of 2 s, 1 ran away to noise, 0 ran away to a hum and 0 collapsed to silence'
    """
    return (
        f"of {number_of(len(failures), noun)}{after}, {failures.count('noise')} ran away to noise, "
        f"{failures.count('hum')} ran away to a hum and {failures.count('silence')} collapsed to silence"
    )


def failures_of(clips: tuple[ScoredClip, ...]) -> tuple[Failure | None, ...]:
    """Returns the failure of each clip."""
    return tuple(clip.failure for clip in clips)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
