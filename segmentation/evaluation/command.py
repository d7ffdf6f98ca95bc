"""`wavegen seg-eval`: scores a checkpoint on a data set, and says by which protocol."""

from __future__ import annotations

import math

from rich.console import Console
from rich.markup import escape

from segmentation.checking.view import CheckProgress
from segmentation.checkpoints.segmenter import check_classes
from segmentation.datasets.catalogue import open_dataset
from segmentation.datasets.dataset import SPLITS, Split
from segmentation.datasets.format import Options
from segmentation.evaluation.evaluate import Evaluation, evaluate
from segmentation.prediction.options import LabelOptions, open_labeller, windows_line
from segmentation.training.view import class_table
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError

_SHOWN = 3  # files left out; --json has them all
_LISTED = 12  # absent classes; --json has them all


def run_evaluation(
    options: LabelOptions,
    dataset: str,
    folder: DataFolder,
    *,
    console: Console,
    as_json: bool,
    split: str = "val",
    images: int | None = None,
    format_options: Options | None = None,
) -> Evaluation:
    """Scores a checkpoint on a split, and prints the figures with the protocol that they were taken by.

    Args:
        options: checkpoint and protocol.
        dataset: a path or name of a data set.
        folder: the data folder.
        console: to print on.
        as_json: whether JSON is printed instead of tables.
        split: "train" or "val".
        images: how many to look at, spread evenly; None for all.
        format_options: choices of single formats, such as the classes of COCO; what is not chosen is as in training.

    Raises:
        UserError: there is no such checkpoint or data set, or their classes differ.
    """
    segmenter, labeller = open_labeller(options, folder)
    in_training = segmenter.config.data.format_options if segmenter.config else {}
    chosen = {name: choice for name, choice in (format_options or {}).items() if choice is not None}
    opened = open_dataset(dataset, folder, _split(split), {**in_training, **chosen})
    check_classes(segmenter, opened)
    reading = CheckProgress(Console(stderr=True))
    with reading.progress:
        evaluation = evaluate(labeller, opened, limit=images, progress=reading.on_image)
    if as_json:
        console.print_json(data={"checkpoint": str(segmenter.path), **evaluation.to_dict()})
    else:
        _show(console, evaluation)
    return evaluation


def _split(text: str) -> Split:
    for split in SPLITS:
        if text == split:
            return split
    raise UserError(f"--split takes {' or '.join(SPLITS)}, not '{text}'")


def _show(console: Console, evaluation: Evaluation) -> None:
    scores, dataset = evaluation.scores, evaluation.dataset
    some = "all" if evaluation.images == len(dataset) else f"{evaluation.images} of the"
    console.print(
        f"{some} {len(dataset)} images of {escape(dataset.name)} ({dataset.format}, {dataset.split})",
        highlight=False,
    )
    console.print(
        f"protocol: {evaluation.labeller}; original resolution; one confusion matrix over the data set; 255 left out",
        highlight=False,
    )
    if evaluation.windowed:
        console.print(windows_line(evaluation.windowed), highlight=False)
    for note in evaluation.skipped[:_SHOWN]:
        console.print(f"[yellow]left out:[/yellow] {escape(str(note))}", highlight=False)
    if len(evaluation.skipped) > _SHOWN:
        console.print(f"left out in all: {len(evaluation.skipped)} files; --json lists them", highlight=False)
    console.print(class_table(scores))
    for names, what in (
        (scores.absent, "neither labelled nor predicted, so without IoU and not in the mean"),
        (scores.only_predicted, "predicted, but nowhere labelled: IoU 0, in the mean"),
    ):
        if names:
            more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
            console.print(f"{len(names)} classes {what}: {escape(', '.join(names[:_LISTED]))}{more}", highlight=False)
    if math.isnan(scores.mean_iou):
        console.print("no score: every pixel of these images is ignored")
        return
    console.print(
        f"mIoU [bold]{scores.mean_iou:.2%}[/bold] over {len(scores.classes) - len(scores.absent)} classes, "
        f"pixel accuracy [bold]{scores.pixel_accuracy:.2%}[/bold]",
        highlight=False,
    )
