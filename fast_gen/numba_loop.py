"""The whole time loop compiled: front, layers, output layers, pick and queues; imports numba.

The order of a sample: the front's tables give the residual stream; each layer adds the newest tap's product to what
its bias and past taps gave, activates, and adds its residual; one product takes all layers' activations to the skip
sum; two output layers end in logits. All arrays are those of `fast_gen.packing`.
"""

# mypy: ignore-errors
# Types are numba's here: it infers them from the call.

import numpy as np
from numba import njit

from fast_gen.compiled import compiled
from fast_gen.numba_math import activate
from fast_gen.numba_pick import pick_code
from fast_gen.numba_product import add_product, address


@njit
def _consume_front(model, recent, hidden):
    """Writes the first layer's input of one clip, given its newest codes."""
    taps, _, residual = model.tables.shape
    for channel in range(residual):
        hidden[channel] = model.tables[0, recent[0], channel]
    for tap in range(1, taps):
        for channel in range(residual):
            hidden[channel] += model.tables[tap, recent[tap], channel]


@njit
def _look_ahead(model, state, layer):
    """Computes the bias and the past taps' share of a layer's gates, for as many samples as its queue knows."""
    taps, _, residual = model.tables.shape
    clips = len(state.recent)
    gates = model.gate_biases.shape[1]
    span, slots = state.spans[layer], (taps - 1) * model.dilations[layer]
    for ahead in range(span):
        for clip in range(clips):
            for channel in range(gates):
                state.gates[layer, ahead, clip, channel] = model.gate_biases[layer, channel]
    y = address(state.gates, layer * state.gates.shape[1] * clips * gates)
    w = address(model.past, layer * (taps - 1) * residual * gates)
    for tap in range(taps - 1):
        slot = (state.slots[layer] + tap * model.dilations[layer]) % slots
        x = address(state.rings, state.ring_starts[layer] + slot * clips * residual)
        w = add_product(w, residual, gates, x, residual, y, gates, span * clips)


@njit
def _queue_up(model, state, layer):
    """Puts a layer's newest input in the place of its oldest."""
    slot, (clips, residual) = state.slots[layer], state.hidden.shape
    place = state.ring_starts[layer] + slot * clips * residual
    for clip in range(clips):
        for channel in range(residual):
            state.rings[place + clip * residual + channel] = state.hidden[clip, channel]
    slots = (model.tables.shape[0] - 1) * model.dilations[layer]
    state.slots[layer] = slot + 1 if slot + 1 < slots else 0


@njit
def _advance(model, state):
    """Consumes the newest code of each clip, and leaves the logits of the next one in the state."""
    taps, _, residual = model.tables.shape
    clips = len(state.recent)
    layers, gates = model.gate_biases.shape
    width = gates // 2
    for clip in range(clips):
        _consume_front(model, state.recent[clip], state.hidden[clip])
        for tap in range(taps - 1):
            state.recent[clip, tap] = state.recent[clip, tap + 1]
    hidden = address(state.hidden, 0)
    w = address(model.stream, 0)
    for layer in range(layers):
        ahead = state.slots[layer] % state.spans[layer]
        if ahead == 0:
            _look_ahead(model, state, layer)
        _queue_up(model, state, layer)
        gates_at = (layer * state.gates.shape[1] + ahead) * clips * gates
        w = add_product(w, residual, gates, hidden, residual, address(state.gates, gates_at), gates, clips)
        for clip in range(clips):
            activate(state.gates, gates_at + clip * gates, width, state.activated, (clip * layers + layer) * width)
        if layer + 1 < layers:
            for clip in range(clips):
                for channel in range(residual):
                    state.hidden[clip, channel] += model.residual_biases[layer, channel]
            x = address(state.activated, layer * width)
            w = add_product(w, width, residual, x, layers * width, hidden, residual, clips)
    _output_layers(model, state, w)


