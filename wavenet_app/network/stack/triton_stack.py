"""The fused stack with one kernel of Triton for each layer's forward pass, and two for its backward pass.

It computes what `fused.SkipSum` does. Not yet timed on a GPU, so nothing takes it unless it is asked for.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from wavenet_app.network.stack.fused import gather_held
from wavenet_app.network.stack.layout import (
    FILTER_SCALE,
    FILTER_SLOPE,
    Held,
    half_scaled,
    needed_starts,
    of_layer,
    skip_matrix,
    split_layers,
    to_matrices,
    to_matrix,
    to_weight,
)

BLOCK = 64
"""Steps that a program works on."""

LEAST_WIDTH = 16


def unfit(residual_channels: int, dilation_channels: int) -> str | None:
    """Returns why a stack does not suit the kernels, or None."""
    for name, width in (("residual_channels", residual_channels), ("dilation_channels", dilation_channels)):
        if width < LEAST_WIDTH or width & (width - 1):
            return f"the kernels take widths of 16, 32, 64 and so on, and model.{name} is {width}"
    return None


class TritonSkipSum(torch.autograd.Function):
    """What `fused.SkipSum` is, by the kernels of `triton_layers`."""

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
        """Returns what `fused.SkipSum` does for the same arguments."""
        from wavenet_app.network.stack.triton_layers import layer_forward

        layers = split_layers(parameters, len(dilations))
        taps, width = layers[0][0].shape[2], layers[0][2].shape[1]
        starts = needed_starts(taps, dilations, start)
        batch, time, channels = hidden.shape
        matrices, residuals, residual_biases = _stacked(layers, dtype)
        shift = half_scaled(torch.stack([layer[1] for layer in layers]), FILTER_SCALE)[:, None, None]
        joined = hidden.new_empty(batch, time - start, len(layers) * width, dtype=dtype)
        inputs, squashed = [], []
        current = hidden.contiguous()
        for layer, dilation in enumerate(dilations):
            steps, has_residual = time - starts[layer + 1], layer < len(layers) - 1
            own = shift[layer]
            if condition is not None:
                by_step = of_layer(condition, layer, width) + layers[layer][1]
                own = half_scaled(by_step, FILTER_SCALE).expand(batch, -1, -1).contiguous()
            seen = held.later(starts[layer + 1])
            squash = hidden.new_empty(batch, steps, 2 * width, dtype=dtype)
            following = hidden.new_empty(batch, steps, channels) if has_residual else current
            hold, phase = _in_32_bits(seen, own.shape[1])
            layer_forward[(-(-steps // BLOCK), batch)](
                current, matrices[layer], own, residuals[min(layer, len(residuals) - 1)],
                residual_biases[min(layer, len(residuals) - 1)], squash, joined[..., layer * width :], following,
                current.shape[1], steps, starts[layer + 1] - starts[layer], start - starts[layer + 1], dilation,
                own.shape[1], hold, phase, time - start,
                TAPS=taps, R=channels, D=width, JOINED=joined.shape[2], RESIDUAL=has_residual,
                PER_CLIP=condition is not None, BLOCK=BLOCK,
            )  # fmt: skip
            inputs.append(current)
            squashed.append(squash)
            current = following
        ctx.save_for_backward(joined, *parameters, *inputs, *squashed)
        ctx.geometry = dilations, starts, dtype, len(parameters), held, None if condition is None else condition.shape
        skip_bias = torch.stack([layer[3] for layer in layers]).sum(0).to(dtype)
        return torch.addmm(skip_bias, joined.flatten(0, 1), skip_matrix(layers, dtype)).view(batch, time - start, -1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        """Returns what `fused.SkipSum` does."""
        from wavenet_app.network.stack.triton_layers import gate_backward, taps_backward

        dilations, starts, dtype, count, held, condition_shape = ctx.geometry
        joined, *rest = ctx.saved_tensors
        layers = split_layers(rest[:count], len(dilations))
        inputs, squashed = rest[count : count + len(layers)], rest[count + len(layers) :]
        taps, width = layers[0][0].shape[2], layers[0][2].shape[1]
        batch, outputs, all_channels = joined.shape
        channels = inputs[0].shape[2]
        skip_gradient = gradients[0].to(dtype).flatten(0, 1).contiguous()
        skip_weights = torch.mm(joined.flatten(0, 1).t(), skip_gradient).float()
        skip_bias = skip_gradient.sum(0, dtype=torch.float32)
        from_skips = torch.mm(skip_gradient, skip_matrix(layers, dtype).t()).view(joined.shape)
        matrices, residuals, _ = _stacked(layers, dtype, FILTER_SLOPE)
        condition_gradient = None if condition_shape is None else inputs[0].new_zeros(condition_shape)
        stream: Tensor | None = None
        by_layer: list[list[Tensor | None]] = []
        for layer in reversed(range(len(layers))):
            hidden, squash = inputs[layer], squashed[layer]
            steps, cut = squash.shape[1], starts[layer + 1] - starts[layer]
            inner, activated = torch.empty_like(squash), squash.new_empty(batch, steps, width)
            known = hidden if stream is None else stream
            gate_backward[(-(-steps // BLOCK), batch)](
                known, squash, from_skips[..., layer * width :], residuals[min(layer, len(residuals) - 1)], inner,
                activated, steps, starts[-1] - starts[layer + 1], outputs,
                R=channels, D=width, JOINED=all_channels, RESIDUAL=stream is not None, BLOCK=BLOCK,
            )  # fmt: skip
            earlier = torch.empty_like(hidden)
            taps_backward[(-(-hidden.shape[1] // BLOCK), batch)](
                known, inner, matrices[layer], earlier, hidden.shape[1], steps, cut, dilations[layer],
                TAPS=taps, R=channels, D=width, STREAM=stream is not None, BLOCK=BLOCK,
            )  # fmt: skip
            if condition_gradient is not None:
                target = of_layer(condition_gradient, layer, width)
                gather_held(target, inner, (slice(0, batch), slice(0, steps)), held.later(starts[layer + 1]))
                target[..., :width] *= FILTER_SLOPE
            weights = _taps_weights(hidden, inner, taps, dilations[layer], cut)
            found: list[Tensor | None] = [
                to_weight(half_scaled(weights, FILTER_SLOPE), taps),
                half_scaled(inner.flatten(0, 1).sum(0, dtype=torch.float32), FILTER_SLOPE),
                to_weight(skip_weights[layer * width : (layer + 1) * width], 1),
                skip_bias,
            ]
            if stream is not None:
                narrow = stream.flatten(0, 1)
                weight = torch.mm(activated.flatten(0, 1).t(), narrow.to(dtype)).float()
                found += [to_weight(weight, 1), narrow.sum(0)]
            else:
                found += [None] * (len(layers[layer]) - 4)
            by_layer.append(found)
            stream = earlier
        flat = [gradient for found in reversed(by_layer) for gradient in found]
        return stream, condition_gradient, None, None, None, None, *flat


def _stacked(layers: Any, dtype: torch.dtype, scale: float = FILTER_SCALE) -> tuple[Tensor, Tensor, Tensor]:
    """Returns all layers' dilated matrices, residual matrices and residual biases, each in a few operations."""
    matrices = half_scaled(to_matrices([layer[0] for layer in layers]), scale).to(dtype).contiguous()
    with_residual = [layer for layer in layers if len(layer) > 4]
    if not with_residual:
        return matrices, matrices, matrices
    residuals = torch.stack([to_matrix(layer[4]) for layer in with_residual]).to(dtype)
    return matrices, residuals, torch.stack([layer[5] for layer in with_residual])


def _taps_weights(hidden: Tensor, inner: Tensor, taps: int, dilation: int, cut: int) -> Tensor:
    """Returns the gradient of a layer's matrix, float32 (taps x in, out): what each tap saw, times the gradient."""
    steps = inner.shape[1]
    found = hidden.new_zeros(taps, hidden.shape[2], inner.shape[2])
    for tap in range(taps):
        begin = cut - (taps - 1 - tap) * dilation
        missing = min(max(0, -begin), steps)
        if missing < steps:
            seen = hidden[:, begin + missing : begin + steps].to(inner.dtype).flatten(0, 1)
            found[tap] = torch.mm(seen.t(), inner[:, missing:].flatten(0, 1))
    return found.flatten(0, 1)


def _in_32_bits(held: Held, steps: int) -> tuple[int, int]:
    """Returns hold and phase for a kernel; a condition of a single step is found by any."""
    return (2**30, 0) if steps == 1 else (held.hold, held.phase)
