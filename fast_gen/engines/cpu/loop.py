"""The whole time loop compiled: front, layers, output layers, pick and queues; imports numba.

The order of a sample: the front's tables give the residual stream; each layer adds the newest tap's product to what
its bias and past taps gave, activates, and adds its residual and its skip; two output layers end in logits. All arrays
are those of `fast_gen.engines.cpu.packing`.

Two threads can share a sample. The leader goes through what each layer needs of the one before. The helper follows
one layer behind with what is not waited for, skips and past taps; the output layers they share by halves. Which of them
computes an output changes nothing in it.
"""

# mypy: ignore-errors
# Types are numba's here: it infers them from the call.

import numpy as np
from numba import njit

from fast_gen.engines.cpu.activation import activate
from fast_gen.engines.cpu.flags import publish, wait_for
from fast_gen.engines.cpu.pick_code import pick_code
from fast_gen.engines.cpu.pick_sample import pick_sample
from fast_gen.engines.cpu.product import add_product, address, matrix_bytes, ready_rows
from fast_gen.engines.cpu.threads import HELPER, LEADER
from fast_gen.engines.quiet import MOST_QUIET
from wavenet_app.coding import STEP
from wavenet_app.compiling.table_entry import arguments
from wavenet_app.heads import Rule
from wavenet_app.network.prediction.kernel import append_sample, row_of

_CODE, _LOGISTICS = int(Rule.CODE), int(Rule.LOGISTICS)

inlined = njit(inline="always")
"""A call would copy the 200 fields of model and state, which takes as long as a layer.

Inlining something takes numba a time that grows with the square of its length, so what is longest stands in one piece.
"""

LEADERS_SKIPS = 4
"""The leader takes one in this number of blocks of the skips, which makes both threads' shares last about as long."""


@inlined
def _blocks(outputs):
    """Returns the blocks of a padded number of outputs, and the width of each; see `packing.block_width`."""
    width = 64 if outputs % 64 == 0 else 32 if outputs % 32 == 0 else 16
    return outputs // width, width


