"""What the loop writes, last.pth, best.pth and metrics.csv, and what it resumes from."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from typing import Any

from wavenet_app.core.checkpoint import read_checkpoint
from wavenet_app.core.errors import UserError
from wavenet_app.core.files import write_whole
from wavenet_app.core.loop.plan import FitStatus, HistoryRow
from wavenet_app.core.loop.task import Task

METRICS = ("step", "seconds", "train", "validation", "learning_rate")
"""Columns of metrics.csv, and keys of a row of the history."""


def read_unfinished(path: Path, kind: str, otherwise: str) -> dict[str, Any]:
    """Returns the content of a checkpoint that `fit` can resume.

    Args:
        path: the file.
        kind: the task's kind of checkpoint.
        otherwise: what the user can do instead, if it cannot be resumed.

    Raises:
        UserError: the file cannot be read, is of another kind, or was exported.
    """
    content = read_checkpoint(path, kind)
    if "training" not in content:
        raise UserError(f"{path} was exported without its training state; {otherwise}")
    return content


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
