"""`wavegen seg-predict`: labels an image or a folder of images."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from segmentation.checkpoints.segmenter import class_names
from segmentation.prediction.options import LabelOptions, open_labeller, windows_line
from segmentation.prediction.predict import FOLDERS, Prediction, find_images, predict
from wavenet_app.core.console import print_labelled
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.core.options import make_console, stopped_in_words
from wavenet_app.core.terminal import number_of, progress_bar

_MOST_CLASSES = 12  # rows of the table of classes


def run_prediction(
    options: LabelOptions, path: Path, folder: DataFolder, *, console: Console, out: Path | None = None
) -> Prediction:
    """Labels images, and prints which classes they hold, which files are skipped, and where the results are.

    Args:
        options: checkpoint and protocol.
        path: an image or a folder.
        folder: the data folder.
        console: to print on.
        out: folder of the results; None for segmentation_results/<run>/<name of the folder, if it is one>.

    Raises:
        UserError: there is no such checkpoint or image, none of the images can be read, or a result cannot be written.
    """
    segmenter, labeller = open_labeller(options, folder)
    below = folder.segmentation_results / segmenter.name
    target = out or (below / path.resolve().name if path.is_dir() else below)
    inputs, others = find_images(path, target)
    finished = 0

    def so_far() -> str:
        results = f"; the results so far are in {target}" if finished else ""
        return f"stopped after {finished} of {number_of(len(inputs), 'image')}{results}"

    with stopped_in_words(so_far), progress_bar(make_console(stderr=True), "reading") as on_image:

        def moved(done: int, total: int) -> None:
            nonlocal finished
            finished = done
            on_image(done, total)

        prediction = predict(labeller, segmenter.table, inputs, target, progress=moved)
    if not prediction.written:
        raise UserError(
            prediction.skipped[0].detail + f" (none of {len(inputs)} images could be read)" * (len(inputs) > 1)
        )
    console.print(f"protocol: {labeller}", highlight=False)
    if prediction.windowed:
        console.print(windows_line(prediction.windowed), highlight=False)
    if prediction.bits is not None:
        console.print(_depth_line(prediction.bits), highlight=False)
    console.print(_classes(prediction, class_names(segmenter)))
    for note in prediction.skipped:
        print_labelled(console, "skipped", note.detail)
    if others:
        endings = ", ".join(sorted({note.path.suffix or note.path.name for note in others}))
        console.print(f"{number_of(len(others), 'other file')} skipped ({endings})", highlight=False)
    console.print(
        f"{len(prediction.written)} of {number_of(len(inputs), 'image')} labelled: {', '.join(FOLDERS)} in {target}; "
        "overlays have a legend below the image",
        highlight=False,
        soft_wrap=True,
        markup=False,
    )
    return prediction


def _depth_line(bits: int) -> str:
    """Returns how grey levels of more than 8 bits were brought to the 8 that the model sees."""
    return (
        f"note: grey levels of more than 8 bits in a file: the greatest is below {2**bits:,}, so they were divided by "
        f"{2 ** (bits - 8)} for the model, in all of these images alike"
    )


def _classes(prediction: Prediction, names: tuple[str, ...]) -> Table:
    table = Table()
    table.add_column("class")
    table.add_column("share of pixels", justify="right")
    order = sorted(range(len(names)), key=lambda number: -prediction.pixels[number])
    present = [number for number in order if prediction.pixels[number]]
    for number in present[:_MOST_CLASSES]:
        share = prediction.pixels[number] / prediction.pixels.sum()
        table.add_row(names[number], f"{share:.2%}")
    if len(present) > _MOST_CLASSES:
        table.add_row(f"and {len(present) - _MOST_CLASSES} more", "")
    return table
