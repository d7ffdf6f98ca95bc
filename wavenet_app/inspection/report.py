"""The report of the data doctor: plain values that can be shown and written as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from typing import Any

from wavenet_app.corpus.baseline import Baseline
from wavenet_app.inspection.facts import FileFacts


@dataclass(frozen=True)
class Spread:
    """Minimum, median and maximum over files."""

    minimum: float
    median: float
    maximum: float


@dataclass(frozen=True)
class Problem:
    """A file or folder that has a problem, and the reason."""

    name: str
    reason: str


@dataclass(frozen=True)
class Duplicate:
    """Files with the same audio; with `same_bytes` they are identical to the byte."""

    names: tuple[str, ...]
    same_bytes: bool


@dataclass(frozen=True)
class CorpusFacts:
    """The corpus that training would open.

    Attributes:
        sample_rate: in Hz, after resampling.
        gain: factor chosen from the training split.
        training_clips: number of training clips.
        validation_clips: number of held-out clips.
        training_seconds: length of the training clips after trimming.
        validation_seconds: length of the held-out clips after trimming.
        skipped: files that training would skip.
        remarks: remarks that training would show.
        bits: bits per sample of the classical predictors on the held-out clips.
    """

    sample_rate: int
    gain: float
    training_clips: int
    validation_clips: int
    training_seconds: float
    validation_seconds: float
    skipped: tuple[Problem, ...]
    remarks: tuple[str, ...]
    bits: Baseline


@dataclass(frozen=True)
class Report:
    """Everything that `examine` finds; files are named by their paths.

    Attributes:
        paths: the examined folders and files.
        hours: length of all readable audio.
        sample_rates: Hz -> number of files.
        channels: number of channels -> number of files.
        formats: container and sample format -> number of files.
        peak: spread of the peaks in dBFS. All spreads skip files of digital silence; None if there are no others.
        rms: spread of the RMS levels in dBFS.
        bandwidth: spread of the bandwidths in Hz.
        silent_share: share of silent 10 ms frames in all audio, relative to the peak of each file.
        leading_silence: seconds, summed over files.
        trailing_silence: seconds, summed over files.
        clipped: files with flat runs at full scale or at their maximum.
        narrow: files whose content stops well below half their sample rate.
        offset: files with a relevant constant (DC) offset.
        short: files of less than 0.1 s.
        silent: files of digital silence.
        damaged: files that can be read only in part.
        remarks: what else there is to know of a file.
        duplicates: groups of files with the same audio.
        unreadable: files and folders that cannot be read.
        ignored: suffix -> number of files that are not audio.
        corpus: the corpus that training would open; None if not requested or not possible.
        corpus_problem: why training would fail, or empty.
        seconds_per_epoch: preset -> seconds of one training epoch, if measured.
        advice: plain lines, the most useful first.
        files: every readable file.
    """

    paths: tuple[str, ...]
    hours: float
    sample_rates: dict[str, int]
    channels: dict[str, int]
    formats: dict[str, int]
    peak: Spread | None
    rms: Spread | None
    bandwidth: Spread | None
    silent_share: float
    leading_silence: float
    trailing_silence: float
    clipped: tuple[str, ...]
    narrow: tuple[str, ...]
    offset: tuple[str, ...]
    short: tuple[str, ...]
    silent: tuple[str, ...]
    damaged: tuple[Problem, ...]
    remarks: tuple[Problem, ...]
    duplicates: tuple[Duplicate, ...]
    unreadable: tuple[Problem, ...]
    ignored: dict[str, int]
    corpus: CorpusFacts | None = None
    corpus_problem: str = ""
    seconds_per_epoch: dict[str, float] = field(default_factory=dict)
    advice: tuple[str, ...] = ()
    files: tuple[FileFacts, ...] = ()

    def to_json(self) -> str:
        """Returns the report as a JSON object; values that are not finite (the level of silence) become null."""
        return json.dumps(_plain(asdict(self)), indent=2, ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value
