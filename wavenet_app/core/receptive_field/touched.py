"""Which inputs an output depends on at all: the theoretical receptive field with its holes, for any weights."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Function = Callable[[Tensor], Tensor]
"""Inputs (batch, channels, *space) -> outputs of one place of each row, of any shape (batch, ...)."""

_GLOBAL_POOLS = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d)
_AVERAGES: dict[type[nn.Module], type[nn.Module]] = {nn.MaxPool1d: nn.AvgPool1d, nn.MaxPool2d: nn.AvgPool2d}

# Greatest activation of every layer: positive, so that no ReLU is shut; small, so that no gate saturates.
_LEVEL = 1e-6


class _CutOff(nn.Module):
    """A pool that no gradient passes."""

    def __init__(self, pool: nn.Module) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, inputs: Tensor) -> Tensor:
        return self.pool(inputs).detach()


def structural_twin(module: nn.Module) -> Any:
    """Returns a copy of a net in which every connection of its convolutions counts, and counts positively.

    All weights are the same positive number and all biases zero; norms are the identity and greatest values become
    averages; what looks at the whole input (global pooling, group norm) is cut off, since through it every input is
    touched. So on positive inputs no two paths cancel and no unit is dead, and a gradient is zero only where there is
    no path. Activations are brought to one level at each layer, and gradients cut to their sign, so neither vanishes or
    grows over a hundred of them.

    Args:
        module: a net, itself no pool or norm; it is not changed. What it calls must be the modules themselves.

    Returns:
        The copy, of the module's own class, in evaluation mode.
    """
    twin = copy.deepcopy(module).eval().requires_grad_(False)
    for parent in list(twin.modules()):
        for name, child in list(parent.named_children()):
            replacement = _replacement(child)
            if replacement is not None:
                setattr(parent, name, replacement)
    for layer in twin.modules():
        weight, bias = getattr(layer, "weight", None), getattr(layer, "bias", None)
        if isinstance(weight, Tensor) and weight.ndim > 1:
            weight.fill_(1 / weight[0].numel())
            if isinstance(bias, Tensor):
                bias.zero_()
            layer.register_forward_hook(_levelled)
    return twin


def global_layers(module: nn.Module) -> list[str]:
    """Returns the kinds of layers that look at the whole input, by the names of their classes.

    >>> global_layers(nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1)))
    ['AdaptiveAvgPool2d']
    """
    found = (layer for layer in module.modules() if isinstance(layer, (*_GLOBAL_POOLS, nn.GroupNorm)))
    return sorted({type(layer).__name__ for layer in found})


def touched_map(function: Function, channels: int, space: tuple[int, ...]) -> NDArray[np.bool_]:
    """Returns which places of the input an output depends on, of shape `space`.

    Args:
        function: of a `structural_twin`.
        channels: of the input.
        space: size of the input: samples, or pixels down and across.

    >>> twin = structural_twin(nn.Sequential(nn.Conv1d(1, 1, 3, padding=2, dilation=2)))
    >>> touched_map(lambda inputs: twin(inputs)[..., 3], 1, (7,)).astype(int)
    array([0, 1, 0, 1, 0, 1, 0])
    """
    probe = torch.full((1, channels, *space), _LEVEL, requires_grad=True)
    (gradient,) = torch.autograd.grad(function(probe).sum(), probe)
    return (gradient[0].sum(0) > 0).numpy()


def reach(touched: NDArray[np.bool_], place: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Returns how far the touched inputs lie before and after a place, along each axis.

    Args:
        touched: which inputs are touched; at least one is.
        place: that the output stands at.

    >>> reach(np.array([False, True, False, True]), (2,))
    ((1, 1),)
    """
    along_axes = zip(np.nonzero(touched), place, strict=True)
    return tuple((int(position - found.min()), int(found.max() - position)) for found, position in along_axes)


def _replacement(layer: nn.Module) -> nn.Module | None:
    if isinstance(layer, nn.GroupNorm) or hasattr(layer, "running_mean"):
        return nn.Identity()
    if isinstance(layer, _GLOBAL_POOLS):
        return _CutOff(layer)
    average = _AVERAGES.get(type(layer))
    if average is not None:
        assert isinstance(layer, nn.MaxPool1d | nn.MaxPool2d)
        return average(layer.kernel_size, layer.stride, layer.padding, layer.ceil_mode)
    return None


def _levelled(_layer: nn.Module, _inputs: Any, outputs: Tensor) -> Tensor:
    level = outputs * (_LEVEL / outputs.detach().amax())
    if level.requires_grad:
        level.register_hook(torch.sign)
    return level
