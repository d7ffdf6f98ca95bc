"""Measures one engine in its own process, so that first sound and memory are those of a fresh start."""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fast_gen.engines.choice import EngineOption, choose_engine, takes
from fast_gen.engines.condition import stand_in
from fast_gen.engines.contract import Engine
from fast_gen.engines.sampling import SamplingSettings, uniforms
from fast_gen.engines.self_check import self_check
from fast_gen.engines.start import exact_engine, load_engine
from fast_gen.engines.trial import Trial, today, try_out
from fast_gen.engines.weight_cache import WeightCache
from fast_gen.engines.weights import GeneratorWeights
from fast_gen.generation.stream import CHUNK_SAMPLES, stream
from wavenet_app.core.errors import UserError

if TYPE_CHECKING:
    from fast_gen.bench.verify import Verification

CLIPS = (16, 256)
"""Numbers of clips besides one that are measured."""

CLIPS_ON_GPU = (1_024, 4_096)
"""More of them, on a GPU."""

TEXTBOOK = EngineOption("textbook", "cpu", "float32", 1, None)
"""The baseline of the engines; not an engine itself."""

Generate = Callable[[NDArray[np.float32], SamplingSettings], NDArray[np.int16]]


@dataclass(frozen=True)
class BenchTask:
    """One measurement.

    Attributes:
        option: the engine, or `TEXTBOOK`.
        checkpoint: file of the model.
        weights_folder: of a `WeightCache` that holds the model.
        seconds: of generating.
        codes: (clips, time) to verify with, or None.
    """

    option: EngineOption
    checkpoint: Path
    weights_folder: Path
    seconds: float
    codes: NDArray[np.int16] | None


@dataclass(frozen=True)
class Measured:
    """The result for one engine.

    Attributes:
        samples_per_second: of one clip, not counting the first chunk.
        first_sound_seconds: from the start of the process to the first chunk of `CHUNK_SAMPLES`.
        peak_memory_bytes: of the whole process, without verification.
        device_memory_bytes: on a GPU; None on the CPU.
        compiled: whether the first sound waited for the compiler.
        verification: None without --verify.
        trials: number of clips -> how the engine did with them. On the CPU, its sound is checked with one clip.
    """

    samples_per_second: float
    first_sound_seconds: float
    peak_memory_bytes: int
    device_memory_bytes: int | None
    compiled: bool
    verification: Verification | None
    trials: dict[int, Trial] = field(default_factory=dict)

    @property
    def fault(self) -> str | None:
        """What is wrong with the engine's sound, or None."""
        faults = [f"{trial.fault} ({clips:,} clips)" for clips, trial in self.trials.items() if trial.fault]
        return faults[0] if faults else None


def measure(task: BenchTask) -> Measured:
    """Measures one engine in a new process, and waits for it.

    Raises:
        UserError: the engine cannot run, it failed, or the process died.
    """
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    # Spawned, as a GPU does not work in a fork of a process that has used it.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(_measure_here, task, time.time()).result()
        except BrokenProcessPool:
            raise UserError("the process ended before it had a result; it may have run out of memory") from None
        except UserError:
            raise
        except Exception as error:
            first_line = str(error).strip().partition("\n")[0]
            raise UserError(f"it failed with {type(error).__name__}: {first_line}") from error


def sampling_rate(generate: Generate, seconds: float) -> float:
    """Returns samples per second of one clip: the median over calls that each take a part of the time."""
    length, until = 32, time.perf_counter() + seconds
    rates: list[float] = []
    while not rates or time.perf_counter() < until:
        numbers = uniforms(0, rows=1, length=length)
        began = time.perf_counter()
        generate(numbers, SamplingSettings())
        elapsed = time.perf_counter() - began
        if elapsed < seconds / 10:
            length *= 2
        else:
            rates.append(length / elapsed)
    return statistics.median(rates)


def _measure_here(task: BenchTask, began: float) -> Measured:
    """Measures in this fresh process; `began` is the time at which `measure` started it."""
    found = WeightCache(task.weights_folder).find(task.checkpoint)
    assert found is not None, "the caller has stored the weights"
    option, weights = task.option, found[1]
    if option.engine == TEXTBOOK.engine:
        return _measure_textbook(weights, task.seconds, began)
    wanted = (option.engine, weights, option.device, option.precision, option.threads)
    compiled = choose_engine(*wanted).preparation is not None
    engine = load_engine(*wanted)
    condition = stand_in(weights)
    next(stream(engine, num_samples=CHUNK_SAMPLES, seed=0, settings=SamplingSettings(), condition=condition))
    first_sound = time.time() - began
    rate = sampling_rate(partial(engine.generate, condition=condition), task.seconds)
    memory, device_memory = _peak_memory(), _device_memory() if option.device == "cuda" else None
    verification = None
    if task.codes is not None:
        from fast_gen.bench.verify import verify
        from wavenet_app.checkpoints.trained import load_trained

        verification = verify(engine, load_trained(task.checkpoint).model, task.codes)
    return Measured(rate, first_sound, memory, device_memory, compiled, verification, _trials(engine, rate))


def _trials(engine: Engine, rate: float) -> dict[int, Trial]:
    """Returns how an engine does with each of `CLIPS`, as far as it takes as many; its rate with one is known."""
    reference: Engine = exact_engine(engine.weights)
    if type(reference) is type(engine):  # which is judged by the clear one
        from fast_gen.engines.reference import TorchQueue

        reference = TorchQueue(engine.weights, "cpu")
    fault = self_check(engine, reference, 1)
    trials = {1: Trial(None if fault else rate, fault, today())}
    for clips in (*CLIPS, *(CLIPS_ON_GPU if engine.device == "cuda" else ())):
        if not takes(engine, clips):
            continue
        try:
            trials[clips] = try_out(engine, reference if engine.device == "cuda" else engine, clips)
        except UserError:  # the GPU's memory does not hold this number of clips
            break
    return trials


def _measure_textbook(weights: GeneratorWeights, seconds: float, began: float) -> Measured:
    import torch

    from fast_gen.bench.textbook import Textbook

    torch.set_num_threads(1)  # more make such small products slower; nothing else runs in this process
    textbook = Textbook(weights)
    textbook.generate(uniforms(0, rows=1, length=CHUNK_SAMPLES), SamplingSettings())
    first_sound = time.time() - began
    return Measured(sampling_rate(textbook.generate, seconds), first_sound, _peak_memory(), None, False, None)


def _peak_memory() -> int:
    """Returns the peak memory of this process so far, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count memory of the parent too
        line = next(line for line in status.read_text(encoding="utf-8").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _device_memory() -> int:
    import torch

    return int(torch.cuda.max_memory_allocated())
