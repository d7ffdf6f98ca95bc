"""Which engines there are, which can run on this machine, and the order in which to take them untimed."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from fast_gen.engines.contract import DEVICES, PRECISIONS, Engine, EngineClass
from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.core.errors import UserError

ENGINES: dict[str, str] = {
    "cpu": "fast_gen.engines.cpu.engine:NumbaCpu",
    "cluster": "fast_gen.engines.gpu.cluster.engine:ClusterGpu",
    "pipeline": "fast_gen.engines.gpu.cluster.pipeline:PipelineGpu",
    "cuda": "fast_gen.engines.gpu.triton_engine:TritonGpu",
    "graph": "fast_gen.engines.gpu.graph_engine:GraphQueue",
    "torch": "fast_gen.engines.reference:TorchQueue",
}
"""Name -> "module:Class"; a module is imported when its engine is needed.

The order in which engines are tried: for a few clips, the first that can run; `fast_gen.engines.start` times them.
"""

FEW_CLIPS = 8
"""Up to this number, the CPU is taken where no engine has been timed; beyond, a GPU."""

_GPU_FILES = ("/dev/nvidiactl", "/dev/dxg")  # of the driver on Linux, and under Windows


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
    clips: int = 1,
) -> EngineChoice:
    """Returns which engine to take, and why; as far as can be known without starting any, which `start_engine` does.

    Args:
        name: an engine, or "auto" for the first that runs this model here: on the CPU for `FEW_CLIPS`, else on a GPU.
        weights: the model.
        device: "cpu", "cuda", or "auto" for the one on which the engine is fastest with a few clips.
        precision: one of `PRECISIONS`.
        threads: how many of the CPU to take.
        failed: what was tried already, and is passed over.
        clips: how many are generated at a time.

    Raises:
        UserError: the name, device or precision is unknown, or what was asked for cannot run; it says what is missing.
    """
    check_wanted(name, device, precision, threads)
    obstacles: list[str] = []
    for candidate, place in _candidates(name, device, clips):
        missing = failed.get((candidate, place)) or missing_for(candidate, place, weights, precision, threads)
        if missing is None:
            why = "asked for" if name != "auto" else _why_untimed(place, clips)
            return described(candidate, place, weights, precision, threads, why, obstacles)
        obstacles.append(f"{candidate} on {place}: {missing}")
    advice = "--engine auto takes one that can"
    if name == "auto":
        advice = f"on the CPU, in {PRECISIONS[0]} and with one thread there is one that can"
    raise UserError(f"no engine can run as asked ({'; '.join(obstacles)}); {advice}")


def check_wanted(name: str, device: str, precision: str, threads: int) -> None:
    """Refuses names and numbers that do not exist, as `choose_engine` does."""
    if precision not in PRECISIONS:
        raise UserError(f"there is no precision {precision!r}; choose one of: {', '.join(PRECISIONS)}")
    if threads < 1:
        raise UserError(f"the number of threads must be at least 1, not {threads}")
    if name != "auto" and name not in ENGINES:
        raise UserError(f"there is no engine {name!r}; choose one of: {', '.join(['auto', *ENGINES])}")
    if device not in ("auto", *DEVICES):
        raise UserError(f"there is no device {device!r}; choose one of: {', '.join(['auto', *DEVICES])}")


def described(
    name: str,
    device: str,
    weights: GeneratorWeights,
    precision: str,
    threads: int,
    why: str,
    obstacles: Sequence[str] = (),
) -> EngineChoice:
    """Returns the choice of an engine that can run, with a line that says why, and what was passed over."""
    found = engine_class(name)
    how = f"{found.summary}, {precision}, {threads} thread{'s' if threads > 1 else ''}"
    passed_over = f"; passed over: {'; '.join(obstacles)}" if obstacles else ""
    reason = f"engine {name} on {device} ({how}): {why}{passed_over}"
    return EngineChoice(name, device, precision, threads, reason, found.preparation(weights, precision, threads))


def _candidates(name: str, device: str, clips: int) -> Iterator[tuple[str, str]]:
    """Yields engines with a device in the order in which to take them; modules are imported on the way."""
    if name == "auto" and device == "auto" and clips > FEW_CLIPS and gpu_may_be_there():
        on_gpu = (name for name in ENGINES if tuple(engine_class(name).devices) == ("cuda",))
        yield from ((name, "cuda") for name in on_gpu if _goes_untimed(name, clips))
    for candidate in ENGINES if name == "auto" else [name]:
        if name == "auto" and not _goes_untimed(candidate, clips):
            continue
        for place in engine_class(candidate).devices if device == "auto" else [device]:
            yield candidate, place


def fits(name: str, clips: int) -> bool:
    """Returns whether an engine is meant for this number of clips at a time."""
    return takes(engine_class(name), clips)


def _goes_untimed(name: str, clips: int) -> bool:
    """Returns whether "auto" takes an engine for this number of clips where nothing is timed."""
    return fits(name, clips) and not getattr(engine_class(name), "only_timed", False)


def takes(engine: EngineClass | Engine, clips: int) -> bool:
    """Returns whether an engine or its class is meant for this number of clips at a time."""
    return bool(getattr(engine, "least_clips", 1) <= clips <= getattr(engine, "most_clips", clips))


def _why_untimed(place: str, clips: int) -> str:
    if place == "cpu" and not gpu_may_be_there():
        return "the fastest that can run here"
    few = f"up to {FEW_CLIPS} clips" if clips <= FEW_CLIPS else f"more than {FEW_CLIPS} clips"
    return f"usually the fastest for {few}; not timed here yet, which wavegen bench does"


def gpu_may_be_there() -> bool:
    """Returns whether it is worth the import of torch to ask for a GPU."""
    if "torch" in sys.modules:
        from fast_gen.engines.gpu.device import missing_gpu

        return missing_gpu() is None
    return any(Path(place).exists() for place in _GPU_FILES)


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
        EngineOption(name, device, precision, threads, missing_for(name, device, weights, precision, threads))
        for name in ENGINES
        for device in engine_class(name).devices
        for precision in engine_class(name).precisions
        for threads in ((1, 2) if device == "cpu" else (1,))
    ]


def missing_for(name: str, device: str, weights: GeneratorWeights, precision: str, threads: int) -> str | None:
    """Returns what keeps an engine from running as asked, or None."""
    found = engine_class(name)
    if device not in found.devices:
        return f"it does not run on {device}"
    if precision not in found.precisions:
        return f"it does not compute in {precision}, only in {' or '.join(found.precisions)}"
    return found.missing(weights, device, precision, threads)


def engine_class(name: str) -> EngineClass:
    """Returns the class of an engine; its module is imported."""
    module, _, attribute = ENGINES[name].partition(":")
    found: EngineClass = getattr(importlib.import_module(module), attribute)
    return found