@inlined
def _layer_bytes(model):
    """Returns the bytes of a layer's matrices in the stream: of newest tap, residual and skip."""
    residual, gates, skip = model.tables.shape[2], model.gate_biases.shape[1], len(model.skip_bias)
    return (
        matrix_bytes(model.stream, residual, gates),
        matrix_bytes(model.stream, gates // 2, residual),
        matrix_bytes(model.stream, gates // 2, skip),
    )


@inlined
def _consume_front(model, recent, hidden):
    """Writes the first layer's input of one clip, given its newest codes."""
    taps, _, residual = model.tables.shape
    if model.one_hot:
        for channel in range(residual):
            hidden[channel] = model.tables[0, recent[0], channel]
        for tap in range(1, taps):
            for channel in range(residual):
                hidden[channel] += model.tables[tap, recent[tap], channel]
    else:
        for channel in range(residual):
            hidden[channel] = model.tables[taps - 1, 1, channel]
        for tap in range(taps):
            sample = np.float32(recent[tap])
            for channel in range(residual):
                hidden[channel] += sample * model.tables[tap, 0, channel]


@inlined
def _add_prediction(model, hidden, value, size, innovation):
    """Adds three rows of linear prediction to the first layer's input of one clip."""
    for channel in range(len(hidden)):
        added = model.prediction_values[value, channel] + model.prediction_sizes[size, channel]
        hidden[channel] += added + model.prediction_innovations[innovation, channel]


@inlined
def _predict(model, state, clip):
    """Takes the newest code of a clip, and adds what linear prediction says of the next one."""
    if model.predictor.hop > 0:
        newest = state.recent[clip, -1]
        value = model.sample_values[newest] if model.one_hot else newest * model.sample_values[0]
        append_sample(value, model.predictor, state.predictor, clip)
        value_row = row_of(model.predictor.value_limits, state.predictor.predictions[clip])
        size_row = row_of(model.predictor.size_limits, state.predictor.sizes[clip])
        innovation_row = row_of(model.predictor.innovation_limits, state.predictor.innovations[clip])
        _add_prediction(model, state.hidden[clip], value_row, size_row, innovation_row)


@inlined
def _look_ahead(model, state, layer):
    """Computes the bias and the past taps' share of a layer's gates, for as many samples as its queue knows.

    Of these some may lie behind, if `aheads` is not 0.
    """
    taps, _, residual = model.tables.shape
    clips = len(state.recent)
    gates = model.gate_biases.shape[1]
    span, slots = state.spans[layer], (taps - 1) * model.dilations[layer]
    for ahead in range(span):
        for clip in range(clips):
            for channel in range(gates):
                state.gates[layer, ahead, clip, channel] = model.gate_biases[layer, channel]
    y = address(state.gates, layer * state.gates.shape[1] * clips * gates), 4 * gates
    begin, size = state.slots[layer] - state.aheads[layer], matrix_bytes(model.past, residual, gates)
    for tap in range(taps - 1):
        slot = (begin + tap * model.dilations[layer]) % slots
        x = address(state.rings, state.ring_starts[layer] + slot * clips * residual), 4 * residual
        x = ready_rows(model.past, x, residual, span * clips, 0, address(state.ready_past, 0))
        w = address(model.past, 0) + (layer * (taps - 1) + tap) * size
        add_product(model.past, w, residual, gates, 0, _blocks(gates)[0], x, y, span * clips)


@inlined
def _add_condition(condition, step, layer, gates, ahead):
    """Adds the condition of a step to a layer's gates of each clip; nothing if there are no steps."""
    if condition.shape[1] > 0:
        for clip in range(condition.shape[0]):
            for gate in range(condition.shape[3]):
                gates[layer, ahead, clip, gate] += condition[clip, step, layer, gate]


@inlined
def _queue_up(model, state, layer):
    """Puts a layer's newest input in the place of its oldest, and goes on to the next sample."""
    slot, (clips, residual) = state.slots[layer], state.hidden.shape
    place = state.ring_starts[layer] + slot * clips * residual
    for clip in range(clips):
        for channel in range(residual):
            state.rings[place + clip * residual + channel] = state.hidden[clip, channel]
    slots = (model.tables.shape[0] - 1) * model.dilations[layer]
    state.slots[layer] = slot + 1 if slot + 1 < slots else 0
    ahead = state.aheads[layer] + 1
    state.aheads[layer] = ahead if ahead < state.spans[layer] else 0


@inlined
def _set_rows(rows, bias, first, last):
    """Writes the biases of some blocks of outputs to all rows."""
    width = _blocks(len(bias))[1]
    for row in range(len(rows)):
        for channel in range(first * width, last * width):
            rows[row, channel] = bias[channel]


@inlined
def _rectify(rows, first, last):
    """Sets what is negative in some blocks of outputs to zero."""
    width = _blocks(rows.shape[1])[1]
    for row in range(len(rows)):
        for channel in range(first * width, last * width):
            rows[row, channel] = max(rows[row, channel], np.float32(0))


@inlined
def _ready_activated(model, state, layer, write):
    """Returns a layer's activations as products take them; `write` unless they are there already."""
    clips, width = state.activated.shape[1:]
    x = address(state.activated, layer * clips * width), 4 * width
    place = address(state.ready_activated, layer * state.ready_activated.shape[1])
    # tanh x sigmoid does not exceed 1
    return ready_rows(model.stream, x, width, clips if write else 0, 1, place)


@inlined
def _add_skip(model, state, layer, x, first, last):
    """Adds a layer's activations to some blocks of the skip sum."""
    clips, skip = state.skips.shape
    newest, residual, whole = _layer_bytes(model)
    w = address(model.stream, 0) + layer * (newest + residual + whole) + newest + residual
    y = address(state.skips, 0), 4 * skip
    add_product(model.stream, w, state.activated.shape[2], skip, first, last, x, y, clips)


@inlined
def _first_output(model, state, place, first, last):
    """Computes some blocks of the layer after the skip sum; `place` is free memory for the sum as products take it."""
    clips, skip = state.skips.shape
    _set_rows(state.outputs, model.output1_bias, first, last)
    w = address(model.stream, 0) + len(model.dilations) * sum(_layer_bytes(model))
    x = ready_rows(model.stream, (address(state.skips, 0), 4 * skip), skip, clips, 0, place)
    add_product(model.stream, w, skip, skip, first, last, x, (address(state.outputs, 0), 4 * skip), clips)
    _rectify(state.outputs, first, last)


@inlined
def _last_output(model, state, first, last):
    """Computes some blocks of the logits."""
    (clips, skip), codes = state.outputs.shape, state.logits.shape[1]
    _set_rows(state.logits, model.output2_bias, first, last)
    x, y = (address(state.outputs, 0), 4 * skip), (address(state.logits, 0), 4 * codes)
    add_product(model.head, address(model.head, 0), skip, codes, first, last, x, y, clips)


@inlined
def _advance_layer(model, state, condition, step, layer):
    """Takes the residual stream through a layer up to its activation; returns that as products take it."""
    clips, residual = state.hidden.shape
    gates = model.gate_biases.shape[1]
    width = gates // 2
    ahead = state.aheads[layer]
    _queue_up(model, state, layer)
    hidden = address(state.hidden, 0), 4 * residual
    x = ready_rows(model.stream, hidden, residual, clips, 0, address(state.ready_hidden, 0))
    gates_at = (layer * state.gates.shape[1] + ahead) * clips * gates
    _add_condition(condition, step, layer, state.gates, ahead)
    w = address(model.stream, 0) + layer * sum(_layer_bytes(model))
    y = address(state.gates, gates_at), 4 * gates
    add_product(model.stream, w, residual, gates, 0, _blocks(gates)[0], x, y, clips)
    for clip in range(clips):
        activate(state.gates, gates_at + clip * gates, width, state.activated, (layer * clips + clip) * width)
    return _ready_activated(model, state, layer, True)


@inlined
def _add_residual(model, state, layer, x):
    """Adds a layer's residual to the stream."""
    clips, residual = state.hidden.shape
    for clip in range(clips):
        for channel in range(residual):
            state.hidden[clip, channel] += model.residual_biases[layer, channel]
    w = address(model.stream, 0) + layer * sum(_layer_bytes(model)) + _layer_bytes(model)[0]
    y = address(state.hidden, 0), 4 * residual
    add_product(model.stream, w, state.activated.shape[2], residual, 0, _blocks(residual)[0], x, y, clips)


@inlined
def _add_newest(model, state):
    """Adds the newest sample to the outputs that are means; see `Head.means`."""
    if model.after_means > model.first_mean:
        for clip in range(len(state.recent)):
            value = np.float32(state.recent[clip, -1]) * np.float32(STEP)
            for channel in range(model.first_mean, model.after_means):
                state.logits[clip, channel] += value


@inlined
def _count_quiet(model, state, clip, code):
    """Counts how many of a clip's newest codes are quiet after one more."""
    run = state.quiet_runs[clip] + 1
    state.quiet_runs[clip] = min(run, MOST_QUIET) if abs(code - model.silence) <= model.quiet_reach else 0


def help_along(call):
    """Does the helper's share of some samples, while another thread runs `append_codes` with the same flags."""
    model, state, flags, samples = arguments(call)
    layers = len(model.dilations)
    for time in range(samples):
        done = time * (layers + 2)
        blocks = _blocks(len(model.skip_bias))[0]
        first = blocks // LEADERS_SKIPS
        _set_rows(state.skips, model.skip_bias, first, blocks)
        for layer in range(layers):
            if not wait_for(flags, LEADER, done + layer + 1):
                return
            x = _ready_activated(model, state, layer, False)
            _add_skip(model, state, layer, x, first, blocks)
            if state.aheads[layer] == 0:
                _look_ahead(model, state, layer)
        _rectify(state.skips, first, blocks)
        publish(flags, HELPER, 3 * time + 1)
        if not wait_for(flags, LEADER, done + layers + 1):
            return
        _first_output(model, state, address(state.ready_past, 0), blocks // 2, blocks)
        publish(flags, HELPER, 3 * time + 2)
        if not wait_for(flags, LEADER, done + layers + 2):
            return
        blocks = _blocks(len(model.output2_bias))[0]
        _last_output(model, state, blocks // 2, blocks)
        publish(flags, HELPER, 3 * time + 3)


def append_codes(call):
    """Appends codes (batch, time) under condition[:, (phase + time) // hold].

    Either they are known, and the outputs (batch, time, output_channels) of each are written to `logits`; or that has
    no channels, and codes are picked with `uniforms` (batch, time) and written. With `flags` another thread must run
    `help_along` for as many samples; should it give up, this ends too.
    """
    model, state, flags, codes, logits, uniforms, numbers, condition, hold, phase = arguments(call)
    scale, quiet_scale = np.float32(numbers.scale), np.float32(numbers.quiet_scale)
    known = logits.shape[2] > 0
    taps, layers = model.tables.shape[0], len(model.dilations)
    alone = len(flags) == 0
    skip_blocks, code_blocks = _blocks(len(model.skip_bias))[0], _blocks(len(model.output2_bias))[0]
    # the leader's shares; alone it does all
    skips = skip_blocks if alone else skip_blocks // LEADERS_SKIPS
    first_half, last_half = (skip_blocks, code_blocks) if alone else (skip_blocks // 2, code_blocks // 2)
    for time in range(codes.shape[1]):
        for clip in range(codes.shape[0]):
            _consume_front(model, state.recent[clip], state.hidden[clip])
            _predict(model, state, clip)
            for tap in range(taps - 1):
                state.recent[clip, tap] = state.recent[clip, tap + 1]
        _set_rows(state.skips, model.skip_bias, 0, skips)
        done, step = time * (layers + 2), (phase + time) // hold
        for layer in range(layers):
            x = _advance_layer(model, state, condition, step, layer)
            if not alone:
                publish(flags, LEADER, done + layer + 1)
            if layer + 1 < layers:
                _add_residual(model, state, layer, x)
            _add_skip(model, state, layer, x, 0, skips)
            if alone and state.aheads[layer] == 0:
                _look_ahead(model, state, layer)
        _rectify(state.skips, 0, skips)
        if not alone:
            publish(flags, LEADER, done + layers + 1)
            if not wait_for(flags, HELPER, 3 * time + 1):
                return
        _first_output(model, state, address(state.ready_hidden, 0), 0, first_half)
        if not alone:
            publish(flags, LEADER, done + layers + 2)
            if not wait_for(flags, HELPER, 3 * time + 2):
                return
        _last_output(model, state, 0, last_half)
        if not alone and not wait_for(flags, HELPER, 3 * time + 3):
            return
        _add_newest(model, state)
        for clip in range(codes.shape[0]):
            quiet = state.quiet_runs[clip] >= numbers.quiet_samples
            if known:
                for code in range(logits.shape[2]):
                    logits[clip, time, code] = state.logits[clip, code]
            elif model.rule == _CODE:
                codes[clip, time] = pick_code(
                    state.logits[clip],
                    uniforms[clip, time],
                    quiet_scale if quiet else scale,
                    numbers.top_k,
                    numbers.top_p,
                    numbers.least,
                    state.weights,
                )
            else:
                codes[clip, time] = pick_sample(
                    state.logits[clip],
                    model.rule == _LOGISTICS,
                    uniforms[clip, time],
                    numbers.quiet_temperature if quiet else numbers.temperature,
                    quiet_scale if quiet else scale,
                    state.weights,
                )
            state.recent[clip, -1] = codes[clip, time]
            _count_quiet(model, state, clip, state.recent[clip, -1])


def prime_clips(call):
    """Takes the queues through codes (batch, time), layer by layer; the first kernel_size - 1 are consumed already.

    The arithmetic is that of `append_codes`, to the bit. `space` is a `PrimeSpace` for that number of steps. The rows
    (3, batch, steps) of linear prediction are known already; there are no steps for a model without it.
    """
    model, state, read, predicted, space, condition, hold, phase = arguments(call)
    taps, _, residual = model.tables.shape
    clips = len(state.recent)
    layers, gates = model.gate_biases.shape
    width = gates // 2
    steps = read.shape[1] - (taps - 1)
    hidden, activated, rows, inputs, ready = space
    size = matrix_bytes(model.past, residual, gates)
    for clip in range(clips):
        for time in range(steps):
            _consume_front(model, read[clip, time : time + taps], hidden[time])
            if predicted.shape[2] > 0:
                found = predicted[:, clip, time]
                _add_prediction(model, hidden[time], found[0], found[1], found[2])
        for layer in range(layers):
            dilation = model.dilations[layer]
            slots = (taps - 1) * dilation
            for place in range(slots):
                slot = (state.slots[layer] + place) % slots
                ring = state.ring_starts[layer] + (slot * clips + clip) * residual
                for channel in range(residual):
                    inputs[place, channel] = state.rings[ring + channel]
            for time in range(steps):
                for channel in range(residual):
                    inputs[slots + time, channel] = hidden[time, channel]
            for place in range(slots):
                slot = (state.slots[layer] + place) % slots
                ring = state.ring_starts[layer] + (slot * clips + clip) * residual
                for channel in range(residual):
                    state.rings[ring + channel] = inputs[steps + place, channel]
            if layer + 1 == layers:
                break
            for time in range(steps):
                for gate in range(gates):
                    rows[time, gate] = model.gate_biases[layer, gate]
            y = address(rows, 0), 4 * gates
            blocks = _blocks(gates)[0]
            x = address(inputs, 0), 4 * residual
            x_start, x_stride = ready_rows(model.past, x, residual, slots + steps, 0, address(ready, 0))
            for tap in range(taps - 1):
                w = address(model.past, 0) + (layer * (taps - 1) + tap) * size
                x = x_start + tap * dilation * x_stride, x_stride
                add_product(model.past, w, residual, gates, 0, blocks, x, y, steps)
            if condition.shape[1] > 0:
                for time in range(steps):
                    for gate in range(gates):
                        rows[time, gate] += condition[clip, (phase + time) // hold, layer, gate]
            w = address(model.stream, 0) + layer * sum(_layer_bytes(model))
            x = x_start + slots * x_stride, x_stride
            add_product(model.stream, w, residual, gates, 0, blocks, x, y, steps)
            for time in range(steps):
                activate(rows, time * gates, width, activated, time * width)
                for channel in range(residual):
                    hidden[time, channel] += model.residual_biases[layer, channel]
            x = address(activated, 0), 4 * width
            x = ready_rows(model.stream, x, width, steps, 1, address(ready, 0))
            y = address(hidden, 0), 4 * residual
            w += _layer_bytes(model)[0]
            add_product(model.stream, w, width, residual, 0, _blocks(residual)[0], x, y, steps)
    for layer in range(layers):
        _look_ahead(model, state, layer)
