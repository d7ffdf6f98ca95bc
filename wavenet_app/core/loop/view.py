"""What a training run looks like in the terminal, whatever it trains."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rich.console import Console

from wavenet_app.core.console import print_labelled
from wavenet_app.core.loop.plan import FitPlan, FitStatus, HistoryRow, progress_of
from wavenet_app.core.terminal import clock, number_of, run_bar


class RunView(ABC):
    """A bar for the run, shown while its `progress` is entered, and above it a line for each validation.

    Args:
        console: where to.

    Attributes:
        validation: the latest validation score; nan before the first.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.progress = run_bar(console)
        self.task = self.progress.add_task("training", total=1.0, text="starting", left="")
        self.validation = math.nan

    @abstractmethod
    def figures(self, status: FitStatus) -> str:
        """Returns what the bar shows beside the step: loss, validation and speed."""

    @abstractmethod
    def scores(self, row: HistoryRow) -> str:
        """Returns what the line of a validation shows beside time and step."""

    def on_step(self, status: FitStatus) -> None:
        """Moves the bar."""
        left = status.seconds * (1 - status.progress) / status.progress if status.progress else math.nan
        self.progress.update(
            self.task,
            completed=status.progress,
            text=f"step {status.step}  {self.figures(status)}",
            left="" if math.isnan(left) else f"{clock(left)} left",
        )

    def on_validation(self, status: FitStatus) -> None:
        """Prints the figures of a validation."""
        row = status.history[-1]
        self.validation = row["validation"]
        self.print_row(status, f"{self.scores(row)}{'  worse' if self.is_worse(status) else ''}")

    def print_row(self, status: FitStatus, scores: str) -> None:
        """Prints scores behind the time and the step that they are of."""
        self.console.print(f"{clock(status.seconds):>8}  step {status.step:>6}  {scores}", highlight=False)

    def is_worse(self, status: FitStatus) -> bool:
        """Returns whether an earlier validation was better than the newest one."""
        return not status.improved

    def on_note(self, note: str) -> None:
        """Prints a line for the user."""
        print_labelled(self.console, "note", note)

    def on_phase(self, phase: str) -> None:
        """Prints what begins after the last step, in place of the bar."""
        self.progress.stop()
        self.console.print(phase)


def budget(plan: FitPlan) -> str:
    """Returns how long a run trains, such as "30 minutes or 500 steps"."""
    minutes = [f"{plan.minutes:g} minute{'' if plan.minutes == 1 else 's'}"] if plan.minutes else []
    steps = [number_of(plan.max_steps, "step")] if plan.max_steps else []
    return " or ".join([*minutes, *steps])


def budget_line(plan: FitPlan, resumed: Mapping[str, Any] | None) -> str:
    """Returns how long a run trains, from where it resumes.

    Args:
        plan: the budget of the run in all.
        resumed: the content of the checkpoint that the run resumes from; None for a new run.
    """
    until = f"{budget(plan)}; Ctrl-C stops early and keeps the model"
    if resumed is None:
        return f"trains for {until}"
    training, earlier = resumed["training"], resumed["config"]["training"]
    done = FitStatus(step=training["step"], seconds=training["seconds"])
    if progress_of(plan, done) >= 1:
        return (
            f"nothing is left to train of {budget(plan)}; --minutes and --max-steps count from the beginning of a run"
        )
    line = f"resumes at {clock(done.seconds)}, step {done.step:,}, and trains to {until}"
    planned = replace(plan, minutes=earlier.get("minutes"), max_steps=earlier.get("max_steps"))
    if progress_of(plan, done) < progress_of(planned, done):
        line += (
            "\nit has more time than before, so the learning rate rises again and the first results may be worse; "
            "the best model is kept"
        )
    return line


def show_interruption(console: Console, status: FitStatus, command: str) -> None:
    """Prints which signal stopped a run and the command that resumes it; nothing if none did."""
    if status.interrupted:
        console.print(f"stopped by {status.interrupted}; resume with: wavegen {command}", highlight=False)


def show_curves(console: Console, plan: FitPlan) -> None:
    """Prints the command that shows the curves, if they are logged to TensorBoard."""
    if plan.tensorboard_dir is not None:
        console.print(f"curves: tensorboard --logdir {plan.tensorboard_dir.parent}", highlight=False, soft_wrap=True)
