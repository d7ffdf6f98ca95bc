"""What happens between the matrix products of a stack of gated blocks, each step in one pass; imports numba.

Arrays are contiguous, one row a time step, channels last; "narrow" ones have the type of the products: float32, or
bfloat16 as uint16. Everything is computed in float32 and rounded once, when it is stored. Each kernel works through
some rows of one clip, in an order that depends on nothing but the shapes, so results are the same to the bit.

Each kernel takes the table of a call of the function of its name in `wavenet_app.network.stack.functions`.
"""

# mypy: ignore-errors
# Types are numba's here: it infers them from the call.

from __future__ import annotations

from numba import njit

from wavenet_app.compiling.table_entry import arguments
from wavenet_app.compiling.vectors import LANES, copy, exp_minus, load, multiply_add, rounded, splat, store

SQUASH_ERROR = 5e-7
"""Greatest error of the sigmoids, before they are rounded to the narrow type."""

_TILE = 64  # rows taken through all channels at a time, so that they stay in the first-level cache


def gather_taps(call):
    """Lays the inputs of each output side by side.

    Arguments, in this order:
        source: narrow (time, channels).
        first: row of `source` that is the newest tap of the first output.
        dilation: rows from one tap to the next.
        kernel_size: number of taps.
        taps: narrow (at least length, kernel_size x channels); written, oldest tap first, zero before all time.
        length: number of outputs.
    """
    source, first, dilation, kernel_size, taps, length = arguments(call)
    channels = source.shape[1]
    for row in range(length):
        for tap in range(kernel_size):
            seen = first + row - (kernel_size - 1 - tap) * dilation
            place = row * taps.shape[1] + tap * channels
            for channel in range(0, channels, LANES):
                left = channels - channel
                if seen >= 0:
                    copy(taps, place + channel, source, seen * channels + channel, left)
                else:
                    store(taps, place + channel, left, splat(0.0))


def squash_and_activate(call):
    """Adds biases to products, takes their sigmoid, and multiplies both halves to the activation.

    Arguments, in this order:
        squashed: narrow (steps, 2 x width); products before, sigmoids of -2 x filter and of the gate after.
        first: its first row to work on.
        length: number of rows.
        biases: float32 (bias steps, 2 x width); at row r of `squashed`, (phase + r) // hold is added.
        hold: rows with the same bias.
        phase: rows of the first bias that lie before row 0.
        activated: narrow (at least length, width); written.
        joined: narrow (wanted steps, layers x width); gets the activations of steps from `lead` on.
        column: where in its rows.
        lead: steps of this layer that the skip sum does not want.
    """
    squashed, first, length, biases, hold, phase, activated, joined, column, lead = arguments(call)
    width, row_width = activated.shape[1], joined.shape[1]
    for channel in range(0, width, LANES):
        left = width - channel
        run = 0
        while run < length:
            bias_step = (phase + first + run) // hold
            run_end = min(length, (bias_step + 1) * hold - phase - first)
            bias_place = bias_step * 2 * width + channel
            filter_bias, gate_bias = load(biases, bias_place, left), load(biases, bias_place + width, left)
            for row in range(run, run_end):
                step = first + row
                place = step * 2 * width + channel
                # both sigmoids, 1 / (1 + exp(-x)), with one division
                filter_part = splat(1.0) + exp_minus(load(squashed, place, left) + filter_bias)
                gate_part = splat(1.0) + exp_minus(load(squashed, place + width, left) + gate_bias)
                inverse = splat(1.0) / (filter_part * gate_part)
                filtered = rounded(squashed, gate_part * inverse)
                gate = rounded(squashed, filter_part * inverse)
                store(squashed, place, left, filtered)
                store(squashed, place + width, left, gate)
                product = _activation(filtered, gate)
                store(activated, row * width + channel, left, product)
                if step >= lead:
                    store(joined, (step - lead) * row_width + column + channel, left, product)
            run = run_end


def add_residual(call):
    """Adds a layer's step to the residual stream.

    Arguments, in this order:
        before: float32 (time, channels).
        first: row of `before` and `after` to begin with.
        length: number of rows.
        step: narrow (at least length, channels), without its bias.
        bias: float32 (channels).
        after: float32 (time, channels); written; may be `before`.
        narrow: narrow (some steps, channels); written too.
        narrow_first: its row that stands for row `first`.
    """
    before, first, length, step, bias, after, narrow, narrow_first = arguments(call)
    channels = before.shape[1]
    for channel in range(0, channels, LANES):
        left = channels - channel
        bias_here = load(bias, channel, left)
        for row in range(length):
            place = (first + row) * channels + channel
            total = load(before, place, left) + (load(step, row * channels + channel, left) + bias_here)
            store(after, place, left, total)
            store(narrow, (narrow_first + row) * channels + channel, left, total)


