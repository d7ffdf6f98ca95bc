"""Normalisation by name: batch, frozen, group or synchronised, all safe on a single value per channel."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

from segmentation.config import NormName

MakeNorm = Callable[[int], nn.Module]


class BatchNorm(nn.BatchNorm2d):
    """Batch norm that uses its running statistics where a batch has one value per channel, and so no variance.

    After image pooling a batch of one image has one value per channel; torch's layer raises an error.
    """

    def forward(self, inputs: Tensor) -> Tensor:
        """Returns the normalised inputs, (batch, channels, height, width)."""
        if self.training and _has_one_value(inputs):
            return _by_running_statistics(self, inputs)
        return super().forward(inputs)


class SynchronisedBatchNorm(BatchNorm):
    """Batch norm over the batches of all ranks that train together; with one rank it is `BatchNorm`.

    torch's SyncBatchNorm takes only tensors on a GPU, but ranks on a CPU need it as much.
    The batches of all ranks must have one size, as the crops of a training step have.
    Source: Peng et al. 2018, "MegDet", section 3.2.
    """

    def forward(self, inputs: Tensor) -> Tensor:
        """Returns the normalised inputs, (batch, channels, height, width)."""
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        if not self.training or not distributed or torch.distributed.get_world_size() == 1:
            return super().forward(inputs)
        values = inputs.float()
        mean = _MeanOfAll.apply(values.mean((0, 2, 3)))
        centred = values - _by_channel(mean)
        variance = _MeanOfAll.apply(centred.square().mean((0, 2, 3)))
        self._keep(mean, variance, torch.distributed.get_world_size() * inputs.numel() // inputs.shape[1])
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * _by_channel(scale) + _by_channel(self.bias)).to(inputs.dtype)

    @torch.no_grad()
    def _keep(self, mean: Tensor, variance: Tensor, count: int) -> None:
        assert self.momentum is not None
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * count / (count - 1), self.momentum)


class _MeanOfAll(torch.autograd.Function):
    """The mean of a tensor over all ranks, and of its gradient too."""

    @staticmethod
    def forward(_context: Any, own: Tensor) -> Tensor:
        return _mean_of_all(own)

    @staticmethod
    def backward(_context: Any, gradient: Tensor) -> Tensor:
        return _mean_of_all(gradient)


def _mean_of_all(own: Tensor) -> Tensor:
    total = own.contiguous().clone()
    torch.distributed.all_reduce(total)
    return total / torch.distributed.get_world_size()


def _by_channel(values: Tensor) -> Tensor:
    return values[:, None, None]


class StatisticsWarmUp:
    """Makes batch norm's running statistics the mean over all batches so far, as long as these are few.

    With a small momentum, hundreds of batches would be mixed with the initial zeros and ones, and a model would at
    first score far below what it has learned. The number of batches is in the layers' own buffers, so a resumed run
    continues exactly, and trained weights keep their momentum.

    Args:
        model: the model that is trained.
    """

    def __init__(self, model: nn.Module) -> None:
        self._norms = [
            (layer, layer.momentum)
            for layer in model.modules()
            if isinstance(layer, nn.BatchNorm2d) and layer.momentum is not None
        ]
        self._batches: int | None = None

    def before_batch(self) -> None:
        """Sets the share that the next batch takes in the statistics."""
        if not self._norms:
            return
        if self._batches is None:  # read once, because each read waits for the GPU
            counts = [layer.num_batches_tracked for layer, _ in self._norms]
            self._batches = max(int(count) for count in counts if count is not None)
        self._batches += 1
        for layer, momentum in self._norms:
            layer.momentum = max(momentum, 1 / self._batches)

    @property
    def shares(self) -> tuple[float, ...]:
        """The shares as they are set, each once."""
        return tuple(sorted({layer.momentum for layer, _ in self._norms if layer.momentum is not None}))


def make_norm(name: NormName, *, eps: float = 1e-5, momentum: float = 0.1) -> MakeNorm:
    """Returns what makes the norm of a number of channels.

    Args:
        name: "batch", "frozen" (statistics and scales stay as they were loaded), "group" (at most 32 groups, of two
            channels at least; Wu and He 2018, section 3) or "synchronised".
        eps: added to the variance.
        momentum: share of a batch in the running statistics.

    >>> make_norm("group")(48).num_groups
    8
    """

    def norm(channels: int) -> nn.Module:
        if name == "group":
            return nn.GroupNorm(math.gcd(32, channels // 2), channels, eps)
        if name == "frozen":
            return FrozenBatchNorm2d(channels, eps)
        kind = SynchronisedBatchNorm if name == "synchronised" else BatchNorm
        return kind(channels, eps, momentum)

    return norm


def _has_one_value(inputs: Tensor) -> bool:
    return inputs.numel() == inputs.shape[1]


def _by_running_statistics(norm: nn.BatchNorm2d, inputs: Tensor) -> Tensor:
    return F.batch_norm(inputs, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
