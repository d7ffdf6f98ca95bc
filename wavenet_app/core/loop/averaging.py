"""Averaged weights: an exponential moving average of a model's parameters, with warm-up."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn


def warmed_decay(decay: float, step: int) -> float:
    """Returns the decay at a step: (1 + step) / (10 + step), until that reaches `decay`.

    An average that began with the full decay would hold the random weights for thousands of steps.

    >>> warmed_decay(0.999, 0), warmed_decay(0.9, 1000)
    (0.1, 0.9)
    """
    return min(decay, (1 + step) / (10 + step))


class AveragedModel:
    """A copy of a model whose parameters follow the model's slowly, and whose buffers are the model's.

    Args:
        model: the model that is trained.
        decay: share of the average that each step keeps, once the warm-up is over.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = deepcopy(model).requires_grad_(False)
        self._raw = model
        self._decay = decay

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Moves the average towards the model's weights after optimizer step `step`, counted from 1."""
        averaged: list[Tensor] = list(self.model.parameters())
        raw: list[Tensor] = list(self._raw.parameters())
        torch._foreach_lerp_(averaged, raw, 1 - warmed_decay(self._decay, step))
        for kept, buffer in zip(self.model.buffers(), self._raw.buffers(), strict=True):
            kept.copy_(buffer)
