"""Weights and queues laid out for a loop that computes with rows of vectors; plain arrays, no compiler needed.

Every width is padded with zeros to a multiple of `LANES`, so that no row has a remainder, and every array begins at a
cache line. A padded channel stays zero throughout: its weights and biases are zero, and tanh(0) x sigmoid(0) = 0.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fast_gen.weights import GeneratorWeights
from wavenet_app.mu_law import silence_code

Array = NDArray[np.float32]
Integers = NDArray[np.int64]

LANES = 16
"""Float32 numbers in a cache line, and in the widest vector there is."""

GROUP = 64
"""Float32 weights that a product takes at a time; see `packed_matrix`."""

LOOK_AHEAD = 8
"""Samples for which the past taps of a layer are multiplied at once; more was not found to be faster."""


class PackedWeights(NamedTuple):
    """A model, padded. R, D, S and Q are the padded widths of residual stream, gate half, skip sum and logits.

    Attributes:
        tables: (kernel_size, quantization_channels + 1, R); the front. Its bias is in the newest tap's rows, and the
            last row of each tap is zero, for the time before the first code.
        stream: all matrices that each sample needs, packed, in the order of their use, so that memory is read in one
            sweep: of each layer the newest tap (R, 2 x D) and the residual (D, R), the last layer's left out; then the
            skips of all layers (layers x D, S), output1 (S, S) and output2 (S, Q).
        past: of each layer the older taps (R, 2 x D), oldest first, packed.
        gate_biases: (layers, 2 x D).
        residual_biases: (layers, R).
        skip_bias: (S,).
        output1_bias: (S,).
        output2_bias: (Q,).
        dilations: (layers,).
    """

    tables: Array
    stream: Array
    past: Array
    gate_biases: Array
    residual_biases: Array
    skip_bias: Array
    output1_bias: Array
    output2_bias: Array
    dilations: Integers


class State(NamedTuple):
    """What a batch of clips remembers, and the places that a step works in. T is `LOOK_AHEAD`.

    Attributes:
        recent: (batch, kernel_size), the newest codes, of which the last has been read by nobody yet.
        rings: of each layer (kernel_size - 1) x dilation slots of (batch, R): its past inputs.
        ring_starts: (layers,), where a layer's slots begin in `rings`.
        slots: (layers,), the slot that holds the oldest input; the newest one comes in its place.
        spans: (layers,), for how many samples the past taps are multiplied at once: a divisor of the dilation.
        gates: (layers, T, batch, 2 x D): bias and past taps' share of coming samples, then the whole.
        hidden: (batch, R).
        activated: (batch, layers, D).
        skips: (batch, S).
        outputs: (batch, S).
        logits: (batch, Q).
        weights: (quantization_channels,), of one clip's codes.
    """

    recent: Integers
    rings: Array
    ring_starts: Integers
    slots: Integers
    spans: Integers
    gates: Array
    hidden: Array
    activated: Array
    skips: Array
    outputs: Array
    logits: Array
    weights: NDArray[np.float64]


def padded(width: int) -> int:
    """Returns the least multiple of LANES that holds a width.

    >>> padded(24)
    32
    """
    return -(-width // LANES) * LANES


def aligned(*shape: int) -> Array:
    """Returns zeros, float32, that begin at a cache line."""
    line = 4 * LANES
    size = int(np.prod(shape))
    memory = np.zeros(4 * size + line, np.uint8)
    start = -memory.ctypes.data % line
    return memory[start : start + 4 * size].view(np.float32).reshape(shape)


def block_width(outputs: int) -> int:
    """Returns how many of a padded number of outputs are computed together: 64, 32 or 16.

    >>> [block_width(outputs) for outputs in (128, 96, 16)]
    [64, 32, 16]
    """
    return next(width for width in (GROUP, GROUP // 2, LANES) if outputs % width == 0)


def packed_matrix(matrix: Array) -> Array:
    """Returns a padded matrix (in, out) in the order in which a product reads it.

    The outputs fall into blocks of `block_width`; of a block, the weights of one input lie side by side, input after
    input. So each 64 numbers belong to one input and 64 outputs, or to two and 32, or to four and 16.

    >>> packed_matrix(np.arange(64, dtype=np.float32).reshape(2, 32))[:3]
    array([0., 1., 2.], dtype=float32)
    """
    width = block_width(matrix.shape[1])
    return matrix.reshape(len(matrix), -1, width).transpose(1, 0, 2).ravel()


def pack(weights: GeneratorWeights) -> PackedWeights:
    """Returns a padded and packed copy of a model."""
    tables = np.pad(weights.front_tables, ((0, 0), (0, 1), (0, 0)))
    tables[-1, :-1] += weights.front_bias
    layers, taps, residual, _ = weights.dilated.shape
    dilated = _pad(weights.dilated.reshape(layers, taps, residual, 2, -1), -3, -1)
    dilated = dilated.reshape(layers, taps, padded(residual), -1)
    residuals = _pad(weights.residual, -2, -1)
    stream = [matrix for layer in zip(dilated[:, -1], residuals, strict=True) for matrix in layer][:-1]
    stream.append(_pad(weights.skip, -2, -1).reshape(-1, padded(weights.skip_channels)))
    stream += [_pad(weights.output1, -2, -1), _pad(weights.output2, -2, -1)]
    past = [matrix for layer in dilated for matrix in layer[:-1]]
    return PackedWeights(
        tables=_pad(tables, -1),
        stream=_aligned_copy(np.concatenate([packed_matrix(matrix) for matrix in stream])),
        past=_aligned_copy(np.concatenate([packed_matrix(matrix) for matrix in past])),
        gate_biases=_pad(weights.dilated_biases.reshape(layers, 2, -1), -1).reshape(layers, -1),
        residual_biases=_pad(weights.residual_biases, -1),
        skip_bias=_pad(weights.skip_bias, -1),
        output1_bias=_pad(weights.output1_bias, -1),
        output2_bias=_pad(weights.output2_bias, -1),
        dilations=np.array(weights.dilations, np.int64),
    )


def first_state(weights: GeneratorWeights, batch_size: int) -> State:
    """Returns the state of clips whose history is one code of silence."""
    layers, taps = len(weights.dilations), weights.kernel_size
    residual, gate = padded(weights.residual_channels), padded(weights.dilation_channels)
    skip = padded(weights.skip_channels)
    lengths = [(taps - 1) * dilation * batch_size * residual for dilation in weights.dilations]
    recent = np.full((batch_size, taps), weights.quantization_channels, np.int64)
    recent[:, -1] = silence_code(weights.quantization_channels)
    # Clips share a weight as well as samples do, so a batch need not look as far ahead.
    furthest = max(1, LOOK_AHEAD // batch_size)
    spans = [max(span for span in range(1, furthest + 1) if dilation % span == 0) for dilation in weights.dilations]
    return State(
        recent=recent,
        rings=aligned(sum(lengths)),
        ring_starts=np.cumsum([0, *lengths[:-1]]),
        slots=np.zeros(layers, np.int64),
        spans=np.array(spans, np.int64),
        gates=aligned(layers, furthest, batch_size, 2 * gate),
        hidden=aligned(batch_size, residual),
        activated=aligned(batch_size, layers, gate),
        skips=aligned(batch_size, skip),
        outputs=aligned(batch_size, skip),
        logits=aligned(batch_size, padded(weights.quantization_channels)),
        weights=np.zeros(weights.quantization_channels),
    )


def _pad(array: Array, *axes: int) -> Array:
    """Returns an aligned copy in which some axes, counted from the last, are padded."""
    shape = list(array.shape)
    for axis in axes:
        shape[axis] = padded(shape[axis])
    result = aligned(*shape)
    result[tuple(slice(length) for length in array.shape)] = array
    return result


def _aligned_copy(array: Array) -> Array:
    result = aligned(*array.shape)
    result[:] = array
    return result