def gate_gradient(call):
    """Takes the gradient of the activation through both sigmoids; the filter half misses its factor of 4.

    Arguments, in this order:
        gradient: narrow (at least length, width), what comes from the residual stream.
        joined_gradient: narrow (wanted steps, layers x width), what comes from the skip sum.
        column: where in its rows.
        lead: steps of this layer that the skip sum does not want.
        squashed: narrow (steps, 2 x width), as `squash_and_activate` leaves it.
        first: its first row to work on.
        length: number of rows.
        activated: narrow (at least length, width); overwritten.
        inner: narrow (at least length, 2 x width); the gradient before the sigmoids, written.
        bias_gradients: float32 (bias steps, 2 x width); to each, the sum over its rows of `inner` is added.
        hold: as in `squash_and_activate`, and so is `phase`.
        phase: rows of the first bias that lie before row 0.
    """
    (
        gradient,
        joined_gradient,
        column,
        lead,
        squashed,
        first,
        length,
        activated,
        inner,
        bias_gradients,
        hold,
        phase,
    ) = arguments(call)
    width, row_width = activated.shape[1], joined_gradient.shape[1]
    tile = 0
    while tile < length:
        # a tile lies within one bias, so that its sum goes to one place
        bias_step = (phase + first + tile) // hold
        tile_end = min(tile + _TILE, length, (bias_step + 1) * hold - phase - first)
        for channel in range(0, width, LANES):
            left = width - channel
            filter_sum, gate_sum = splat(0.0), splat(0.0)
            for row in range(tile, tile_end):
                step = first + row
                place = step * 2 * width + channel
                filtered, gate = load(squashed, place, left), load(squashed, place + width, left)
                product = rounded(activated, _activation(filtered, gate))
                store(activated, row * width + channel, left, product)
                total = load(gradient, row * width + channel, left)
                if step >= lead:
                    total += load(joined_gradient, (step - lead) * row_width + column + channel, left)
                filter_slope = multiply_add(splat(0.0) - filtered, filtered, filtered)
                filter_gradient = rounded(inner, total * gate * filter_slope)
                gate_part = total * product
                gate_gradient = rounded(inner, multiply_add(splat(0.0) - gate_part, gate, gate_part))
                inner_place = row * 2 * width + channel
                store(inner, inner_place, left, filter_gradient)
                store(inner, inner_place + width, left, gate_gradient)
                filter_sum += filter_gradient
                gate_sum += gate_gradient
            _add(bias_gradients, bias_step * 2 * width + channel, left, filter_sum)
            _add(bias_gradients, bias_step * 2 * width + width + channel, left, gate_sum)
        tile = tile_end


def stream_gradient(call):
    """Adds the gradients of all taps to that of the residual stream: `gather_taps` the other way round.

    Arguments, in this order:
        stream: float32 (time, channels), gradient of a layer's output; becomes that of its input. Before the first
            output it is not read.
        first: its first row to work on.
        length: number of rows.
        taps_gradient: narrow (at least steps, kernel_size x channels); what belongs to these rows must be in it.
        offset: row of `stream` that stands for the layer's first output, and for the first row of `taps_gradient`.
        steps: the layer's outputs.
        dilation: rows from one tap to the next.
        kernel_size: number of taps.
        narrow: narrow (time, channels); the result once more. May be `stream`.
        total: float32 (channels); the sum over the rows is added.
    """
    stream, first, length, taps_gradient, offset, steps, dilation, kernel_size, narrow, total = arguments(call)
    channels = stream.shape[1]
    for tile in range(first, first + length, _TILE):
        tile_end = min(tile + _TILE, first + length)
        for channel in range(0, channels, LANES):
            left = channels - channel
            tile_sum = splat(0.0)
            for row in range(tile, tile_end):
                place = row * channels + channel
                gradient = load(stream, place, left) if row >= offset else splat(0.0)
                for tap in range(kernel_size):
                    reader = row - offset + (kernel_size - 1 - tap) * dilation
                    if 0 <= reader < steps:
                        gradient += load(taps_gradient, (reader * kernel_size + tap) * channels + channel, left)
                store(stream, place, left, gradient)
                store(narrow, place, left, gradient)
                tile_sum += gradient
            _add(total, channel, left, tile_sum)


@njit
def _activation(filtered, gate):
    """Returns tanh(filter) x sigmoid(gate) from the sigmoids of -2 x filter and of the gate."""
    return multiply_add(splat(-2.0) * filtered, gate, gate)


@njit
def _add(array, place, left, value):
    store(array, place, left, load(array, place, left) + value)
