"""What a segmentation run looks like in the terminal."""

from __future__ import annotations

import math

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from segmentation.datasets.catalogue import BUILT_IN
from segmentation.datasets.dataset import FileNote
from segmentation.evaluation.metrics import SegmentationScores
from segmentation.training.run import SegmentationRun
from segmentation.training.task import SegmentationResult
from wavenet_app.core.loop.plan import FitStatus
from wavenet_app.core.terminal import clock, run_bar

_MOST_CLASSES = 40  # rows of the table of classes; --json of seg-eval has them all


class TrainingView:
    """The line of a run, seen while its `progress` is entered, and a line for each validation above it.

    Args:
        console: where to.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.progress = run_bar(console)
        self.task = self.progress.add_task("training", total=1.0, text="starting", left="")
        self.validation = math.nan

    def on_step(self, status: FitStatus) -> None:
        """Moves the bar on; the speed is shown in crops a second."""
        left = status.seconds * (1 - status.progress) / status.progress if status.progress else math.nan
        held_out = "" if math.isnan(self.validation) else f"mIoU {self.validation:.1%}  "
        loss = "" if math.isnan(status.loss) else f"loss {status.loss:.3f}  "
        self.progress.update(
            self.task,
            completed=status.progress,
            text=f"step {status.step}  {loss}{held_out}{status.rate:.1f} crops/s",
            left="" if math.isnan(left) else f"{clock(left)} left",
        )

    def on_validation(self, status: FitStatus) -> None:
        """Prints the figures of a validation."""
        row = status.history[-1]
        self.validation = row["validation"]
        self.console.print(
            f"[dim]{clock(status.seconds):>8}[/dim]  step {status.step:>6}  loss {row['train']:.3f}  "
            f"mIoU [bold]{row['validation']:.1%}[/bold]" + ("" if status.improved else "  [dim]not the best[/dim]"),
            highlight=False,
        )

    def on_broken(self, note: FileNote) -> None:
        """Prints which image is skipped and why."""
        self.console.print(f"[yellow]skipped:[/yellow] {escape(note.detail)}", highlight=False, soft_wrap=True)


def show_start(console: Console, run: SegmentationRun, device: str) -> None:
    """Prints what is trained on what, for how long, and what the user should know before it starts."""
    config, task = run.config, run.task
    settings = config.training
    parameters = sum(parameter.numel() for parameter in task.model.parameters())
    budget = " or ".join(
        text
        for text in (
            f"{settings.minutes:g} minutes" if settings.minutes else "",
            f"{settings.max_steps} steps" if settings.max_steps else "",
        )
        if text
    )
    console.print(
        f"{len(task.training)} images of {escape(task.training.name)} ({task.training.format}, "
        f"{task.training.num_classes} classes) to train on, {len(task.validation)} held out",
        highlight=False,
    )
    assert settings.crop_size is not None
    height, width = settings.crop_size
    crops = settings.batch_size * run.plan.processes
    seen = "" if task.image_scale == 1 else f", of images at {task.image_scale:.3g} of their size,"
    console.print(
        f"run [bold]{escape(config.name)}[/bold]: {config.model.architecture} of {config.model.backbone} at output "
        f"stride {config.model.output_stride}, {parameters:,} parameters, {crops} crops of "
        f"{height} x {width}{seen} a step, by {settings.optimizer} on {device} in {run.plan.precision}, for {budget} "
        "(Ctrl-C stops early and keeps everything)",
        highlight=False,
    )
    for note in run.notes:
        console.print(f"[yellow]note:[/yellow] {escape(note)}", highlight=False)


def show_result(console: Console, run: SegmentationRun, result: SegmentationResult) -> None:
    """Prints the classes of the last validation, the best mIoU and what to do next."""
    name, dataset = run.config.name, run.config.data.dataset
    if result.scores is not None:
        console.print(class_table(result.scores))
    total = len(run.task.validation)
    some = "all" if result.validated == total else f"{result.validated} of the"
    console.print(
        f"best mIoU [bold]{result.status.best:.1%}[/bold] on {some} {total} held-out images"
        if math.isfinite(result.status.best)
        else "no mIoU: no pixel of the held-out images counts",
        highlight=False,
    )
    broken = len(run.task.broken)
    if broken:
        console.print(
            f"{broken} {'image' if broken == 1 else 'images'} could not be used; all of them are listed by: "
            f"wavegen seg-check {dataset or ''}".rstrip(),
            highlight=False,
            soft_wrap=True,
            markup=False,
        )
    if result.status.interrupted:
        console.print(
            f"stopped by {result.status.interrupted}; go on with: wavegen seg-train --resume {name}", highlight=False
        )
    console.print(
        f"checkpoint: {result.checkpoint}\nscore it: wavegen seg-eval {name} {dataset or BUILT_IN.argument}\n"
        f"use it: wavegen seg-predict {name} IMAGE",
        highlight=False,
        soft_wrap=True,
        markup=False,
    )
    if run.plan.tensorboard_dir is not None:
        console.print(
            f"curves: tensorboard --logdir {run.plan.tensorboard_dir.parent}", highlight=False, soft_wrap=True
        )


def class_table(scores: SegmentationScores) -> Table:
    """Returns the IoU of every class that is there, and its share of the labelled pixels."""
    table = Table()
    for heading in ("id", "class", "IoU", "share of pixels"):
        table.add_column(heading, justify="left" if heading == "class" else "right")
    true = scores.confusion.sum(axis=1)
    present = [number for number, iou in enumerate(scores.iou) if not math.isnan(iou)]
    for number in present[:_MOST_CLASSES]:
        table.add_row(
            str(number),
            escape(scores.classes[number]),
            f"{scores.iou[number]:.1%}",
            f"{true[number] / max(1, int(true.sum())):.2%}",
        )
    if len(present) > _MOST_CLASSES:
        table.add_row("", f"and {len(present) - _MOST_CLASSES} more", "", "")
    return table
