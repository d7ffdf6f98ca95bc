"""What the loop writes, last.pth, best.pth and metrics.csv, and what it resumes from."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from typing import Any, NamedTuple

from wavenet_app.core.checkpoint import read_checkpoint
from wavenet_app.core.errors import UserError
from wavenet_app.core.files import write_whole
from wavenet_app.core.loop.plan import FitStatus, HistoryRow
from wavenet_app.core.loop.task import Task

METRICS = ("step", "seconds", "train", "validation", "learning_rate")
"""Columns of metrics.csv, and keys of a row of the history."""


class Unfinished(NamedTuple):
    """A run that `fit` can resume.

    Attributes:
        content: of its checkpoint.
        notes: what the user should know, a line each.
    """

    content: dict[str, Any]
    notes: list[str]


def previous_of(path: Path) -> Path:
    """Returns where the last.pth before the newest one is kept, for a newest one that is damaged."""
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def read_unfinished(path: Path, kind: str, otherwise: str) -> Unfinished:
    """Returns a run that `fit` can resume; where its checkpoint is damaged, as the checkpoint before has it.

    Args:
        path: the file.
        kind: the task's kind of checkpoint.
        otherwise: what the user can do instead, if it cannot be resumed.

    Raises:
        UserError: the file cannot be read, is of another kind, or was exported.
    """
    notes = []
    try:
        content = read_checkpoint(path, kind)
    except UserError as error:
        try:
            content = read_checkpoint(previous_of(path), kind)
        except UserError:
            raise error from None
        notes.append(f"{error}; the run continues from the checkpoint before, {previous_of(path)}")
    if "training" not in content:
        raise UserError(f"{path} was exported without its training state; {otherwise}")
    return Unfinished(content, notes)


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
