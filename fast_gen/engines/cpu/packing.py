"""Weights and queues laid out for a loop that computes with rows of vectors; plain arrays, no compiler needed.

Every width is padded with zeros to a multiple of `LANES`, so that no row has a remainder, and every array begins at a
cache line. A padded channel stays zero throughout: its weights and biases are zero, and tanh(0) x sigmoid(0) = 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fast_gen.engines.condition import ChunkCondition
from fast_gen.engines.quiet import MOST_QUIET, quiet_reach
from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.heads import Head
from wavenet_app.network.prediction.packed import (
    PackedPredictor,
    PredictorState,
    first_predictor_state,
    packed_predictor,
)

if TYPE_CHECKING:
    from wavenet_app.config import PredictionConfig

Array = NDArray[np.float32]
Packed = NDArray[Any]
Integers = NDArray[np.int64]

LANES = 16
"""Float32 numbers in a cache line, and in the widest vector there is."""

GROUP = 64
"""Lanes, of four bytes each, that a product takes at a time; see `packed_matrix`."""

DTYPES = {"float32": "float32", "bfloat16": "uint16", "int8": "int8"}
"""Precision of weights -> the type of an array of them, by which the compiled loop knows them."""

HEAD_PRECISION = {"float32": "float32", "bfloat16": "bfloat16", "int8": "bfloat16"}
"""Precision -> that of the last layer's weights: in int8 it alone would cost 0.008 bit a sample, all others 0.0005.

They are always float32 where the head needs that.
"""

LANE_INPUTS = {"float32": 1, "bfloat16": 2, "int8": 4}
"""Precision -> the inputs whose weights for one output share a lane."""

SCALE_BYTES = {"float32": 0, "bfloat16": 0, "int8": 8}
"""Precision -> bytes that stand for each output behind a matrix: its scale, and what `BYTE_OFFSET` adds to its sum."""

BYTE_LIMIT = 127
"""What the greatest magnitude becomes, of an output's weights or of a row of inputs, where both are bytes."""

BYTE_OFFSET = 128
"""What is added to inputs, so that their bytes have no sign."""

ROW_HEADER = 64
"""Bytes before a row of bytes, which begin with its scale."""

LOOK_AHEAD = 8
"""Samples for which the past taps of a layer are multiplied at once; more was not found to be faster."""


class PackedWeights(NamedTuple):
    """A model, padded. R, D, S and Q are the padded widths of residual stream, gate half, skip sum and logits.

    Attributes:
        tables: (kernel_size, quantization_channels + 1 or 2, R); see `GeneratorWeights.tables_with_bias`.
        stream: the matrices of all layers, packed, in the order of their use, so that memory is read in one sweep: of
            each the newest tap (R, 2 x D), the residual (D, R) and the skip (D, S); then output1 (S, S).
        past: of each layer the older taps (R, 2 x D), oldest first, packed.
        head: output2 (S, Q), packed, in its own precision.
        gate_biases: (layers, 2 x D).
        residual_biases: (layers, R).
        skip_bias: (S,).
        output1_bias: (S,).
        output2_bias: (Q,).
        dilations: (layers,).
        rule: number of the `wavenet_app.heads.Rule` by which samples are picked.
        one_hot: 1 where the front has a table row per code, else 0.
        first_mean: the first output that is a mean.
        after_means: the output after the last mean; equal to `first_mean` where there is none.
        outputs: number of outputs, without padding.
        silence: the code of silence.
        quiet_reach: how far from it a quiet code lies at most.
        prediction_values: (VALUES, R), or no rows; see `GeneratorWeights`.
        prediction_sizes: (SIZES, R), or no rows.
        prediction_innovations: (INNOVATIONS, R), or no rows.
        sample_values: the waveform value of each code, the lowest first; one value, that of a step, for 16-bit samples.
        predictor: settings of the linear predictor.
    """

    tables: Array
    stream: Packed
    past: Packed
    head: Packed
    gate_biases: Array
    residual_biases: Array
    skip_bias: Array
    output1_bias: Array
    output2_bias: Array
    dilations: Integers
    rule: int
    one_hot: int
    first_mean: int
    after_means: int
    outputs: int
    silence: int
    quiet_reach: int
    prediction_values: Array
    prediction_sizes: Array
    prediction_innovations: Array
    sample_values: NDArray[np.float64]
    predictor: PackedPredictor


