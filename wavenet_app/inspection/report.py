"""What the data doctor reports: plain values that can be shown, asked about and written as JSON."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from typing import Any

from wavenet_app.corpus.baseline import Baseline
from wavenet_app.inspection.facts import FileFacts


@dataclass(frozen=True)
class Spread:
    """Lowest, middle and highest value over files."""

    minimum: float
    median: float
    maximum: float


@dataclass(frozen=True)
class Problem:
    """A file or folder, and what is wrong with it."""

    name: str
    reason: str


@dataclass(frozen=True)
class Duplicate:
    """Files that hold the same sound; with `same_bytes` they are copies to the last byte."""

    names: tuple[str, ...]
    same_bytes: bool


@dataclass(frozen=True)
class CorpusFacts:
    """What training would make of the files.

    Attributes:
        sample_rate: in Hz, after resampling.
        gain: factor fixed from the training split.
        training_clips: count.
        validation_clips: count.
        training_seconds: after trimming.
        validation_seconds: after trimming.
        skipped: files that training leaves out.
        remarks: what training would say about the others.
        bits: of the classical predictors, bits per sample of the validation clips.
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
    """Everything that `examine` found; names are paths as they were found.

    Attributes:
        paths: what was examined.
        hours: of readable audio.
        sample_rates: Hz -> files.
        channels: channel count -> files.
        formats: container and sample format -> files.
        peak: of files, dBFS. Like the other spreads, over files that are not digital silence; None without any.
        rms: of files, dBFS.
        bandwidth: of files, Hz.
        silent_share: of all the audio's 10 ms frames, each against its own file's peak.
        leading_silence: seconds, summed over files.
        trailing_silence: seconds, summed over files.
        clipped: files with flat runs at full scale or at their own maximum.
        narrow: files whose content stops well below half their sample rate.
        offset: files with a constant (DC) offset that matters.
        short: files of less than 0.1 s.
        silent: files of digital silence.
        damaged: files of which only a part could be read.
        remarks: what else there is to know of a file.
        duplicates: groups of files with the same sound.
        unreadable: files and folders that gave nothing.
        ignored: suffix -> files that are not audio.
        corpus: what training would make of it; None if that was not asked for or is not possible.
        corpus_problem: why training would refuse, empty otherwise.
        seconds_per_epoch: preset -> seconds to train once on all of it, if the caller measured that.
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
        """Returns the report as a JSON object; what is not a number (the level of silence) becomes null."""
        return json.dumps(_plain(asdict(self)), indent=2, ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value
