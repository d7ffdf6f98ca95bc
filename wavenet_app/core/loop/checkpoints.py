"""What the loop writes, checkpoints and metrics.csv, and the status that it begins or resumes with."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from typing import Any

import torch
from torch import nn

from wavenet_app.core.files import write_whole
from wavenet_app.core.loop.plan import FitStatus, HistoryRow
from wavenet_app.core.loop.task import Task

METRICS = ("step", "seconds", "train", "validation", "learning_rate")
"""Columns of metrics.csv, and keys of a row of the history."""


def initial_status(task: Task, resume: dict[str, Any] | None) -> FitStatus:
    """Returns the status of a run that begins, or of a resumed one as its checkpoint stores it."""
    if resume is None:
        return FitStatus(best=-math.inf if task.higher_is_better else math.inf)
    training = resume["training"]
    return FitStatus(
        step=training["step"],
        seconds=training["seconds"],
        loss=training["loss"],
        best=training["best"],
        history=list(resume["history"]),
    )


def checkpoint_content(
    task: Task, averaged: nn.Module, optimizer: torch.optim.Optimizer, status: FitStatus
) -> dict[str, Any]:
    """Returns what a checkpoint of the loop holds: averaged weights for use, and all that an exact resume needs."""
    training = {
        "weights": task.model.state_dict(),
        "optimizer": _optimizer_state(optimizer),
        "step": status.step,
        "seconds": status.seconds,
        "loss": status.loss,
        "best": status.best,
    }
    content = {"weights": averaged.state_dict(), "history": status.history, "training": training}
    return {**task.content(), **content}


def _optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Returns the state of an optimizer with its learning rates as numbers, which CUDA graphs have as tensors."""
    state = optimizer.state_dict()
    return {**state, "param_groups": [{**group, "lr": float(group["lr"])} for group in state["param_groups"]]}


def write_metrics(path: Path, history: list[HistoryRow]) -> None:
    """Writes the history as CSV, whole or not at all.

    Raises:
        UserError: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=METRICS)
    writer.writeheader()
    writer.writerows(history)
    write_whole(path, text.getvalue().encode())
