"""What a segmentation run looks like in the terminal."""

from __future__ import annotations

import math

from rich.console import Console

from segmentation.datasets.catalogue import BUILT_IN
from segmentation.datasets.dataset import FileNote
from segmentation.evaluation.view import class_table, print_unlabelled
from segmentation.training.run import SegmentationRun
from segmentation.training.task import SegmentationResult
from wavenet_app.core.console import print_labelled
from wavenet_app.core.loop.plan import FitStatus, HistoryRow
from wavenet_app.core.loop.view import RunView, budget_line, show_curves, show_interruption
from wavenet_app.core.shown import typed_path
from wavenet_app.core.terminal import number_of, print_notes

_DTYPES = {"32-true": "float32", "bf16-mixed": "bfloat16"}  # by Lightning's name of the precision


class TrainingView(RunView):
    """The bar of a run, and a line for each validation."""

    def figures(self, status: FitStatus) -> str:
        """Returns the loss, the mean IoU, and the speed in crops a second."""
        held_out = "" if math.isnan(self.validation) else f"mIoU {self.validation:.1%}  "
        loss = "" if math.isnan(status.loss) else f"loss {status.loss:.3f}  "
        return f"{loss}{held_out}{status.rate:.1f} crops/s"

    def scores(self, row: HistoryRow) -> str:
        """Returns the loss and the mean IoU."""
        return f"loss {row['train']:.3f}  mIoU {row['validation']:.1%}"

    def on_broken(self, note: FileNote) -> None:
        """Prints which image is skipped and why."""
        print_labelled(self.console, "skipped", note.detail)


def show_start(console: Console, run: SegmentationRun, device: str) -> None:
    """Prints what is trained on what, for how long, and what the user should know before it starts."""
    config, task = run.config, run.task
    settings = config.training
    parameters = sum(parameter.numel() for parameter in task.model.parameters())
    console.print(
        f"{number_of(len(task.training), 'image')} of {task.training.name} ({task.training.format}, "
        f"{number_of(task.training.num_classes, 'class')}) to train on, {len(task.validation)} held out",
        highlight=False,
    )
    assert settings.crop_size is not None
    height, width = settings.crop_size
    crops = settings.batch_size * run.plan.processes
    scaled = "" if task.image_scale == 1 else f" from images scaled to {task.image_scale:.0%} of their size"
    console.print(
        f"run {config.name}: {config.model.architecture} on {config.model.backbone}, {parameters:,} parameters, on "
        f"{device} in {_DTYPES.get(run.plan.precision, run.plan.precision)}\n"
        f"each step takes {number_of(crops, 'crop')} of {height} x {width} pixels{scaled}\n"
        f"{budget_line(run.plan, run.resume)}",
        highlight=False,
    )
    print_notes(console, run.notes)


def show_result(console: Console, run: SegmentationRun, result: SegmentationResult) -> None:
    """Prints the classes of the last validation, the best mIoU and what to do next."""
    name = run.config.name
    dataset = None if run.config.data.dataset is None else typed_path(run.config.data.dataset)
    if result.scores is not None:
        console.print(class_table(result.scores))
        print_unlabelled(console, result.scores)
    total = len(run.task.validation)
    some = "all" if result.validated == total else f"{result.validated} of the"
    console.print(
        f"best mIoU {result.status.best:.1%} on {some} {total} held-out images"
        if math.isfinite(result.status.best)
        else "no mIoU: no pixel of the held-out images counts",
        highlight=False,
    )
    broken = len(run.task.broken)
    if broken:
        console.print(
            f"{number_of(broken, 'image')} could not be used; wavegen seg-check {dataset or ''}".rstrip()
            + " lists them",
            highlight=False,
            soft_wrap=True,
            markup=False,
        )
    show_interruption(console, result.status, f"seg-train --resume {name}")
    console.print(
        f"checkpoint: {result.checkpoint}\nscore it: wavegen seg-eval {name} {dataset or BUILT_IN.argument}\n"
        f"use it: wavegen seg-predict {name} IMAGE",
        highlight=False,
        soft_wrap=True,
        markup=False,
    )
    show_curves(console, run.plan)
