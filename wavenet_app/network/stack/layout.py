"""How the fused stacks lay their parameters out for matrix products, and which steps each layer is needed for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

# tanh(a) = 1 - 2 sigmoid(-2 a), so the filter half is scaled by -2 before the one sigmoid over both halves, and its
# derivative 4 s (1 - s) brings a factor of 4 that is applied to small matrices instead of to the activations.
FILTER_SCALE = -2.0
FILTER_SLOPE = 4.0


class Held(NamedTuple):
    """Which step of a condition holds when: step (phase + t) // hold at time t."""

    hold: int
    phase: int

    def later(self, samples: int) -> Held:
        """Returns the same, seen from a later time 0."""
        return Held(self.hold, self.phase + samples)


NEVER_CHANGES = Held(2**62, 0)


def needed_starts(kernel_size: int, dilations: Sequence[int], start: int) -> list[int]:
    """Returns the first time step that each layer's input, and last the final output, is needed from.

    >>> needed_starts(2, [1, 2, 4], 10)
    [3, 4, 6, 10]
    """
    starts = [start]
    for dilation in reversed(dilations):
        starts.append(max(0, starts[-1] - (kernel_size - 1) * dilation))
    return starts[::-1]


def split_layers(parameters: Sequence[Tensor], count: int) -> list[Sequence[Tensor]]:
    """Returns each layer's dilated weight and bias, skip weight and bias and, but for the last, the residual's."""
    return [parameters[6 * layer : 6 * layer + 6] for layer in range(count)]


def to_matrix(weight: Tensor) -> Tensor:
    """Returns a convolution's weight (out, in, taps) as a matrix (taps x in, out), the oldest tap first."""
    return weight.permute(2, 1, 0).reshape(-1, weight.shape[0])


def to_weight(matrix: Tensor, kernel_size: int) -> Tensor:
    """Returns what `to_matrix` takes."""
    return matrix.view(kernel_size, -1, matrix.shape[1]).permute(2, 1, 0)


def to_matrices(weights: Sequence[Tensor]) -> Tensor:
    """Returns weights of equal shape as `to_matrix` lays each out, (layers, taps x in, out)."""
    if not weights:
        return torch.zeros(0, 1, 1)
    return torch.stack(list(weights)).permute(0, 3, 2, 1).flatten(1, 2)


def to_weights(matrices: Tensor, kernel_size: int) -> Tensor:
    """Returns what `to_matrices` takes, as one tensor (layers, out, in, taps)."""
    return matrices.unflatten(1, (kernel_size, -1)).permute(0, 3, 2, 1)


def skip_matrix(layers: Sequence[Sequence[Tensor]], dtype: torch.dtype) -> Tensor:
    """Returns the skip projections of all layers, one above the other: (layers x dilation_channels, skip_channels)."""
    return torch.cat([to_matrix(layer[2]) for layer in layers]).to(dtype)


def half_scaled(weight: Tensor, scale: float) -> Tensor:
    """Returns a copy of (..., 2 x dilation_channels) with its first half scaled."""
    scaled = weight.clone()
    scaled[..., : weight.shape[-1] // 2] *= scale
    return scaled


def of_layer(condition: Tensor, layer: int, width: int) -> Tensor:
    """Returns a layer's (batch, steps, 2 x width) of a condition for all layers."""
    return condition[..., 2 * width * layer : 2 * width * (layer + 1)]
