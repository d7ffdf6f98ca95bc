"""Generates batches of clips and writes their files; one in each process."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from fast_gen.bulk.manifest import ManifestLine
from fast_gen.bulk.shard import MOST_AT_ONCE
from fast_gen.engines.condition import voice
from fast_gen.engines.contract import PRECISIONS
from fast_gen.generation.level import output_level
from fast_gen.generation.session import ReadyToSample, SampleRequest, get_ready
from fast_gen.generation.stream import generate
from wavenet_app.audio.writing import write_audio
from wavenet_app.checkpoints.trained import load_trained
from wavenet_app.config import RunConfig
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.corpus.speakers import speaker_shares
from wavenet_app.evaluation.runaway import failure


@dataclass(frozen=True)
class BulkJob:
    """What all clips have in common.

    Attributes:
        request: with the checkpoint as a file.
        data_dir: the data folder.
        stem: of the names of the files.
        digits: of the numbers in these names.
        checkpoint_hash: SHA-256 of the checkpoint's file.
        scores: whether the bits of each clip are measured.
    """

    request: SampleRequest
    data_dir: Path
    stem: str
    digits: int
    checkpoint_hash: str
    scores: bool

    def file(self, number: int) -> str:
        """Returns the name of a clip's file."""
        return f"{self.stem}-{number:0{self.digits}}{self.request.destination.audio_format.suffix}"


@dataclass(frozen=True)
class DoneBatch:
    """Clips whose files are complete.

    Attributes:
        numbers: of the clips.
        lines: of the manifest.
        speed: samples of all clips a second, without writing.
    """

    numbers: range
    lines: tuple[ManifestLine, ...]
    speed: float


class Worker:
    """Makes clips with an engine that is ready.

    Args:
        job: what all clips have in common.
        ready: engine and settings.
    """

    def __init__(self, job: BulkJob, ready: ReadyToSample) -> None:
        self.job, self.ready = job, ready
        self._scorer = load_trained(ready.checkpoint).model if job.scores else None
        self._warm = False

    @property
    def num_samples(self) -> int:
        """Length of a clip."""
        return clip_samples(self.job.request, self.ready)

    def make(self, numbers: range) -> DoneBatch:
        """Generates clips as one batch, and writes each file whole or not at all.

        Raises:
            UserError: a file cannot be written.
        """
        ready, request = self.ready, self.job.request
        shares = shares_of(numbers, request, ready.config)
        condition = None if shares is None else voice(ready.engine.weights, shares)
        if not self._warm:  # what the first call compiles is no part of the speed
            generate(
                ready.engine,
                num_samples=1,
                batch_size=len(numbers),
                seed=request.seed,
                settings=ready.settings,
                condition=condition,
            )
            self._warm = True
        began = time.monotonic()
        waveforms = generate(
            ready.engine,
            num_samples=self.num_samples,
            batch_size=len(numbers),
            seed=request.seed,
            settings=ready.settings,
            first_row=numbers.start,
            condition=condition,
        )
        speed = waveforms.size / max(time.monotonic() - began, 1e-9)
        lines = [
            self._written(number, waveform, None if shares is None else shares[row])
            for row, (number, waveform) in enumerate(zip(numbers, waveforms, strict=True))
        ]
        return DoneBatch(numbers, tuple(lines), speed)

    def _written(self, number: int, waveform: NDArray[np.float32], shares: NDArray[np.float32] | None) -> ManifestLine:
        request, audio = self.job.request, self.ready.config.audio
        level = output_level(audio.gain, float(np.abs(waveform).max()))
        name = self.job.file(number)
        write_audio(request.destination.folder / name, level.of(waveform), audio.sample_rate)
        return ManifestLine(
            file=name,
            number=number,
            speaker=speaker_of(number, request, self.ready.config),
            bits=self._bits(waveform, shares),
            failure=failure(waveform, audio.sample_rate),
            level=level.remark,
            **common_values(self.job, self.ready),
        )

    def _bits(self, waveform: NDArray[np.float32], shares: NDArray[np.float32] | None) -> float | None:
        if self._scorer is None:
            return None
        from wavenet_app.evaluation.likelihood import code_bits  # needs torch, which generating does not

        codes = self.ready.config.model.coding.encode(waveform)
        return float(code_bits(self._scorer, codes, first=0, shares=shares).mean(dtype=np.float64))


def clip_samples(request: SampleRequest, ready: ReadyToSample) -> int:
    """Returns the length of a clip in samples."""
    return max(1, round(request.seconds * ready.config.audio.sample_rate))


def common_values(job: BulkJob, ready: ReadyToSample) -> dict[str, Any]:
    """Returns what the manifest says alike of all clips of a job."""
    request = job.request
    return {
        "seed": request.seed,
        "samples": clip_samples(request, ready),
        "sample_rate": ready.config.audio.sample_rate,
        "temperature": ready.settings.temperature,
        "quiet_temperature": ready.settings.quiet_temperature,
        "top_k": request.top_k,
        "top_p": request.top_p,
        "min_p": request.min_p,
        "precision": request.precision or PRECISIONS[0],
        "checkpoint": job.checkpoint_hash,
    }


def speaker_of(number: int, request: SampleRequest, config: RunConfig) -> str | None:
    """Returns who speaks in a clip: as asked for, else the speaker whose turn it is; None for a model without."""
    speakers = config.model.speakers
    return request.speaker or (speakers[number % len(speakers)] if speakers else None)


def shares_of(numbers: range, request: SampleRequest, config: RunConfig) -> NDArray[np.float32] | None:
    """Returns the share of each speaker in the voices of clips, (clips, speakers); None for a model without."""
    speakers = config.model.speakers
    if not speakers:
        return None
    if request.speaker is not None:
        return speaker_shares(request.speaker, speakers)[None].repeat(len(numbers), axis=0)
    return np.eye(len(speakers), dtype=np.float32)[[number % len(speakers) for number in numbers]]


def ready_worker(job: BulkJob, console: Console) -> Worker:
    """Returns a worker with its own engine.

    Raises:
        UserError: the checkpoint, a setting or the engine is invalid.
    """
    # the engine is chosen for batches; their voices are made for each
    clips = min(job.request.clips or 1, MOST_AT_ONCE)
    return Worker(job, get_ready(replace(job.request, clips=clips), DataFolder.at(job.data_dir), console))
