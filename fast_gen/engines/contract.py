"""What an engine is, which engines there are, and which of them to take on this machine."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from wavenet_app.core.errors import UserError

if TYPE_CHECKING:
    from fast_gen.engines.condition import ChunkCondition
    from fast_gen.engines.sampling import SamplingSettings
    from fast_gen.engines.weights import GeneratorWeights

ENGINES: dict[str, str] = {
    "cpu": "fast_gen.engines.cpu.engine:NumbaCpu",
    "cuda": "fast_gen.engines.gpu.triton_engine:TritonGpu",
    "graph": "fast_gen.engines.gpu.graph_engine:GraphQueue",
    "torch": "fast_gen.engines.reference:TorchQueue",
}
"""Name -> "module:Class", the fastest first; nothing is imported before it is asked for.

The engines of a GPU follow that of the CPU as long as they have not been timed on one.
"""

DEVICES = ("cpu", "cuda")

WAY_OUT = "take --engine cpu"
"""How a line ends that says what is wrong with a GPU."""

PRECISIONS = ("float32", "bfloat16", "int8")
"""What weights are stored and multiplied in, the exact one first; `fast_gen.bench.verify` measures the cost in bits."""


class Engine(Protocol):
    """Continues one history of codes for each row of a batch, in time that does not depend on the history's length.

    Codes are what `weights.coding` says: mu-law codes, or 16-bit samples, which are told and given in the same way.

    The history is all that an engine knows. `reset` makes it a single silence code, before which all activations are
    zero. `prime`, `score` and `generate` each append as many codes as they are given or asked for, and differ only in
    where the codes come from and what is reported. So any sequence of calls can be split or joined: chunks make up the
    whole, and a primed engine is one that has been stepped through the same codes.

    With history H before a call that appends codes x, the distribution of x[:, t] is

        WaveNet.forward(concatenate(H, x))[:, len(H) - 1 + t]

    A model that is conditioned is told something of every code it appends, whether it picks it or is given it, and
    each call takes the condition of just its own codes. What comes in has been projected for all layers in one product
    before, and lies at the rate at which it changes: see `fast_gen.engines.condition.ChunkCondition`. All that an
    engine does is to add values[row, (phase + t) // hold, layer] to the bias of a layer's gates while it makes code t.

    The newest code of the history has been read by nobody yet: the next call begins by consuming it. Arrays come and
    go on the host; the device, the layout of the queues and the arithmetic are the engine's own. A new engine is in
    the state that `reset(1)` leaves.

    Attributes:
        weights: the model.
        device: "cpu" or "cuda", where it runs.
        precision: one of `PRECISIONS`.
        threads: how many of the CPU it takes.
        batch_size: rows of the present batch.
    """

    weights: GeneratorWeights
    device: str
    precision: str
    threads: int
    batch_size: int

    def reset(self, batch_size: int) -> None:
        """Forgets everything: each of `batch_size` rows has one silence code as its history."""

    def prime(self, codes: NDArray[np.integer], condition: ChunkCondition | None = None) -> None:
        """Appends known codes (batch, time) in one parallel pass; equal to stepping through them up to rounding."""

    def score(self, codes: NDArray[np.integer], condition: ChunkCondition | None = None) -> NDArray[np.float32]:
        """Appends known codes (batch, time) step by step, by the arithmetic of `generate`.

        Returns:
            (batch, time, output_channels): place t is the distribution of codes[:, t], given all before, as the
            model's head reads it, such as a logit for each code.
        """

    def generate(
        self, uniforms: NDArray[np.float32], settings: SamplingSettings, condition: ChunkCondition | None = None
    ) -> NDArray[np.int16]:
        """Appends codes of its own, each picked as `fast_gen.engines.sampling.pick_by_head` defines.

        Args:
            uniforms: (batch, time), a number from 0 up to but not including 1 for each code.
            settings: temperature, top-k and top-p.
            condition: what the model is told of these codes; None for a model without conditions, and only then.

        Returns:
            The codes, (batch, time).
        """


class EngineClass(Protocol):
    """What a class named in `ENGINES` offers, without a device being touched when its module is imported."""

    devices: Sequence[str]
    """Where it can run, the faster for a few clips first."""

    precisions: Sequence[str]
    """Those of `PRECISIONS` that it offers."""

    summary: str
    """What it is, in a few words for the user."""

    def __call__(self, weights: GeneratorWeights, device: str, precision: str, threads: int) -> Engine:
        """Returns a ready engine, in the state of `reset(1)`."""

    def missing(self, weights: GeneratorWeights, device: str, precision: str, threads: int) -> str | None:
        """Returns what keeps it from running this model so on one of its devices, or None (a static method).

        The precision is one of `precisions`.
        """

    def preparation(self, weights: GeneratorWeights, precision: str, threads: int) -> str | None:
        """Returns a line for the user if the first call will have to be waited for, or None (a static method)."""


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
    """Returns which engine to take, and why; as far as can be told without starting it, which `start_engine` does.

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
        on_choice: told of each choice before it is started.

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
    from fast_gen.engines.condition import stand_in  # which knows engines by name only
    from fast_gen.engines.sampling import SamplingSettings

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


def checked_codes(codes: NDArray[np.integer], engine: Engine) -> NDArray[np.int64]:
    """Returns codes as contiguous int64, for an engine whose compiled loop would not notice a wrong one.

    Raises:
        ValueError: they are not (batch_size, time) integers that the model's coding knows.
    """
    codes = np.asarray(codes)
    _check_shape(codes, engine, "codes")
    if not np.issubdtype(codes.dtype, np.integer):
        raise ValueError(f"codes must be integers, not {codes.dtype}")
    coding = engine.weights.coding
    lowest, highest = coding.lowest, coding.lowest + coding.size - 1
    if codes.size and not (codes.min() >= lowest and codes.max() <= highest):
        raise ValueError(f"codes must be from {lowest} to {highest}, not {codes.min()} to {codes.max()}")
    return np.ascontiguousarray(codes, dtype=np.int64)


def checked_uniforms(uniforms: NDArray[np.floating], engine: Engine) -> NDArray[np.float32]:
    """Returns uniforms as contiguous float32.

    Raises:
        ValueError: they are not (batch_size, time) numbers of at least 0 and less than 1.
    """
    uniforms = np.ascontiguousarray(uniforms, dtype=np.float32)
    _check_shape(uniforms, engine, "uniforms")
    if uniforms.size and not (uniforms.min() >= 0 and uniforms.max() < 1):
        raise ValueError(f"uniforms must be at least 0 and less than 1, not {uniforms.min()} to {uniforms.max()}")
    return uniforms


def _check_shape(array: NDArray[np.generic], engine: Engine, what: str) -> None:
    if array.ndim != 2 or len(array) != engine.batch_size:
        raise ValueError(f"{what} must have the shape ({engine.batch_size}, time), not {array.shape}")