class State(NamedTuple):
    """What a batch of clips remembers, and the places that a step works in. T is `LOOK_AHEAD`.

    Attributes:
        recent: (batch, kernel_size), the newest codes, of which the last is not consumed yet.
        quiet_runs: (batch,), how many of the newest codes are quiet; see `fast_gen.engines.quiet`.
        rings: of each layer (kernel_size - 1) x dilation slots of (batch, R): its past inputs.
        ring_starts: (layers,), where a layer's slots begin in `rings`.
        slots: (layers,), the slot that holds the oldest input; the newest one comes in its place.
        spans: (layers,), for how many samples the past taps are multiplied at once: a divisor of the dilation.
        aheads: (layers,), which of the samples that were looked ahead to comes next.
        gates: (layers, T, batch, 2 x D): bias and past taps' share of coming samples, then the whole.
        hidden: (batch, R).
        activated: (layers, batch, D).
        skips: (batch, S).
        outputs: (batch, S).
        logits: (batch, Q).
        weights: (output_channels,), of one clip's codes, or of the components of a mixture.
        ready_hidden: bytes for a layer's inputs as a product takes them, or the skip sum.
        ready_past: the same for the past inputs, or the skip sum.
        ready_activated: (layers, bytes), the same for each layer's activations.
        predictor: of each clip.
    """

    recent: Integers
    quiet_runs: Integers
    rings: Array
    ring_starts: Integers
    slots: Integers
    spans: Integers
    aheads: Integers
    gates: Array
    hidden: Array
    activated: Array
    skips: Array
    outputs: Array
    logits: Array
    weights: Integers
    ready_hidden: Packed
    ready_past: Packed
    ready_activated: Packed
    predictor: PredictorState


class PrimeSpace(NamedTuple):
    """The places that `fast_gen.engines.cpu.loop.prime_clips` works in, for one clip at a time.

    Attributes:
        hidden: (steps, R).
        activated: (steps, D).
        rows: (steps, 2 x D), the gates.
        inputs: (steps that the longest queue holds + steps, R), a layer's.
        ready: bytes, the same as products take them.
    """

    hidden: Array
    activated: Array
    rows: Array
    inputs: Array
    ready: Packed


