"""Normalisation by name: batch, frozen, group or synchronised, all safe on a single value per channel."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

from segmentation.config import NormName

MakeNorm = Callable[[int], nn.Module]


class BatchNorm(nn.BatchNorm2d):
    """Batch norm that takes its running statistics where a batch has one value per channel, which has no variance.

    That is so after image pooling with a batch of one, where torch's own layer raises an error.
    """

    def forward(self, inputs: Tensor) -> Tensor:
        """Returns the normalised inputs, (batch, channels, height, width)."""
        if self.training and _has_one_value(inputs):
            return _by_running_statistics(self, inputs)
        return super().forward(inputs)


class SynchronisedBatchNorm(nn.SyncBatchNorm):
    """Batch norm over the batches of all processes; with one process it is `BatchNorm`."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Returns the normalised inputs, (batch, channels, height, width)."""
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        if self.training and _has_one_value(inputs) and not (distributed and torch.distributed.get_world_size() > 1):
            return _by_running_statistics(self, inputs)
        return super().forward(inputs)


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


def _by_running_statistics(norm: nn.BatchNorm2d | nn.SyncBatchNorm, inputs: Tensor) -> Tensor:
    return F.batch_norm(inputs, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
