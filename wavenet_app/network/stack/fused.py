"""A whole stack of gated causal blocks as one differentiable operation, the fast twin of `ResidualBlock.forward`.

It computes the same function from the same parameters in less time: activations lie channels-last, so every
convolution is one matrix product over its concatenated taps; all skips are one product; tanh is a sigmoid, which costs
a seventh of it; nothing is computed for places that the loss does not need; and the backward pass is written out, so
that it keeps and touches only what it uses. The products can be taken in bfloat16; sums stay in float32.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from wavenet_app.network.stack.layout import (
    FILTER_SCALE,
    FILTER_SLOPE,
    Held,
    half_scaled,
    needed_starts,
    of_layer,
    skip_matrix,
    split_layers,
    to_matrix,
    to_weight,
)

# On a CPU each layer is worked through in pieces that stay in the second-level cache between one operation and the
# next; smaller ones lose more to the calls than the cache gives. A GPU is fed by everything at once.
_PIECE_BYTES = 16_384  # of one channel

Piece = tuple[slice, slice]
"""Rows of the batch and time steps, the latter counted from the first step of a layer's output."""


class SkipSum(torch.autograd.Function):
    """The sum of all skips as PyTorch's own operations write it: for any device and type, and the kernels' reference.

    It takes what `skip_sum.skip_sum` does, the parameters of each layer as `stack_layout.split_layers` expects them.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        condition: Tensor | None,
        held: Held,
        dilations: tuple[int, ...],
        start: int,
        dtype: torch.dtype,
        *parameters: Tensor,
    ) -> Tensor:
        """Returns (batch, time - start, skip_channels), channels last, in `dtype`."""
        layers = split_layers(parameters, len(dilations))
        kernel_size, width = layers[0][0].shape[2], layers[0][2].shape[1]
        starts = needed_starts(kernel_size, dilations, start)
        batch, time, channels = hidden.shape
        joined = hidden.new_empty(batch, time - start, len(layers) * width, dtype=dtype)
        inputs: list[Tensor] = []
        squashed: list[Tensor] = []
        for layer, dilation in enumerate(dilations):
            steps = time - starts[layer + 1]
            lead = start - starts[layer + 1]
            matrix = half_scaled(to_matrix(layers[layer][0]), FILTER_SCALE).to(dtype)
            shift = half_scaled(layers[layer][1], FILTER_SCALE).to(dtype)
            if condition is not None:
                by_step = of_layer(condition, layer, width) + layers[layer][1]
                shifts = half_scaled(by_step, FILTER_SCALE).to(dtype)
            residual = layers[layer][4:] if layer < len(layers) - 1 else ()
            following = hidden.new_empty(batch, steps, channels) if residual else hidden
            squash = hidden.new_empty(batch, steps, 2 * width, dtype=dtype)
            now = hidden[:, starts[layer + 1] - starts[layer] :]
            for piece in _pieces(squash):
                taps = _gather_taps(hidden, piece, kernel_size, dilation, starts[layer + 1] - starts[layer], dtype)
                if condition is not None:
                    shift = _flat(_spread(shifts, piece, held.later(starts[layer + 1])))
                squash[piece] = torch.addmm(shift, _flat(taps), matrix).sigmoid_().view(squash[piece].shape)
                activated = _activated(squash[piece])
                _copy_from_lead(joined[..., layer * width : (layer + 1) * width], activated, piece, lead)
                if residual:
                    step = torch.addmm(residual[1].to(dtype), _flat(activated), to_matrix(residual[0]).to(dtype))
                    torch.add(now[piece], step.view(following[piece].shape), out=following[piece])
            inputs.append(hidden)
            squashed.append(squash)
            hidden = following
        ctx.save_for_backward(joined, *parameters, *inputs, *squashed)
        ctx.geometry = dilations, starts, dtype, len(parameters), held, None if condition is None else condition.shape
        skip_bias = torch.stack([layer[3] for layer in layers]).sum(0).to(dtype)
        return torch.addmm(skip_bias, _flat(joined), skip_matrix(layers, dtype)).view(batch, time - start, -1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        """Returns the gradients of hidden and condition, four times None, and the gradient of each parameter."""
        dilations, starts, dtype, count, held, condition_shape = ctx.geometry
        joined, *rest = ctx.saved_tensors
        layers = split_layers(rest[:count], len(dilations))
        inputs, squashed = rest[count : count + len(layers)], rest[count + len(layers) :]
        kernel_size, width = layers[0][0].shape[2], layers[0][2].shape[1]
        skip_gradient = gradients[0].to(dtype).contiguous()
        skip_weight_gradient = torch.mm(_flat(joined).t(), _flat(skip_gradient)).to(inputs[0].dtype)
        skip_bias_gradient = _flat(skip_gradient).sum(0, dtype=inputs[0].dtype)
        joined_gradient = torch.mm(_flat(skip_gradient), skip_matrix(layers, dtype).t()).view(joined.shape)

        condition_gradient = None if condition_shape is None else inputs[0].new_zeros(condition_shape)
        stream: Tensor | None = None  # gradient of the layer's residual output, never narrowed
        by_layer: list[list[Tensor | None]] = []
        for layer in reversed(range(len(layers))):
            hidden, squash = inputs[layer], squashed[layer]
            cut = starts[layer + 1] - starts[layer]
            slope = half_scaled(to_matrix(layers[layer][0]), FILTER_SLOPE).to(dtype)
            matrix_gradient = torch.zeros_like(slope, dtype=hidden.dtype)
            bias_gradient = hidden.new_zeros(2 * width)
            residual = layers[layer][4:] if stream is not None else ()
            residual_gradients = (
                [hidden.new_zeros(width, hidden.shape[2]), hidden.new_zeros(hidden.shape[2])] if residual else []
            )
            before = torch.zeros_like(hidden)
            if stream is not None:
                before[:, cut:] = stream
            from_skips = joined_gradient[..., layer * width : (layer + 1) * width]
            for piece in _pieces(squash):
                activated = _activated(squash[piece])
                if stream is None:
                    gradient = torch.zeros_like(activated)
                else:
                    whole = _flat(stream[piece])
                    narrow = whole.to(dtype)
                    gradient = torch.mm(narrow, to_matrix(residual[0]).t().to(dtype)).view(activated.shape)
                    residual_gradients[0] += torch.mm(_flat(activated).t(), narrow)
                    residual_gradients[1] += whole.sum(0)
                _add_from_lead(gradient, from_skips, piece, starts[-1] - starts[layer + 1])
                inner_gradient = _gate_gradient(gradient, squash[piece], activated)
                if condition_gradient is not None:
                    target = of_layer(condition_gradient, layer, width)
                    gather_held(target, inner_gradient, piece, held.later(starts[layer + 1]))
                inner = _flat(inner_gradient)
                taps = _gather_taps(hidden, piece, kernel_size, dilations[layer], cut, dtype)
                matrix_gradient += torch.mm(_flat(taps).t(), inner)
                bias_gradient += inner.sum(0, dtype=hidden.dtype)
                taps_gradient = torch.mm(inner, slope.t()).view(taps.shape)
                _scatter_taps(before, taps_gradient, piece, kernel_size, dilations[layer], cut)
            if condition_gradient is not None:
                of_layer(condition_gradient, layer, width)[..., :width] *= FILTER_SLOPE
            by_layer.append(
                [
                    to_weight(half_scaled(matrix_gradient, FILTER_SLOPE), kernel_size),
                    half_scaled(bias_gradient, FILTER_SLOPE),
                    to_weight(skip_weight_gradient[layer * width : (layer + 1) * width], 1),
                    skip_bias_gradient,
                ]
            )
            if residual:
                by_layer[-1] += [to_weight(residual_gradients[0], 1), residual_gradients[1]]
            else:
                by_layer[-1] += [None] * (len(layers[layer]) - 4)
            stream = before
        flat_gradients = [gradient for layer_gradients in reversed(by_layer) for gradient in layer_gradients]
        return stream, condition_gradient, None, None, None, None, *flat_gradients


def _spread(steps: Tensor, piece: Piece, held: Held) -> Tensor:
    """Returns what (batch, steps, channels) is at each time of a piece: (rows, times, channels)."""
    rows, times = piece
    if steps.shape[1] == 1:
        return steps[rows].expand(-1, times.stop - times.start, -1)
    first = held.phase + times.start
    step, last = first // held.hold, (held.phase + times.stop - 1) // held.hold
    wanted = steps[rows, step : last + 1]
    spread = wanted.unsqueeze(2).expand(-1, -1, held.hold, -1).flatten(1, 2)
    begin = first - step * held.hold
    return spread[:, begin : begin + times.stop - times.start]


def gather_held(target: Tensor, source: Tensor, piece: Piece, held: Held) -> None:
    """Adds (rows, times, channels) of a piece where `_spread` took it from."""
    rows, times = piece
    goal = target[rows]
    if target.shape[1] == 1:
        goal[:, 0] += source.sum(1, dtype=target.dtype)
        return
    first, stop = held.phase + times.start, held.phase + times.stop
    # steps that are wholly in the piece are summed at once, those at its ends by themselves
    begin = min(-(-first // held.hold) * held.hold, stop)
    end = max(stop // held.hold * held.hold, begin)
    if first < begin:
        goal[:, first // held.hold] += source[:, : begin - first].sum(1, dtype=target.dtype)
    if begin < end:
        whole = source[:, begin - first : end - first].unflatten(1, (-1, held.hold))
        goal[:, begin // held.hold : end // held.hold] += whole.sum(2, dtype=target.dtype)
    if end < stop:
        goal[:, end // held.hold] += source[:, end - first :].sum(1, dtype=target.dtype)


def _flat(activations: Tensor) -> Tensor:
    """Returns (batch, time, channels) as (batch x time, channels)."""
    return activations.flatten(0, 1)


def _pieces(activations: Tensor) -> list[Piece]:
    """Returns the pieces that (batch, time, channels) is worked through in."""
    batch, steps, _ = activations.shape
    if activations.device.type != "cpu":
        return [(slice(0, batch), slice(0, steps))]
    length = _PIECE_BYTES // activations.element_size()
    return [
        (slice(row, row + 1), slice(first, min(first + length, steps)))
        for row in range(batch)
        for first in range(0, steps, length)
    ]


def _activated(squashed: Tensor) -> Tensor:
    """Returns tanh(filter) x sigmoid(gate) from the sigmoids of -2 x filter and of the gate."""
    width = squashed.shape[-1] // 2
    gate = squashed[..., width:]
    return torch.addcmul(gate, squashed[..., :width], gate, value=-2)


def _gate_gradient(gradient: Tensor, squashed: Tensor, activated: Tensor) -> Tensor:
    """Returns the gradient before the sigmoids, the filter half still to be multiplied by `FILTER_SLOPE`."""
    width = squashed.shape[-1] // 2
    filtered, gate = squashed[..., :width], squashed[..., width:]
    inner = torch.empty_like(squashed)
    slope = torch.addcmul(filtered, filtered, filtered, value=-1)
    torch.mul(gradient * gate, slope, out=inner[..., :width])
    product = gradient * activated
    torch.addcmul(product, product, gate, value=-1, out=inner[..., width:])
    return inner


def _gather_taps(hidden: Tensor, piece: Piece, kernel_size: int, dilation: int, cut: int, dtype: torch.dtype) -> Tensor:
    """Returns (rows, steps, taps x channels), oldest tap first; the first output stands `cut` steps into `hidden`."""
    rows, steps = piece
    source = hidden[rows]
    length, channels = steps.stop - steps.start, hidden.shape[2]
    taps = hidden.new_empty(source.shape[0], length, kernel_size * channels, dtype=dtype)
    for tap in range(kernel_size):
        place = taps[..., tap * channels : (tap + 1) * channels]
        begin = steps.start + cut - (kernel_size - 1 - tap) * dilation
        missing = min(max(0, -begin), length)
        place[:, :missing] = 0
        place[:, missing:] = source[:, begin + missing : begin + length]
    return taps


def _scatter_taps(
    before: Tensor, taps_gradient: Tensor, piece: Piece, kernel_size: int, dilation: int, cut: int
) -> None:
    """Adds the gradient of each tap where `_gather_taps` took it from."""
    rows, steps = piece
    target = before[rows]
    length, channels = steps.stop - steps.start, before.shape[2]
    for tap in range(kernel_size):
        begin = steps.start + cut - (kernel_size - 1 - tap) * dilation
        missing = min(max(0, -begin), length)
        place = taps_gradient[:, missing:, tap * channels : (tap + 1) * channels]
        target[:, begin + missing : begin + length] += place


def _copy_from_lead(target: Tensor, source: Tensor, piece: Piece, lead: int) -> None:
    """Copies the steps of a piece that the skip sum wants; these begin `lead` steps into the layer's output."""
    rows, steps = piece
    first = max(steps.start, lead)
    if first < steps.stop:
        target[rows, first - lead : steps.stop - lead] = source[:, first - steps.start :]


def _add_from_lead(target: Tensor, source: Tensor, piece: Piece, lead: int) -> None:
    """Adds what came from the skip sum to the same steps that `_copy_from_lead` copied."""
    rows, steps = piece
    first = max(steps.start, lead)
    if first < steps.stop:
        target[:, first - steps.start :] += source[rows, first - lead : steps.stop - lead]
