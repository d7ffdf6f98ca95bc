"""What a training run looks like in the terminal."""

from __future__ import annotations

import math
import shlex

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from wavenet_app.config import ModelConfig
from wavenet_app.core.loop.plan import FitPlan, FitStatus
from wavenet_app.core.terminal import clock, run_bar
from wavenet_app.corpus.baseline import Baseline, verdict
from wavenet_app.training.run import Run
from wavenet_app.training.task import TrainingResult

_RISEN_BITS = 0.25  # above the best validation: more than it wavers by from one to the next


class DecodeView:
    """A bar for opening a corpus, seen while its `progress` is entered.

    Args:
        console: where to.
    """

    def __init__(self, console: Console) -> None:
        self.progress = Progress(
            TextColumn("decoding"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total} files"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.task = self.progress.add_task("decoding")

    def on_decode(self, done: int, total: int, _name: str) -> None:
        """Moves the bar on."""
        self.progress.update(self.task, completed=done, total=total)


class TrainingView:
    """The line of a run, seen while its `progress` is entered, and a line for each validation above it.

    Args:
        console: where to.
        plan: the run's budget.
        baseline: of the classical predictors on the very samples that each validation looks at.
    """

    def __init__(self, console: Console, plan: FitPlan, baseline: Baseline) -> None:
        self.console, self.plan, self.baseline = console, plan, baseline
        self.progress = run_bar(console)
        self.task = self.progress.add_task("training", total=1.0, text="starting", left="")
        self.validation = math.nan
        self.rise_told = False

    def on_step(self, status: FitStatus) -> None:
        """Moves the bar on; the loss is shown in bits per sample, the speed in seconds of audio a second."""
        if status.step % 10:
            return
        left = status.seconds * (1 - status.progress) / status.progress if status.progress else math.nan
        self.progress.update(
            self.task,
            completed=status.progress,
            text=f"step {status.step}  {status.loss:.3f} bits  {self._held_out()}  {status.rate:.1f} s audio/s",
            left="" if math.isnan(left) else f"{clock(left)} left",
        )

    def on_validation(self, status: FitStatus) -> None:
        """Prints the figures of a validation."""
        row = status.history[-1]
        self.validation = row["validation"]
        self.console.print(
            f"[dim]{clock(status.seconds):>8}[/dim]  step {status.step:>6}  train {row['train']:.3f}  "
            f"validation [bold]{row['validation']:.3f}[/bold]  (LPC-24 {self.baseline.lpc:.3f})"
            + ("" if status.improved else "  [dim]not the best[/dim]"),
            highlight=False,
        )
        if self.validation > status.best + _RISEN_BITS and not self.rise_told:
            self.rise_told = True
            self.console.print(
                f"[yellow]note:[/yellow] validation has risen far above its best, {status.best:.3f}, which is kept: "
                "the steps are too large for this run, or the clips are learnt by heart; start again with half the "
                "learning rate (--set training.learning_rate=...), or with more audio",
                highlight=False,
            )

    def _held_out(self) -> str:
        if math.isnan(self.validation):
            return f"LPC-24 {self.baseline.lpc:.2f}"
        return f"validation {self.validation:.3f} / LPC-24 {self.baseline.lpc:.2f}"


def show_start(console: Console, run: Run, *, device: str, dtype: str, parameters: int) -> None:
    """Prints the run's name, model, receptive field and budget, and what the user should know before it starts."""
    config = run.config
    field_samples = config.model.receptive_field
    milliseconds = 1000 * field_samples / run.corpus.sample_rate
    budget = " or ".join(
        text
        for text in (
            f"{config.training.minutes:g} minutes" if config.training.minutes else "",
            f"{config.training.max_steps} steps" if config.training.max_steps else "",
        )
        if text
    )
    console.print(
        f"run [bold]{config.name}[/bold]: {parameters:,} parameters, receptive field {field_samples} samples "
        f"({milliseconds:.0f} ms), head {config.model.head} of {config.model.coding.name}, on {device} in {dtype}, for "
        f"{budget} (Ctrl-C stops early and keeps everything)",
        highlight=False,
    )
    for note in run.notes:
        console.print(f"[yellow]note:[/yellow] {escape(note)}", highlight=False)


def show_result(console: Console, result: TrainingResult, name: str, judgement: str | None) -> None:
    """Prints the final table, the verdict, what its clips are like where that is known, and what to do next."""
    console.print(
        f"bits per sample on held-out clips, of {result.model.coding.name}, lower is better:", highlight=False
    )
    table = Table()
    table.add_column("predictor")
    table.add_column("bits", justify="right")
    for label, bits in (
        ("unigram", result.baseline.unigram),
        ("order-1", result.baseline.order1),
        ("LPC-24", result.baseline.lpc),
        ("this model", result.validation),
    ):
        table.add_row(label, f"{bits:.3f}")
    console.print(table)
    console.print(verdict(result.validation, result.baseline), highlight=False)
    if judgement is not None:
        console.print(judgement, highlight=False)
    status = result.status
    if status.interrupted:
        console.print(f"stopped by {status.interrupted}; go on with: wavegen train --resume {name}", highlight=False)
    lines = [f"checkpoint: {result.checkpoint}"]
    lines.append(f"hear it: wavegen {_first_use(result.model, name)}")
    lines.append(f"more on how good it is: wavegen eval {name} --report {name}.html")
    console.print("\n".join(lines), highlight=False, soft_wrap=True)


def _first_use(model: ModelConfig, name: str) -> str:
    """Returns the command that lets a model be heard, as it can be copied but for the recording's name."""
    if model.mel is None:
        return f"sample {name}"
    return f"vocode {name} RECORDING" + (f" --speaker {shlex.quote(model.speakers[0])}" if model.speakers else "")
