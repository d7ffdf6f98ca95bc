"""The largest batch that fits a GPU, found by taking training steps: powers of two first, then bisection."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch

from wavenet_app.core.errors import UserError
from wavenet_app.core.loop.plan import FitPlan
from wavenet_app.core.loop.step_graphs import changed, tensors_of
from wavenet_app.core.loop.task import Task

LARGEST = 4_096
MARGIN = 8  # one row in 8 is left out: memory fragments, and validation and graphs need some too
_SAMPLED = 16  # batches of the run, of which the largest is tried
_STEPS = 2  # the optimizer has its state only after the first


@dataclass(frozen=True)
class Found:
    """The result of a search.

    Attributes:
        size: rows a batch, after the margin.
        fitted: the most that was seen to fit.
        tried: all sizes tried, in order.
    """

    size: int
    fitted: int
    tried: tuple[int, ...]

    @property
    def changes(self) -> dict[str, dict[str, int]]:
        """Settings of the run: section -> field -> value."""
        return {"training": {"batch_size": self.size, "fit_batch": False}}

    def __str__(self) -> str:
        """What was found, in a line."""
        sizes = ", ".join(map(str, self.tried))
        rest = "the largest tried" if self.fitted == max(self.tried) else "the most that fitted"
        return (
            f"training.batch_size={self.size}: {self.fitted} was {rest} (tried {sizes}), less a margin of 1 in {MARGIN}"
        )


def largest_batch(fits: Callable[[int], bool], *, largest: int = LARGEST) -> Found | None:
    """Returns the largest size that fits, less the margin; None if not even 1 does.

    Which sizes are tried depends only on the answers.

    Args:
        fits: takes steps with a batch of a size, and returns whether there was memory for it.
        largest: greatest size to try.

    >>> largest_batch(lambda size: size <= 21)
    Found(size=19, fitted=21, tried=(1, 2, 4, 8, 16, 32, 24, 20, 22, 21))
    """
    tried: list[int] = []

    def asked(size: int) -> bool:
        tried.append(size)
        return fits(size)

    good, bad = 0, largest + 1
    size = 1
    while size <= largest and good < largest:
        if not asked(size):
            bad = size
            break
        good, size = size, min(2 * size, largest) if size < largest else largest + 1
    while good and bad - good > 1:
        middle = (good + bad) // 2
        if asked(middle):
            good = middle
        else:
            bad = middle
    return Found(max(1, good - good // MARGIN), good, tuple(tried)) if good else None


def fitting_batch(task: Task, plan: FitPlan, device: str) -> Found:
    """Returns the largest batch that a task's steps have memory for on the GPU, the model unchanged.

    Args:
        task: with the model on the CPU.
        plan: with the precision.
        device: where it will be trained.

    Raises:
        UserError: there is no GPU, or it is too small for a batch of one.
    """
    if device != "cuda":
        raise UserError(
            f"training.fit_batch asks what fits a GPU, and this training is on {device}; give a number instead with "
            "--set training.batch_size=N"
        )
    size = task.batch_size()
    found = largest_batch(lambda rows: _fits(task, plan, device, rows), largest=min(LARGEST, size.available))
    if found is None:
        raise UserError(
            f"the GPU has not enough memory for a batch of one; take {size.smaller}, a smaller model, or close what "
            "else runs on the GPU"
        )
    return found


def of_rows(batch: Any, rows: int) -> Any:
    """Returns a batch of a number of rows: those of `batch`, repeated.

    >>> of_rows((7, {"codes": torch.tensor([[1], [2]])}), 3)[1]["codes"].tolist()
    [[1], [2], [1]]
    """
    return changed(batch, lambda tensor: tensor[torch.arange(rows) % len(tensor)])


def _fits(task: Task, plan: FitPlan, device: str, rows: int) -> bool:
    """Returns whether there is memory for a few training steps with a number of rows; they change nothing."""
    before = task.model
    try:
        # the averaged model takes memory too
        task.model, _average = deepcopy(before).to(device), deepcopy(before).to(device)
        _train(task, plan, changed(of_rows(_largest(task), rows), lambda tensor: tensor.to(device)))
    except torch.OutOfMemoryError:
        return False
    finally:
        task.model = before
        if device == "cuda" and torch.cuda.is_available():
            torch.cuda.empty_cache()
    return True


def _train(task: Task, plan: FitPlan, batch: Any) -> None:
    optimizer = task.optimizer()
    is_narrow = plan.precision == "bf16-mixed"
    for _ in range(_STEPS):
        optimizer.zero_grad()
        kind = next(task.model.parameters()).device.type
        with task.randomness(batch), torch.autocast(kind, torch.bfloat16, enabled=is_narrow):
            loss = task.device_loss(batch)
        loss.backward()
        optimizer.step()
    float(loss.detach())  # a GPU may find out late that its memory is full


def _largest(task: Task) -> Any:
    def size(batch: Any) -> int:
        return max((tensor.numel() // len(tensor) for tensor in tensors_of(batch)), default=0)

    batches = iter(task.training_batches(0, 0, 1))
    return max((next(batches) for _ in range(_SAMPLED)), key=size)
