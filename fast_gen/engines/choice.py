"""Which engines there are, and which of them to use on this machine."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from fast_gen.engines.condition import stand_in
from fast_gen.engines.contract import DEVICES, PRECISIONS, WAY_OUT, Engine, EngineClass
from fast_gen.engines.sampling import SamplingSettings
from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.core.errors import UserError

ENGINES: dict[str, str] = {
    "cpu": "fast_gen.engines.cpu.engine:NumbaCpu",
    "cuda": "fast_gen.engines.gpu.triton_engine:TritonGpu",
    "graph": "fast_gen.engines.gpu.graph_engine:GraphQueue",
    "torch": "fast_gen.engines.reference:TorchQueue",
}
"""Name -> "module:Class", the fastest first; a module is imported when its engine is needed.

The engines of a GPU follow that of the CPU as long as they have not been timed on one.
"""


@dataclass(frozen=True)
class EngineChoice:
    """An engine that can run here.

    Attributes:
        name: key of `ENGINES`.
        device: "cpu" or "cuda".
        precision: one of `PRECISIONS`.
        threads: how many of the CPU it takes.
        reason: one line for the user: which, and why.
        preparation: one line for the user if the first call will have to be waited for, else None.
    """

    name: str
    device: str
    precision: str
    threads: int
    reason: str
    preparation: str | None


Failed = Mapping[tuple[str, str], str]
"""(engine, device) -> what kept it from starting."""

NOTHING_FAILED: Failed = MappingProxyType({})


def choose_engine(
    name: str,
    weights: GeneratorWeights,
    device: str = "auto",
    precision: str = "float32",
    threads: int = 1,
    failed: Failed = NOTHING_FAILED,
) -> EngineChoice:
    """Returns which engine to take, and why; as far as can be known without starting it, which `start_engine` does.

    Args:
        name: an engine, or "auto" for the fastest that runs this model here.
        weights: the model.
        device: "cpu", "cuda", or "auto" for the one on which the engine is fastest with a few clips.
        precision: one of `PRECISIONS`.
        threads: how many of the CPU to take.
        failed: what was tried already, and is passed over.

    Raises:
        UserError: the name, device or precision is unknown, or what was asked for cannot run; it says what is missing.
    """
    if precision not in PRECISIONS:
        raise UserError(f"there is no precision {precision!r}; choose one of: {', '.join(PRECISIONS)}")
    if threads < 1:
        raise UserError(f"the number of threads must be at least 1, not {threads}")
    if name != "auto" and name not in ENGINES:
        raise UserError(f"there is no engine {name!r}; choose one of: {', '.join(['auto', *ENGINES])}")
    if device not in ("auto", *DEVICES):
        raise UserError(f"there is no device {device!r}; choose one of: {', '.join(['auto', *DEVICES])}")
    obstacles: list[str] = []
    for candidate in ENGINES if name == "auto" else [name]:
        engine_class = _engine_class(candidate)
        for place in engine_class.devices if device == "auto" else [device]:
            missing = failed.get((candidate, place)) or _missing(engine_class, weights, place, precision, threads)
            if missing is None:
                passed_over = f"; passed over: {'; '.join(obstacles)}" if obstacles else ""
                why = "asked for" if name != "auto" else "the fastest that can run here"
                how = f"{engine_class.summary}, {precision}, {threads} thread{'s' if threads > 1 else ''}"
                reason = f"engine {candidate} on {place} ({how}): {why}{passed_over}"
                wait = engine_class.preparation(weights, precision, threads)
                return EngineChoice(candidate, place, precision, threads, reason, wait)
            obstacles.append(f"{candidate} on {place}: {missing}")
    advice = "--engine auto takes one that can"
    if name == "auto":
        advice = f"on the CPU, in {PRECISIONS[0]} and with one thread there is one that can"
    raise UserError(f"no engine can run as asked ({'; '.join(obstacles)}); {advice}")


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
    on_choice: Callable[[EngineChoice], None] | None = None,
) -> tuple[EngineChoice, Engine]:
    """Returns the engine that `choose_engine` names, ready to generate, and why it is this one.

    With "auto" an engine of a GPU must make a sample first, since a driver, a compiler or another program that leaves
    no room shows only then; if it fails, the next one is taken, and the reason says so.

    Args:
        name: as in `choose_engine`, like the next four.
        weights: the model.
        device: "cpu", "cuda" or "auto".
        precision: one of `PRECISIONS`.
        threads: how many of the CPU to take.
        on_choice: called with each choice before it starts.

    Raises:
        UserError: what `choose_engine` raises; or an engine that was asked for by name cannot be started.
    """
    failed: dict[tuple[str, str], str] = {}
    while True:
        choice = choose_engine(name, weights, device, precision, threads, failed)
        if on_choice is not None:
            on_choice(choice)
        try:
            engine = _engine_class(choice.name)(weights, choice.device, precision, threads)
            if name == "auto" and choice.device != "cpu":
                _make_a_sample(engine)
            return choice, engine
        except UserError as error:
            if name != "auto":
                raise
            failed[choice.name, choice.device] = str(error).removesuffix(f"; {WAY_OUT}").removesuffix(f", or {WAY_OUT}")


def _make_a_sample(engine: Engine) -> None:
    engine.generate(np.zeros((1, 1), np.float32), SamplingSettings(), stand_in(engine.weights))
    engine.reset(1)


@dataclass(frozen=True)
class EngineOption:
    """A way to generate, whether or not it can run here.

    Attributes:
        engine: key of `ENGINES`.
        device: "cpu" or "cuda".
        precision: one of `PRECISIONS`.
        threads: how many of the CPU it takes.
        obstacle: what keeps it from running the model here, or None.
    """

    engine: str
    device: str
    precision: str
    threads: int
    obstacle: str | None


def engine_options(weights: GeneratorWeights) -> list[EngineOption]:
    """Returns all that the engines offer for a model: each device and precision, and on the CPU one and two threads."""
    return [
        EngineOption(name, device, precision, threads, _missing(engine_class, weights, device, precision, threads))
        for name in ENGINES
        for engine_class in [_engine_class(name)]
        for device in engine_class.devices
        for precision in engine_class.precisions
        for threads in ((1, 2) if device == "cpu" else (1,))
    ]


def _missing(
    engine_class: EngineClass, weights: GeneratorWeights, device: str, precision: str, threads: int
) -> str | None:
    """Returns what keeps an engine from running as asked, or None."""
    if device not in engine_class.devices:
        return f"it does not run on {device}"
    if precision not in engine_class.precisions:
        return f"it does not compute in {precision}, only in {' or '.join(engine_class.precisions)}"
    return engine_class.missing(weights, device, precision, threads)


def _engine_class(name: str) -> EngineClass:
    module, _, attribute = ENGINES[name].partition(":")
    engine_class: EngineClass = getattr(importlib.import_module(module), attribute)
    return engine_class