@njit
def _output_layers(model, state, w):
    """Takes the activations of all layers to logits."""
    clips, layers, width = state.activated.shape
    skip, codes = len(model.skip_bias), len(model.output2_bias)
    for clip in range(clips):
        for channel in range(skip):
            state.skips[clip, channel] = model.skip_bias[channel]
            state.outputs[clip, channel] = model.output1_bias[channel]
        for code in range(codes):
            state.logits[clip, code] = model.output2_bias[code]
    activated, skips = address(state.activated, 0), address(state.skips, 0)
    outputs, logits = address(state.outputs, 0), address(state.logits, 0)
    w = add_product(w, layers * width, skip, activated, layers * width, skips, skip, clips)
    _rectify(state.skips)
    w = add_product(w, skip, skip, skips, skip, outputs, skip, clips)
    _rectify(state.outputs)
    add_product(w, skip, codes, outputs, skip, logits, codes, clips)


@njit
def _rectify(rows):
    for row in range(rows.shape[0]):
        for channel in range(rows.shape[1]):
            rows[row, channel] = max(rows[row, channel], np.float32(0))


@compiled
def append_codes(model, state, codes, logits, uniforms, temperature, top_k, top_p):
    """Appends codes (batch, time).

    Either they are known, and the logits (batch, time, quantization_channels) of each are written; or `logits` has no
    channels, and the codes are picked with `uniforms` (batch, time) and written.
    """
    known = logits.shape[2] > 0
    for time in range(codes.shape[1]):
        _advance(model, state)
        for clip in range(codes.shape[0]):
            if known:
                for code in range(logits.shape[2]):
                    logits[clip, time, code] = state.logits[clip, code]
            else:
                codes[clip, time] = pick_code(
                    state.logits[clip], uniforms[clip, time], temperature, top_k, top_p, state.weights
                )
            state.recent[clip, -1] = codes[clip, time]


@compiled
def prime_clip(model, state, clip, read):
    """Takes one clip's queues through codes, layer by layer; the first kernel_size - 1 are consumed already.

    The arithmetic is that of `_advance`, to the bit. All clips must be primed before the slots begin anew.
    """
    taps, _, residual = model.tables.shape
    clips = len(state.recent)
    layers, gates = model.gate_biases.shape
    width = gates // 2
    steps = len(read) - (taps - 1)
    hidden = np.empty((steps, residual), np.float32)
    activated = np.empty((steps, width), np.float32)
    rows = np.empty((steps, gates), np.float32)
    for time in range(steps):
        _consume_front(model, read[time : time + taps], hidden[time])
    past, w = address(model.past, 0), address(model.stream, 0)
    for layer in range(layers):
        dilation = model.dilations[layer]
        slots = (taps - 1) * dilation
        inputs = np.empty((slots + steps, residual), np.float32)
        for place in range(slots):
            slot = (state.slots[layer] + place) % slots
            ring = state.ring_starts[layer] + (slot * clips + clip) * residual
            for channel in range(residual):
                inputs[place, channel] = state.rings[ring + channel]
        for time in range(steps):
            for channel in range(residual):
                inputs[slots + time, channel] = hidden[time, channel]
        for place in range(slots):
            ring = state.ring_starts[layer] + (place * clips + clip) * residual
            for channel in range(residual):
                state.rings[ring + channel] = inputs[steps + place, channel]
        if layer + 1 == layers:
            return
        for time in range(steps):
            for gate in range(gates):
                rows[time, gate] = model.gate_biases[layer, gate]
        y = address(rows, 0)
        for tap in range(taps - 1):
            x = address(inputs, tap * dilation * residual)
            past = add_product(past, residual, gates, x, residual, y, gates, steps)
        w = add_product(w, residual, gates, address(hidden, 0), residual, y, gates, steps)
        for time in range(steps):
            activate(rows, time * gates, width, activated, time * width)
            for channel in range(residual):
                hidden[time, channel] += model.residual_biases[layer, channel]
        w = add_product(w, width, residual, address(activated, 0), width, address(hidden, 0), residual, steps)
