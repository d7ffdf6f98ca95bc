"""`wavegen seg-check`: reads the splits of a data set, prints a report and draws a sheet of overlays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console

from segmentation.checking.check import check_datasets
from segmentation.checking.view import render
from segmentation.datasets.catalogue import open_dataset
from segmentation.datasets.dataset import SPLITS, SegmentationDataset, evenly_spread
from segmentation.datasets.format import Options
from segmentation.datasets.overlays import Picture, write_sheet
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.core.options import make_console
from wavenet_app.core.terminal import progress_bar

PICTURES = 8


def run_check(
    argument: str | None,
    folder: DataFolder,
    *,
    console: Console,
    as_json: bool,
    files: int | None = None,
    format_options: Options | None = None,
) -> bool:
    """Checks a data set, prints the report, and writes segmentation_results/check_<name>.png.

    Args:
        argument: a path or name of a data set; None for the built-in shapes.
        folder: the data root.
        console: to print on.
        as_json: whether JSON is printed instead of tables.
        files: images of each split to read, evenly spread; None for all.
        format_options: choices of single formats, such as the classes of COCO.

    Returns:
        Whether the data set is fit to train on.

    Raises:
        UserError: there is no such data set, no split of it can be opened, or the sheet cannot be written.
    """
    datasets, missing = _splits_of(argument, folder, format_options)
    with progress_bar(make_console(stderr=True), "reading") as on_image:
        report = check_datasets(datasets, limit=files, progress=on_image)
    report = replace(report, problems=(*report.problems, *missing))
    sheet = folder.segmentation_results / f"check_{report.name}.png"
    pictures = _pictures(datasets)
    if pictures:
        write_sheet(sheet, pictures, report.classes, datasets[0].palette, f"{report.name} ({report.format})")
    if as_json:
        console.print_json(data={**report.to_dict(), "sheet": str(sheet) if pictures else None})
    else:
        console.print(render(report, argument, sheet if pictures else None))
    return not report.problems


def _splits_of(
    argument: str | None, folder: DataFolder, options: Options | None
) -> tuple[list[SegmentationDataset], list[str]]:
    """Returns the splits that can be opened, and why the others cannot."""
    datasets: list[SegmentationDataset] = []
    missing: list[str] = []
    for split in SPLITS:
        try:
            datasets.append(open_dataset(argument, folder, split, options))
        except UserError as error:
            missing.append(str(error))
    if not datasets:
        raise UserError(missing[0])
    return datasets, missing


def _pictures(datasets: Sequence[SegmentationDataset]) -> list[Picture]:
    """Returns images of all splits, spread evenly, without those that cannot be read."""
    pictures = []
    for dataset in datasets:
        for index in evenly_spread(len(dataset), PICTURES // len(datasets)):
            try:
                sample = dataset[index]
            except UserError:
                continue  # the report names it
            title = f"{dataset.split}: {Path(dataset.image_path(index)).name}"
            image = np.ascontiguousarray(sample.image.numpy().transpose(1, 2, 0))
            pictures.append(Picture(title, image, sample.mask.numpy()))
    return pictures
