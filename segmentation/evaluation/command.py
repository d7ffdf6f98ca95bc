"""`wavegen seg-eval`: scores a checkpoint on a data set."""

from __future__ import annotations

from rich.console import Console

from segmentation.checkpoints.segmenter import check_classes
from segmentation.datasets.catalogue import open_dataset
from segmentation.datasets.dataset import SPLITS, Split
from segmentation.datasets.format import Options
from segmentation.evaluation.evaluate import Evaluation, evaluate
from segmentation.evaluation.view import show_evaluation
from segmentation.prediction.options import LabelOptions, open_labeller
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.core.options import make_console
from wavenet_app.core.terminal import number_of, progress_bar


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
    """Scores a checkpoint on a split, and prints the scores and the protocol.

    Args:
        options: checkpoint and protocol.
        dataset: a path or name of a data set.
        folder: the data folder.
        console: to print on.
        as_json: whether JSON is printed instead of tables.
        split: "train" or "val".
        images: how many to score, evenly spread; None for all.
        format_options: choices of single formats, such as the classes of COCO; the others are those of the training.

    Raises:
        UserError: there is no such checkpoint or data set, or their classes differ.
    """
    segmenter, labeller = open_labeller(options, folder)
    in_training = segmenter.config.data.format_options if segmenter.config else {}
    chosen = {name: choice for name, choice in (format_options or {}).items() if choice is not None}
    opened = open_dataset(dataset, folder, _split(split), {**in_training, **chosen})
    check_classes(segmenter, opened)
    aside = make_console(stderr=True)
    count = min(images or len(opened), len(opened))
    aside.print(f"scoring {number_of(count, 'image')} of {opened.name} ({opened.split})", soft_wrap=True)
    with progress_bar(aside, "reading") as on_image:
        evaluation = evaluate(labeller, opened, limit=images, progress=on_image)
    if as_json:
        console.print_json(data={"checkpoint": str(segmenter.path), **evaluation.to_dict()})
    else:
        show_evaluation(console, evaluation)
    return evaluation


def _split(text: str) -> Split:
    for split in SPLITS:
        if text == split:
            return split
    raise UserError(f"--split takes {' or '.join(SPLITS)}, not '{text}'")
