"""COCO's JSON: read through the door of the data sets, its masks drawn, and the folder checked."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import image_sets
from mutations import json_of, mutated_text, mutated_values
from pycocotools import mask as coco_mask
from worker import Door

from segmentation.checking.check import check_datasets, quick_check
from segmentation.datasets.catalogue import open_dataset
from segmentation.datasets.dataset import SegmentationDataset, Split
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError

SIDE = 40


def _content() -> list[list[dict[str, Any]]]:
    drawn = coco_mask.frPyObjects(image_sets.box(3, 3, 30, 30), SIDE, SIDE)[0]
    compressed = {"size": [SIDE, SIDE], "counts": drawn["counts"].decode()}
    plain = {"size": [SIDE, SIDE], "counts": [100, 20, 100, 30, SIDE * SIDE - 250]}
    return [
        [
            {"category_id": 1, "segmentation": image_sets.box(0, 0, 20, 20), "area": 400, "bbox": [0, 0, 20, 20]},
            {"category_id": 3, "segmentation": compressed, "area": 729.5},
        ],
        [
            {"category_id": 13, "segmentation": plain, "iscrowd": 1},
            {"category_id": 1, "segmentation": [], "area": 1200},
        ],
        [{"category_id": 3, "segmentation": [[1.5, 2.5, 38, 2, 38, 38, 2, 38, 1, 10]], "area": 1300}],
    ]


def write_seeds(folder: Path) -> None:
    """Writes COCO's own layout with two splits, and Roboflow's with one file for all."""
    for split in ("train", "val"):
        image_sets.write_coco(folder / "official", _content(), split, SIDE)
    image_sets.write_coco(folder / "temporary", _content(), "val", SIDE)
    single = folder / "single"
    shutil.copytree(folder / "temporary" / "val2017", single / "images")
    shutil.copy(folder / "temporary" / "annotations" / "instances_val2017.json", single / "result.json")
    shutil.rmtree(folder / "temporary")


def doors(choose: random.Random, seeds: Path, place: Path) -> Iterator[Door]:
    """Mutates one JSON file, and yields opening, drawing and checking."""
    root = place / "set"
    shutil.copytree(seeds / choose.choice(("official", "official", "single")), root)
    path = choose.choice(sorted(root.rglob("*.json")))
    text = path.read_text()
    if choose.random() < 0.2:
        path.write_bytes(mutated_text(choose, text))
    else:
        path.write_bytes(json_of(choose, mutated_values(choose, json.loads(text))))
    classes = choose.choice(("auto", "voc", "all"))
    yield from through_the_door(choose, root, place, {"coco_classes": classes})


def through_the_door(
    choose: random.Random, root: Path, place: Path, options: dict[str, str | None] | None = None
) -> Iterator[Door]:
    """Yields opening both splits, reading every image, and a check of the data set."""
    opened: list[SegmentationDataset] = []

    def opening(split: Split) -> None:
        opened.append(open_dataset(str(root), DataFolder(place / "data"), split, options))
        _read_all(opened[-1])

    yield lambda: opening("train")
    yield lambda: opening("val")
    if opened:
        check = choose.choice((quick_check, check_datasets))
        yield lambda: check(opened)


def _read_all(dataset: SegmentationDataset) -> None:
    refused: UserError | None = None
    for index in range(len(dataset)):
        try:
            sample = dataset[index]
            assert sample.image.shape[-2:] == sample.mask.shape[-2:]
        except UserError as error:
            refused = error
    if refused is not None:
        raise refused
