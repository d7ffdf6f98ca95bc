"""Which formats there are, which of them a folder holds, and what a data set argument stands for."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from segmentation.datasets.dataset import SegmentationDataset, Split
from segmentation.datasets.formats import ade20k, cityscapes, shapes, voc
from segmentation.datasets.formats.ade20k import AdeChallengeDataset, AdeFullDataset
from segmentation.datasets.formats.cityscapes import CityscapesDataset
from segmentation.datasets.formats.coco import CocoClasses, CocoDataset
from segmentation.datasets.formats.custom import dataset as custom
from segmentation.datasets.formats.custom.dataset import CustomDataset
from segmentation.datasets.formats.shapes import ShapesDataset
from segmentation.datasets.formats.voc import VocDataset
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError

_DEPTH = 2  # how many folders below the one given a data set may start, as in VOCdevkit/VOC2012
_FOUND_SHOWN = 6


@dataclass(frozen=True)
class Format:
    """A layout on the disk.

    Attributes:
        name: as people say it.
        looked_for: the files and folders that mark it, in words.
        holds: whether a folder is the root of such a data set.
        parts: folders that belong to it, for saying which are missing.
    """

    name: str
    looked_for: str
    holds: Callable[[Path], bool]
    parts: tuple[str, ...]


def _has(*parts: str) -> Callable[[Path], bool]:
    return lambda folder: all((folder / part).is_dir() for part in parts)


def _holds_coco(folder: Path) -> bool:
    return any((folder / "annotations").glob("instances_*2017.json"))


def _holds_full_ade(folder: Path) -> bool:
    return any(next((folder / place).rglob("*_seg.png"), None) for place in ade20k.FULL_FOLDERS)


FORMATS = (
    Format("PASCAL VOC", "JPEGImages/ + SegmentationClass/ + ImageSets/Segmentation/", _has(*voc.MARKERS), voc.MARKERS),
    Format("Cityscapes", "leftImg8bit/ + gtFine/", _has(*cityscapes.MARKERS), cityscapes.MARKERS),
    Format("COCO", "annotations/instances_*2017.json", _holds_coco, ("annotations", "train2017", "val2017")),
    Format(
        "ADE20K", "images/training/ + annotations/training/", _has(*ade20k.CHALLENGE_MARKERS), ade20k.CHALLENGE_MARKERS
    ),
    Format("ADE20K, full release", "images/ADE/training/**/*_seg.png", _holds_full_ade, ("images/ADE",)),
    Format("custom", "images/ + masks/", _has(*custom.MARKERS), custom.MARKERS),
)


def recognise(path: Path) -> tuple[Format, Path]:
    """Returns the format of a folder by its content, and the folder in which the data set starts.

    That may be the folder itself or one up to two levels below, as VOCdevkit/VOC2012 is.

    Raises:
        UserError: it holds no data set, or several; the message says what was looked for and where.
    """
    if not path.is_dir():
        raise UserError(f"{path} is not a folder; name the folder of a data set")
    level = [path]
    for _ in range(_DEPTH + 1):
        found = [(format, folder) for folder in level for format in FORMATS if format.holds(folder)]
        if found:
            return _only(found, path)
        level = [below for folder in level for below in _folders(folder)]
    raise UserError(_nothing_found(path))


def open_dataset(
    argument: str | None, folder: DataFolder, split: Split, *, coco_classes: CocoClasses = "voc"
) -> SegmentationDataset:
    """Returns one split of what a data set argument stands for.

    Args:
        argument: a path that exists, else a name under the data root (`voc`, `cityscapes`, `coco`, `ade20k`,
            `custom/<name>` or just `<name>`), else `shapes`; None for the built-in shapes.
        folder: the data root.
        split: "train" or "val".
        coco_classes: "voc" for the 21 VOC classes, "all" for COCO's own; other formats have no such choice.

    Raises:
        UserError: there is no such data set, or it cannot be used.
    """
    path = locate(argument, folder)
    if path is None:
        return ShapesDataset(split)
    format, root = recognise(path)
    name = path.resolve().name
    if coco_classes != "voc" and format.name != "COCO":
        raise UserError(f"--coco-classes {coco_classes} is for COCO, but {path} is {format.name}; leave it out")
    match format.name:
        case "PASCAL VOC":
            return VocDataset(root, split, name)
        case "Cityscapes":
            return CityscapesDataset(root, split, name)
        case "COCO":
            return CocoDataset(root, split, coco_classes, name)
        case "ADE20K":
            return AdeChallengeDataset(root, split, name)
        case "ADE20K, full release":
            return AdeFullDataset(root, split, name)
        case _:
            return CustomDataset(root, split, name)


def locate(argument: str | None, folder: DataFolder) -> Path | None:
    """Returns the folder that a data set argument stands for; None for the built-in shapes.

    Raises:
        UserError: there is no such folder.
    """
    if argument is None:
        return None
    in_custom = folder.root / "custom" / argument.strip("/")
    try:
        return folder.data_set(argument)
    except UserError:
        if in_custom.is_dir():
            return in_custom
        if argument == shapes.NAME:
            return None
        raise UserError(
            f"there is no data set '{argument}': looked for the folder {argument}, "
            f"for {folder.data_set_path(argument)} and for {in_custom}; {folder.root}/README.md says how to get one"
        ) from None


def _only(found: list[tuple[Format, Path]], path: Path) -> tuple[Format, Path]:
    if all(format.name == "PASCAL VOC" for format, _ in found):
        return found[-1]  # VOC2007 beside VOC2012: the newest
    if len({folder for _, folder in found}) > 1:
        folders = ", ".join(str(folder) for _, folder in found[:_FOUND_SHOWN])
        raise UserError(f"{path} holds several data sets ({folders}); name one of them")
    return found[0]


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    except OSError:
        return []


def _nothing_found(path: Path) -> str:
    names = sorted(entry.name + "/" * entry.is_dir() for entry in path.iterdir() if not entry.name.startswith("."))
    content = ", ".join(names[:_FOUND_SHOWN]) + (" ..." if len(names) > _FOUND_SHOWN else "") if names else "nothing"
    for format in FORMATS:
        for folder in (path, *_folders(path)):
            there = [part for part in format.parts if (folder / part).is_dir()]
            missing = [part for part in format.parts if part not in there]
            if there and missing and format.name not in ("COCO", "ADE20K, full release"):
                return (
                    f"{folder} looks like {format.name}, for {there[0]}/ is there, but {' and '.join(missing)} "
                    f"{'are' if len(missing) > 1 else 'is'} missing; unpack or move it there"
                )
    looked = "; ".join(f"{format.name}: {format.looked_for}" for format in FORMATS)
    return f"{path} holds {content}, which is no data set; looked in it and {_DEPTH} levels below for {looked}"
