"""The score of a model over validation batches, whose tallies add up over batches and ranks."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from wavenet_app.core.loop.task import Task


def score_of(task: Task, model: nn.Module, batches: Iterable[Any]) -> float:
    """Returns the score of a model over batches; nan where nothing counts."""
    summed = summed_tally(task, model, batches)
    return math.nan if summed is None else task.score(summed)


def summed_tally(task: Task, model: nn.Module, batches: Iterable[Any]) -> Tensor | None:
    """Returns the sum of the tallies, None of no batch at all."""
    from lightning.fabric.utilities import move_data_to_device

    device = next(model.parameters()).device
    summed: Tensor | None = None
    with torch.inference_mode():
        for batch in batches:
            tally = task.tally(model, move_data_to_device(batch, device))
            # doubles count exactly to 2^53; not every device has them. A GPU sums by itself, so no batch waits for it
            tally = tally.double() if device.type == "cuda" else tally.cpu().double()
            summed = tally if summed is None else summed + tally
    return None if summed is None else summed.cpu()
