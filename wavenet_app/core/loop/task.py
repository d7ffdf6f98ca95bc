"""What the loop needs of a training: a model, its data, its loss and its score."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class BatchSize:
    """What a batch holds, in words.

    Attributes:
        text: such as "16 windows of 6144 samples".
        smaller: what makes it smaller, as the object of "take".
        available: rows that there are in all.
    """

    text: str = "a batch"
    smaller: str = "a smaller one with --set training.batch_size=N"
    available: int = 2**16


class Task(ABC):
    """A model, its data, its loss and its score.

    With more than one rank it is pickled, and each rank trains its own copy.

    Attributes:
        model: the module whose parameters are trained.
        kind: kind of the checkpoints, as `checkpoint.read_checkpoint` takes it.
        loss_measure: what the loss is called in the logs, such as "bits".
        score_measure: what the score is called in the logs.
        higher_is_better: whether a better model has a higher score.
    """

    model: nn.Module
    kind: str
    loss_measure: str
    score_measure: str
    higher_is_better: bool = False

    @abstractmethod
    def training_batches(self, start_step: int, rank: int, world_size: int) -> Iterable[Any]:
        """Returns batches without end; the first is the one that step `start_step` of any run would see.

        Rank `rank` of `world_size` gets its part of a batch, which the ranks divide.
        """

    @abstractmethod
    def validation_batches(self) -> Iterable[Any]:
        """Returns the batches that the score is taken on, the same ones every time."""

    @abstractmethod
    def optimizer(self) -> torch.optim.Optimizer:
        """Returns the optimizer; each group's "lr" is its greatest learning rate."""

    @abstractmethod
    def learning_rate_share(self, step: int, progress: float) -> float:
        """Returns the share, 0 to 1, of the greatest learning rate at a step, `progress` (0 to 1) into the budget."""

    @abstractmethod
    def loss(self, batch: Any) -> Tensor:
        """Returns the scalar to be minimised."""

    def begin_step(self) -> Hashable:
        """Does what `loss` does on the host once a step, which a CUDA graph of `device_loss` cannot repeat.

        Returns the numbers of the host that `device_loss` then depends on, beside the shapes of the batch.
        """
        return ()

    def randomness(self, batch: Any) -> AbstractContextManager[Any]:
        """Returns the context of random numbers in which `loss` runs `device_loss`."""
        return nullcontext(batch)

    def device_loss(self, batch: Any) -> Tensor:
        """Returns the loss by operations of the device alone; where a task does not split it, all of `loss`."""
        return self.loss(batch)

    def batch_size(self) -> BatchSize:
        """Returns what a batch holds, for a user whose GPU is too small for it."""
        return BatchSize()

    @abstractmethod
    def weight(self, batch: Any) -> Tensor:
        """Returns what the mean in `loss` divides by, such as the number of samples, shape (); 0 if nothing counts."""

    @abstractmethod
    def tally(self, model: nn.Module, batch: Any) -> Tensor:
        """Returns what the averaged `model` makes of a validation batch, as numbers that add up over batches.

        Such as the sum of a score and the count to divide it by, or a confusion matrix; always of the same shape.
        """

    @abstractmethod
    def score(self, tally: Tensor) -> float:
        """Returns the score that follows from the sum of all tallies (float64, on the CPU); nan if nothing counted."""

    @abstractmethod
    def work(self, batch: Any) -> float:
        """Returns how much a training batch holds, in the unit of the displayed speed, such as seconds of audio."""

    @abstractmethod
    def content(self) -> dict[str, Any]:
        """Returns what checkpoints hold beside the weights: the config and all that using the model needs."""
