# mypy: allow-untyped-defs
"""Kernels of Triton for the layers of a stack in training: one forward, and two backward, for each layer.

Activations are (batch, time, channels), contiguous. A program works on `BLOCK` steps of a clip. Widths are powers of
two, at least 16. The outputs of a layer begin `cut` steps into its input, and the skip sum wants them from step `lead`
on.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _product(inputs, matrix, total):
    # of float32 three products of parts on tensor cores, which are nearly as exact as one without
    return tl.dot(inputs.to(matrix.dtype), matrix, total, input_precision="tf32x3")


@triton.jit
def _matrix(pointer, IN: tl.constexpr, OUT: tl.constexpr, WIDTH: tl.constexpr):
    """Loads (IN, OUT) of a matrix whose rows are `WIDTH` long."""
    return tl.load(pointer + tl.arange(0, IN)[:, None] * WIDTH + tl.arange(0, OUT)[None, :])


@triton.jit
def _transposed(pointer, IN: tl.constexpr, OUT: tl.constexpr, WIDTH: tl.constexpr):
    """Loads the transpose (OUT, IN) of what `_matrix` loads."""
    return tl.load(pointer + tl.arange(0, IN)[None, :] * WIDTH + tl.arange(0, OUT)[:, None])


@triton.jit
def _rows(pointer, row, length, WIDTH: tl.constexpr, CHANNELS: tl.constexpr):
    """Loads some steps of a clip; those before its first and after its last are zero."""
    channel = tl.arange(0, CHANNELS)[None, :]
    inside = (row >= 0) & (row < length)
    return tl.load(pointer + row.to(tl.int64)[:, None] * WIDTH + channel, mask=inside[:, None], other=0.0)


@triton.jit
def _store_rows(pointer, row, first, length, values, WIDTH: tl.constexpr, CHANNELS: tl.constexpr):
    channel = tl.arange(0, CHANNELS)[None, :]
    inside = (row >= first) & (row < length)
    place = pointer + row.to(tl.int64)[:, None] * WIDTH + channel
    tl.store(place, values.to(pointer.dtype.element_ty), mask=inside[:, None])


@triton.jit
def _sigmoid(x):
    return 1 / (1 + tl.exp(-x))


@triton.jit
def layer_forward(
    hidden,
    matrix,
    shift,
    residual,
    residual_bias,
    squash,
    joined,
    following,
    before,
    steps,
    cut,
    lead,
    dilation,
    shift_steps,
    hold,
    phase,
    joined_steps,
    TAPS: tl.constexpr,
    R: tl.constexpr,
    D: tl.constexpr,
    JOINED: tl.constexpr,
    RESIDUAL: tl.constexpr,
    PER_CLIP: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Computes the gates, the activations and the next layer's input.

    Args:
        hidden: float32 (batch, before, R).
        matrix: (TAPS x R, 2 x D), oldest tap first, the filter half scaled by -2.
        shift: (batch, shift_steps, 2 x D) if PER_CLIP, else (1, 1, 2 x D): what is added to the gates, scaled so too.
        residual: (D, R).
        residual_bias: (R,).
        squash: written, (batch, steps, 2 x D): the sigmoids.
        joined: written, from its channel on that is the layer's first: (batch, joined_steps, JOINED).
        following: written, float32 (batch, steps, R).
    """
    clip = tl.program_id(1).to(tl.int64)
    step = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    source = hidden + clip * before * R
    filters = tl.zeros([BLOCK, D], tl.float32)
    gates = tl.zeros([BLOCK, D], tl.float32)
    for tap in tl.static_range(TAPS):
        inputs = _rows(source, step + cut - (TAPS - 1 - tap) * dilation, before, R, R)
        filters = _product(inputs, _matrix(matrix + tap * R * 2 * D, R, D, 2 * D), filters)
        gates = _product(inputs, _matrix(matrix + tap * R * 2 * D + D, R, D, 2 * D), gates)
    channel = tl.arange(0, D)[None, :]
    which = tl.minimum((step + phase) // hold, shift_steps - 1)
    if PER_CLIP:
        which += clip * shift_steps
    own = shift + which[:, None] * 2 * D
    filters = _sigmoid(filters + tl.load(own + channel)).to(squash.dtype.element_ty)
    gates = _sigmoid(gates + tl.load(own + D + channel)).to(squash.dtype.element_ty)
    kept = squash + clip * steps * 2 * D
    _store_rows(kept, step, 0, steps, filters, 2 * D, D)
    _store_rows(kept + D, step, 0, steps, gates, 2 * D, D)
    wide = gates.to(tl.float32)
    activated = (wide - 2 * filters.to(tl.float32) * wide).to(squash.dtype.element_ty)
    _store_rows(joined + clip * joined_steps * JOINED, step - lead, 0, joined_steps, activated, JOINED, D)
    if RESIDUAL:
        total = tl.zeros([BLOCK, R], tl.float32) + tl.load(residual_bias + tl.arange(0, R))[None, :]
        total = _product(activated, _matrix(residual, D, R, R), total)
        total += _rows(source, step + cut, before, R, R)
        _store_rows(following + clip * steps * R, step, 0, steps, total, R, R)


@triton.jit
def gate_backward(
    stream,
    squash,
    from_skips,
    residual,
    inner,
    activations,
    steps,
    lead,
    joined_steps,
    R: tl.constexpr,
    D: tl.constexpr,
    JOINED: tl.constexpr,
    RESIDUAL: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Computes the gradient before the sigmoids, whose filter half is still to be multiplied by 4.

    Args:
        stream: float32 (batch, steps, R), gradient of the next layer's input.
        squash: (batch, steps, 2 x D).
        from_skips: (batch, joined_steps, JOINED), from the layer's first channel on: gradient of the activations.
        residual: (D, R).
        inner: written, (batch, steps, 2 x D).
        activations: written, (batch, steps, D).
    """
    clip = tl.program_id(1).to(tl.int64)
    step = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    gradient = _rows(from_skips + clip * joined_steps * JOINED, step - lead, joined_steps, JOINED, D).to(tl.float32)
    if RESIDUAL:
        narrow = _rows(stream + clip * steps * R, step, steps, R, R).to(residual.dtype.element_ty)
        gradient = _product(narrow, _transposed(residual, D, R, R), gradient)
    kept = squash + clip * steps * 2 * D
    filters = _rows(kept, step, steps, 2 * D, D).to(tl.float32)
    gates = _rows(kept + D, step, steps, 2 * D, D).to(tl.float32)
    activated = gates - 2 * filters * gates
    product = gradient * activated
    out = inner + clip * steps * 2 * D
    _store_rows(out, step, 0, steps, gradient * gates * (filters - filters * filters), 2 * D, D)
    _store_rows(out + D, step, 0, steps, product - product * gates, 2 * D, D)
    _store_rows(activations + clip * steps * D, step, 0, steps, activated, D, D)


@triton.jit
def taps_backward(
    stream,
    inner,
    matrix,
    earlier,
    before,
    steps,
    cut,
    dilation,
    TAPS: tl.constexpr,
    R: tl.constexpr,
    D: tl.constexpr,
    STREAM: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Computes the gradient of a layer's input, each step of which gathers it from the steps that read it.

    Args:
        stream: float32 (batch, steps, R), gradient of the next layer's input.
        inner: (batch, steps, 2 x D).
        matrix: (TAPS x R, 2 x D), oldest tap first, the filter half scaled by 4.
        earlier: written, float32 (batch, before, R).
    """
    clip = tl.program_id(1).to(tl.int64)
    step = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    total = tl.zeros([BLOCK, R], tl.float32)
    if STREAM:
        total += _rows(stream + clip * steps * R, step - cut, steps, R, R)
    own = inner + clip * steps * 2 * D
    for tap in tl.static_range(TAPS):
        reader = step - cut + (TAPS - 1 - tap) * dilation
        filters = _rows(own, reader, steps, 2 * D, D)
        gates = _rows(own + D, reader, steps, 2 * D, D)
        total = _product(filters, _transposed(matrix + tap * R * 2 * D, R, D, 2 * D), total)
        total = _product(gates, _transposed(matrix + tap * R * 2 * D + D, R, D, 2 * D), total)
    _store_rows(earlier + clip * before * R, step, 0, before, total, R, R)
