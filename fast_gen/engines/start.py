"""Starts an engine: the one asked for, or with "auto" the fastest, as far as engines were tried out on this machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fast_gen.engines.choice import (
    EngineChoice,
    check_wanted,
    choose_engine,
    engine_class,
    gpu_may_be_there,
)
from fast_gen.engines.condition import stand_in
from fast_gen.engines.contract import WAY_OUT, Engine
from fast_gen.engines.sampling import SamplingSettings
from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.core.errors import UserError

if TYPE_CHECKING:
    from fast_gen.engines.trial_cache import TrialCache

OnChoice = Callable[[EngineChoice], None]


@dataclass(frozen=True)
class Job:
    """What an engine is wanted for.

    Attributes:
        clips: how many are generated at a time.
        samples: of each clip; None if that is not known, for which no engine is tried out.
        trials: where results are kept; None to keep none.
    """

    clips: int = 1
    samples: int | None = None
    trials: TrialCache | None = None


ONE_CLIP = Job()


def load_engine(
    name: str, weights: GeneratorWeights, device: str = "auto", precision: str = "float32", threads: int = 1
) -> Engine:
    """Returns the engine that `start_engine` does; takes the same and raises the same."""
    return start_engine(name, weights, device, precision, threads)[1]


def start_engine(
    name: str,
    weights: GeneratorWeights,
    device: str = "auto",
    precision: str = "float32",
    threads: int = 1,
    on_choice: OnChoice | None = None,
    job: Job = ONE_CLIP,
) -> tuple[EngineChoice, Engine]:
    """Returns an engine that is ready to generate, and why it is this one.

    With "auto" and a GPU, it is the fastest for the job by trials on this machine, which `fast_gen.engines.fastest`
    makes and keeps; where there are none, the one that `choose_engine` names. An engine of a GPU must make a sample and
    agree with that of the CPU first, since a driver, a compiler or another program that leaves no room shows only then;
    if it fails, the next one is taken, and the reason says so.

    Args:
        name: as in `choose_engine`, like the next four.
        weights: the model.
        device: "cpu", "cuda" or "auto".
        precision: one of `PRECISIONS`.
        threads: how many of the CPU to take.
        on_choice: called with each choice before it starts.
        job: what the engine is for.

    Raises:
        UserError: what `choose_engine` raises; or an engine that was asked for by name cannot be started.
    """
    check_wanted(name, device, precision, threads)
    say = on_choice or (lambda _: None)
    failed: dict[tuple[str, str], str] = {}
    if name == "auto" and device != "cpu" and (job.samples or job.trials) and gpu_may_be_there():
        from fast_gen.engines.fastest import start_fastest

        found = start_fastest(weights, device, precision, threads, job, say, failed)
        if found is not None:
            return found
    while True:
        choice = choose_engine(name, weights, device, precision, threads, failed, job.clips)
        say(choice)
        try:
            engine = engine_class(choice.name)(weights, choice.device, precision, threads)
            if name == "auto" and choice.device != "cpu":
                check_on_gpu(engine, job.clips)
            return choice, engine
        except UserError as error:
            if name != "auto":
                raise
            failed[choice.name, choice.device] = why_failed(error)


def why_failed(error: UserError) -> str:
    """Returns what an engine says when it cannot start, without the advice to take another one."""
    return str(error).removesuffix(f"; {WAY_OUT}").removesuffix(f", or {WAY_OUT}")


def check_on_gpu(engine: Engine, clips: int) -> None:
    """Lets an engine make a sample, and compares it with that of the CPU.

    Raises:
        UserError: it cannot compute, or sounds wrong.
    """
    from fast_gen.engines.self_check import self_check

    engine.generate(np.zeros((1, 1), np.float32), SamplingSettings(), stand_in(engine.weights))
    fault = self_check(engine, exact_engine(engine.weights), clips)
    if fault is not None:
        raise UserError(fault)
    engine.reset(1)


def exact_engine(weights: GeneratorWeights) -> Engine:
    """Returns the engine of the CPU in float32, by which others are judged."""
    choice = choose_engine("auto", weights, "cpu")
    return engine_class(choice.name)(weights, choice.device, choice.precision, choice.threads)
