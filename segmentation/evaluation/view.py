"""What `wavegen seg-eval` looks like in the terminal."""

from __future__ import annotations

import math

from rich.console import Console
from rich.table import Table

from segmentation.evaluation.evaluate import Evaluation
from segmentation.evaluation.metrics import SegmentationScores
from segmentation.prediction.options import windows_line
from wavenet_app.core.console import print_labelled
from wavenet_app.core.terminal import number_of

_MOST_CLASSES = 40  # rows of the table of classes; --json has all
_SHOWN = 3  # skipped files; --json has all
_LISTED = 12  # absent classes; --json has all


def show_evaluation(console: Console, evaluation: Evaluation) -> None:
    """Prints the scores of a model, and the protocol that they were measured by."""
    scores, dataset = evaluation.scores, evaluation.dataset
    some = "all" if evaluation.images == len(dataset) else f"{evaluation.images} of the"
    console.print(
        f"{some} {number_of(len(dataset), 'image')} of {dataset.name} ({dataset.format}, {dataset.split})",
        highlight=False,
    )
    console.print(
        f"protocol: {evaluation.labeller}; original resolution; one confusion matrix over the data set; 255 ignored",
        highlight=False,
    )
    if evaluation.windowed:
        console.print(windows_line(evaluation.windowed), highlight=False)
    for note in evaluation.skipped[:_SHOWN]:
        print_labelled(console, "skipped", str(note))
    if len(evaluation.skipped) > _SHOWN:
        console.print(f"{len(evaluation.skipped)} files are skipped in all; --json lists them", highlight=False)
    console.print(class_table(scores))
    print_unlabelled(console, scores)
    if math.isnan(scores.mean_iou):
        console.print("no score: every pixel of these images is ignored")
        return
    console.print(
        f"mIoU {scores.mean_iou:.2%} over {number_of(len(scores.classes) - len(scores.absent), 'class')}, "
        f"pixel accuracy {scores.pixel_accuracy:.2%}",
        highlight=False,
    )


def print_unlabelled(console: Console, scores: SegmentationScores) -> None:
    """Prints the classes that no mask shows, and whether they count in the mean IoU; nothing if there are none."""
    for names, what in (
        (scores.absent, "neither labelled nor predicted, so without IoU and not in the mean"),
        (scores.only_predicted, "predicted, but nowhere labelled: IoU 0, in the mean"),
    ):
        if names:
            more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
            console.print(
                f"{number_of(len(names), 'class')} {what}: {', '.join(names[:_LISTED])}{more}", highlight=False
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
            scores.classes[number],
            f"{scores.iou[number]:.1%}",
            f"{true[number] / max(1, int(true.sum())):.2%}",
        )
    if len(present) > _MOST_CLASSES:
        table.add_row("", f"and {len(present) - _MOST_CLASSES} more", "", "")
    return table
