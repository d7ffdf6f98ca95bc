"""What an engine is: the contract that every engine keeps, and the checks of what it is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from fast_gen.engines.condition import ChunkCondition

if TYPE_CHECKING:
    from fast_gen.engines.sampling import SamplingSettings
    from fast_gen.engines.weights import GeneratorWeights

DEVICES = ("cpu", "cuda")

WAY_OUT = "take --engine cpu"
"""How a line ends that says what is wrong with a GPU."""

PRECISIONS = ("float32", "bfloat16", "int8")
"""What weights are stored and multiplied in, the exact one first; `fast_gen.bench.verify` measures the cost in bits."""


class Engine(Protocol):
    """Continues one history of codes for each row of a batch, in time that does not depend on the history's length.

    Codes are what `weights.coding` says: mu-law codes, or 16-bit samples, which come and go in the same way.

    The history is all that an engine knows. `reset` makes it a single silence code, before which all activations are
    zero. `prime`, `score` and `generate` each append as many codes as they are given or asked for, and differ only in
    where the codes come from and what is reported. So any sequence of calls can be split or joined: chunks make up the
    whole, and a primed engine is one that has been stepped through the same codes.

    With history H before a call that appends codes x, the distribution of x[:, t] is

        WaveNet.forward(concatenate(H, x))[:, len(H) - 1 + t]

    A conditioned model has a condition for every code that it appends, picked or given, and each call takes the
    condition of just its own codes. It has been projected for all layers in one product before, at the rate at which
    it changes: see `fast_gen.engines.condition.ChunkCondition`. All that an engine does is to add values[row,
    (phase + t) // hold, layer] to the bias of a layer's gates while it makes code t.

    The newest code of the history is not consumed yet: the next call begins with that. Arrays come and
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

    @property
    def remark(self) -> str | None:
        """A line for the user about how samples were made since the engine was loaded, or None."""

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
            condition: of these codes; None for a model without conditions, and only then.

        Returns:
            The codes, (batch, time).
        """


class EngineClass(Protocol):
    """What a class named in `fast_gen.engines.choice.ENGINES` offers; importing its module touches no device."""

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


def checked_condition(condition: ChunkCondition | None, engine: Engine, samples: int) -> ChunkCondition | None:
    """Returns a condition with contiguous values for each row of an engine, and no steps beyond the stretch.

    Raises:
        ValueError: it has another shape, does not cover `samples`, or is missing or too much for the model.
    """
    if (condition is not None) != engine.weights.conditioned:
        raise ValueError(f"the model {'needs a' if engine.weights.conditioned else 'was built without a'} condition")
    if condition is None:
        return None
    batch, _, channels = condition.values.shape
    if batch not in (1, engine.batch_size) or channels != engine.weights.condition_channels:
        expected = (engine.batch_size, "steps", engine.weights.condition_channels)
        raise ValueError(f"a condition must have the shape {expected}, not {condition.values.shape}")
    if condition.hold < 1 or condition.phase < 0:
        raise ValueError(f"hold must be at least 1 and phase at least 0, not {condition.hold} and {condition.phase}")
    covered = condition.values.shape[1] * condition.hold - condition.phase
    if covered < samples:
        raise ValueError(f"the condition covers {covered} of {samples} codes")
    part = condition.part(0, samples)
    values = part.values if batch == engine.batch_size else part.values.repeat(engine.batch_size, axis=0)
    return ChunkCondition(np.ascontiguousarray(values, np.float32), part.hold, part.phase)


def _check_shape(array: NDArray[np.generic], engine: Engine, what: str) -> None:
    if array.ndim != 2 or len(array) != engine.batch_size:
        raise ValueError(f"{what} must have the shape ({engine.batch_size}, time), not {array.shape}")
