"""Measures every engine on one model within a time budget, and checks it against its tolerances."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fast_gen.bench.process import BenchTask, Measured, measure
from fast_gen.bench.verify import Verification
from fast_gen.engines.choice import EngineOption
from fast_gen.engines.condition import stand_in
from fast_gen.engines.sampling import SamplingSettings, uniforms
from fast_gen.engines.start import load_engine
from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.config import RunConfig
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.corpus.coded import coded_waveform, for_model
from wavenet_app.corpus.corpus import open_corpus

GREATEST_LOGIT_DIFFERENCE = 5e-3
"""Tolerance of float32; sums in another order round differently, by 3e-4 on a trained model."""

GREATEST_BITS_COST = 0.01
"""Tolerance of the other precisions, per sample."""

LEAST_EQUAL_SAMPLES = 0.999
"""Tolerance of float32 on the CPU: all samples, except where two codes are equally likely up to rounding."""

VERIFIED_CLIPS = 4
VERIFIED_SAMPLES = 1_024  # of each clip
_LEAST_SECONDS, _GREATEST_SECONDS = 0.3, 4.0  # of generating, for one engine


@dataclass(frozen=True)
class BenchRow:
    """An engine and its results.

    Attributes:
        option: the engine, or `process.TEXTBOOK`.
        measured: None if it was skipped.
        compiling_seconds: time that compiling adds to the first sound; None if it was compiled before.
        reason: why it was skipped, or None.
    """

    option: EngineOption
    measured: Measured | None
    compiling_seconds: float | None
    reason: str | None


@dataclass(frozen=True)
class BenchJob:
    """All measurements of a bench.

    Attributes:
        checkpoint: file of the model.
        weights_folder: of a `WeightCache` that holds the model.
        options: engines to measure, the textbook generator first.
        seconds: approximate time for all of them together.
        codes: (clips, time) to verify with, or None.
    """

    checkpoint: Path
    weights_folder: Path
    options: Sequence[EngineOption]
    seconds: float
    codes: NDArray[np.int16] | None


def run_bench(job: BenchJob, on_start: Callable[[EngineOption], None]) -> list[BenchRow]:
    """Measures one engine after the other; those that cannot run here get a row with the reason.

    Args:
        job: what to measure.
        on_start: called with each engine before it is measured.
    """
    left = sum(option.obstacle is None for option in job.options)
    until = time.monotonic() + job.seconds
    starting = 0.0  # time of the last one without generating
    rows = []
    for option in job.options:
        if option.obstacle is not None:
            rows.append(BenchRow(option, None, None, option.obstacle))
            continue
        on_start(option)
        began = time.monotonic()
        share = (until - began) / left - starting
        seconds = min(max(share, _LEAST_SECONDS), _GREATEST_SECONDS)
        task = BenchTask(option, job.checkpoint, job.weights_folder, seconds, job.codes)
        rows.append(_row(task))
        starting = max(0.0, time.monotonic() - began - seconds)
        left -= 1
    return rows


def _row(task: BenchTask) -> BenchRow:
    try:
        measured, compiling = measure(task), None
        if measured.compiled:
            again = measure(task)
            compiling = measured.first_sound_seconds - again.first_sound_seconds
            measured = again
    except UserError as error:
        return BenchRow(task.option, None, None, str(error))
    return BenchRow(task.option, measured, compiling, None)


def tolerance_errors(option: EngineOption, verification: Verification) -> list[str]:
    """Returns the tolerances that an engine exceeds on this model, in words.

    >>> fine = Verification(2e-6, 2.5, 2.5, 1.0)
    >>> tolerance_errors(EngineOption("cpu", "cpu", "float32", 1, None), fine)
    []
    """
    errors = []
    if option.precision == "float32" and not verification.greatest_logit_difference <= GREATEST_LOGIT_DIFFERENCE:
        errors.append(f"a logit differs by {verification.greatest_logit_difference:.1e}")
    if option.precision != "float32" and not verification.bits_cost <= GREATEST_BITS_COST:
        errors.append(f"it costs {verification.bits_cost:.4f} bits per sample")
    if is_exact(option) and not verification.samples_equal >= LEAST_EQUAL_SAMPLES:
        errors.append(f"only {verification.samples_equal:.1%} of the samples equal those of the full network")
    return errors


def is_exact(option: EngineOption) -> bool:
    """Returns whether an engine generates exactly the samples of the full network."""
    return option.device == "cpu" and option.precision == "float32"


@dataclass(frozen=True)
class Audio:
    """The audio that engines are verified on.

    Attributes:
        codes: (clips, time).
        source: a description of it.
    """

    codes: NDArray[np.int16]
    source: str


def verification_audio(config: RunConfig, split: dict[str, Any] | None, folder: DataFolder) -> Audio | None:
    """Returns the middles of held-out recordings; None if the corpus of the model is missing.

    Args:
        config: of the model's run.
        split: the split of the corpus from its checkpoint, or None.
        folder: the data folder.
    """
    if split is None:
        return None
    try:
        sources = [folder.data_set(path) for path in config.corpus.paths]
        corpus = open_corpus(
            sources,
            audio=config.audio,
            split=config.corpus,
            cache_dir=folder.cache,
            sample_rate=config.audio.sample_rate,
            gain=config.audio.gain,
        )
    except UserError:
        return None
    corpus = for_model(corpus, config.model.mel)
    held_out = set(split["validation"])
    clips = [clip for clip in corpus.validation if clip.name in held_out and clip.num_samples >= VERIFIED_SAMPLES]
    chosen = clips[:: max(1, len(clips) // VERIFIED_CLIPS)][:VERIFIED_CLIPS]
    if not chosen:
        return None
    starts = [(clip.num_samples - VERIFIED_SAMPLES) // 2 for clip in chosen]
    waveforms = [
        coded_waveform(corpus, clip, start, start + VERIFIED_SAMPLES)
        for clip, start in zip(chosen, starts, strict=True)
    ]
    codes = config.model.coding.encode(np.stack(waveforms))
    return Audio(codes, f"{len(codes)} x {VERIFIED_SAMPLES} samples of held-out recordings")


def own_audio(weights: GeneratorWeights) -> Audio:
    """Returns audio that the model generates."""
    engine = load_engine("auto", weights)
    engine.reset(VERIFIED_CLIPS)
    numbers = uniforms(1, rows=VERIFIED_CLIPS, length=VERIFIED_SAMPLES)
    codes = engine.generate(numbers, SamplingSettings(), stand_in(weights))
    return Audio(codes, f"{len(codes)} x {VERIFIED_SAMPLES} samples that the model generated")