def padded(width: int) -> int:
    """Returns the least multiple of LANES that holds a width.

    >>> padded(24)
    32
    """
    return -(-width // LANES) * LANES


def aligned(*shape: int) -> Array:
    """Returns zeros, float32, that begin at a cache line."""
    return _aligned_bytes(4 * int(np.prod(shape))).view(np.float32).reshape(shape)


def ready_bytes(inputs: int) -> int:
    """Returns how many bytes a row of inputs takes as bytes with its header."""
    return ROW_HEADER + inputs


def block_width(outputs: int) -> int:
    """Returns how many of a padded number of outputs are computed together: 64, 32 or 16.

    >>> [block_width(outputs) for outputs in (128, 96, 16)]
    [64, 32, 16]
    """
    return next(width for width in (GROUP, GROUP // 2, LANES) if outputs % width == 0)


def packed_matrix(matrix: Array, precision: str = "float32") -> Packed:
    """Returns a padded matrix (in, out) in the order in which a product reads it.

    The outputs fall into blocks of `block_width`; of a block, the weights of one input lie side by side, input after
    input. So each 64 numbers belong to one input and 64 outputs, or to two and 32, or to four and 16. In less than
    float32 a lane of four bytes takes the place of a number: it holds the weights of two or four inputs for one output.
    Behind a matrix of bytes stand its outputs' scales, float32, and offsets, int32; see
    `fast_gen.engines.cpu.byte_product`.

    Returns:
        One axis; its type is that of the precision in `DTYPES`.

    >>> packed_matrix(np.arange(64, dtype=np.float32).reshape(2, 32))[:3]
    array([0., 1., 2.], dtype=float32)
    """
    inputs, outputs = matrix.shape
    width, lane = block_width(outputs), LANE_INPUTS[precision]

    def ordered(values: NDArray[Any]) -> NDArray[Any]:
        return values.reshape(inputs // lane, lane, outputs // width, width).transpose(2, 0, 3, 1).ravel()

    if precision == "float32":
        return ordered(matrix)
    if precision == "bfloat16":
        return ordered(_bfloat16(matrix))
    scales = np.abs(matrix).max(axis=0) / np.float32(BYTE_LIMIT)
    weights = np.rint(matrix / np.where(scales > 0, scales, 1)).astype(np.int8)
    offsets = BYTE_OFFSET * weights.sum(axis=0, dtype=np.int32)
    return np.concatenate([ordered(weights), scales.astype(np.float32).view(np.int8), offsets.view(np.int8)])


def _bfloat16(matrix: Array) -> NDArray[np.uint16]:
    """Returns the upper halves of the nearest numbers whose lower half is zero, of two as near the even one."""
    bits = np.ascontiguousarray(matrix, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def head_precision(weights: GeneratorWeights, precision: str) -> str:
    """Returns the precision of the last layer's weights."""
    return "float32" if weights.head.float32_output else HEAD_PRECISION[precision]


def pack(weights: GeneratorWeights, precision: str = "float32") -> PackedWeights:
    """Returns a padded and packed copy of a model; the front and all biases stay float32."""
    layers, taps, residual, _ = weights.dilated.shape
    dilated = _pad(weights.dilated.reshape(layers, taps, residual, 2, -1), -3, -1)
    dilated = dilated.reshape(layers, taps, padded(residual), -1)
    residuals, skips = _pad(weights.residual, -2, -1), _pad(weights.skip, -2, -1)
    stream = [matrix for layer in zip(dilated[:, -1], residuals, skips, strict=True) for matrix in layer]
    stream.append(_pad(weights.output1, -2, -1))
    past = [matrix for layer in dilated for matrix in layer[:-1]]
    return PackedWeights(
        tables=_pad(weights.tables_with_bias(), -1),
        stream=_packed(stream, precision),
        past=_packed(past, precision),
        head=_packed([_pad(weights.output2, -2, -1)], head_precision(weights, precision)),
        gate_biases=_pad(weights.dilated_biases.reshape(layers, 2, -1), -1).reshape(layers, -1),
        residual_biases=_pad(weights.residual_biases, -1),
        skip_bias=_pad(weights.skip_bias, -1),
        output1_bias=_pad(weights.output1_bias, -1),
        output2_bias=_pad(weights.output2_bias, -1),
        dilations=np.array(weights.dilations, np.int64),
        rule=int(weights.head.rule),
        one_hot=int(weights.head.one_hot_front),
        first_mean=weights.head.means.start,
        after_means=weights.head.means.stop,
        outputs=weights.output_channels,
        silence=weights.coding.silence,
        quiet_reach=quiet_reach(weights.coding),
        prediction_values=_pad(weights.prediction_values, -1),
        prediction_sizes=_pad(weights.prediction_sizes, -1),
        prediction_innovations=_pad(weights.prediction_innovations, -1),
        sample_values=_sample_values(weights.head),
        predictor=packed_predictor(weights.prediction),
    )


def _sample_values(head: Head) -> NDArray[np.float64]:
    """Returns the waveform value of each code, or the one of a step where samples are 16-bit ones."""
    codes = np.arange(head.coding.size) if head.one_hot_front else np.ones(1, np.int64)
    return head.coding.decode(codes).astype(np.float64)


def pack_condition(condition: ChunkCondition | None, weights: GeneratorWeights, clips: slice) -> Array:
    """Returns what a condition adds to the gates of some clips: (clips, steps, layers, 2 x D); no steps without one."""
    layers, gate = weights.dilated_biases.shape[0], padded(weights.dilation_channels)
    if condition is None:
        return aligned(clips.stop - clips.start, 0, layers, 2 * gate)
    values = condition.values[clips]
    batch, steps, _ = values.shape
    by_half = values.reshape(batch, steps, layers, 2, weights.dilation_channels)
    return _pad(by_half, -1).reshape(batch, steps, layers, 2 * gate)


def first_state(
    packed: PackedWeights, head: Head, batch_size: int, prediction: PredictionConfig | None = None
) -> State:
    """Returns the state of clips whose history is one code of silence."""
    taps, _, residual = packed.tables.shape
    layers, gates = packed.gate_biases.shape
    skip, logits = len(packed.skip_bias), len(packed.output2_bias)
    lengths = [(taps - 1) * dilation * batch_size * residual for dilation in packed.dilations]
    recent = np.full((batch_size, taps), head.nothing, np.int64)
    recent[:, -1] = head.coding.silence
    # Clips share a weight as well as samples do, so a batch need not look as far ahead.
    furthest = max(1, LOOK_AHEAD // batch_size)
    spans = [max(span for span in range(1, furthest + 1) if dilation % span == 0) for dilation in packed.dilations]
    state = State(
        recent=recent,
        quiet_runs=np.full(batch_size, MOST_QUIET, np.int64),
        rings=aligned(sum(lengths)),
        ring_starts=np.cumsum([0, *lengths[:-1]]),
        # The layers look ahead in turn, so that no sample takes much longer than the others.
        slots=np.array([layer % span for layer, span in enumerate(spans)], np.int64),
        spans=np.array(spans, np.int64),
        aheads=np.array([layer % span for layer, span in enumerate(spans)], np.int64),
        gates=aligned(layers, furthest, batch_size, gates),
        hidden=aligned(batch_size, residual),
        activated=aligned(layers, batch_size, gates // 2),
        skips=aligned(batch_size, skip),
        outputs=aligned(batch_size, skip),
        logits=aligned(batch_size, logits),
        weights=np.zeros(packed.outputs, np.int64),
        ready_hidden=_aligned_bytes(batch_size * ready_bytes(max(residual, skip))),
        ready_past=_aligned_bytes(furthest * batch_size * ready_bytes(max(residual, skip))),
        ready_activated=_aligned_bytes(layers * batch_size * ready_bytes(gates // 2)).reshape(layers, -1),
        predictor=first_predictor_state(prediction, batch_size),
    )
    state.gates[:] = packed.gate_biases[:, None, None]
    return state


def prime_space(packed: PackedWeights, steps: int) -> PrimeSpace:
    """Returns the memory for taking one clip after the other through some steps."""
    taps, _, residual = packed.tables.shape
    gates = packed.gate_biases.shape[1]
    longest = (taps - 1) * int(packed.dilations.max()) + steps
    return PrimeSpace(
        hidden=aligned(steps, residual),
        activated=aligned(steps, gates // 2),
        rows=aligned(steps, gates),
        inputs=aligned(longest, residual),
        ready=_aligned_bytes(longest * ready_bytes(max(residual, gates // 2))),
    )


def _pad(array: Array, *axes: int) -> Array:
    """Returns an aligned copy in which some axes, counted from the last, are padded."""
    shape = list(array.shape)
    for axis in axes:
        shape[axis] = padded(shape[axis])
    result = aligned(*shape)
    result[tuple(slice(length) for length in array.shape)] = array
    return result


def _packed(matrices: list[Array], precision: str) -> Packed:
    """Returns packed matrices one after the other, from a cache line on."""
    array = np.concatenate([packed_matrix(matrix, precision) for matrix in matrices])
    result = _aligned_bytes(array.nbytes).view(DTYPES[precision])
    result[:] = array
    return result


def _aligned_bytes(count: int) -> NDArray[np.uint8]:
    """Returns zeros that begin at a cache line."""
    line = 4 * LANES
    memory = np.zeros(count + line, np.uint8)
    start = -memory.ctypes.data % line
    return memory[start : start + count]
