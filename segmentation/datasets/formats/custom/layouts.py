"""Where the images and masks of a custom data set lie: the layouts that labelling tools and competitions use."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from segmentation.datasets.dataset import Split
from segmentation.datasets.formats.custom.pairs import Pairing, pair_by_name, pair_side_by_side
from wavenet_app.core.suffixes import IMAGE_SUFFIXES
from wavenet_app.core.walk import walk

FOLDERS_OF_SPLIT: dict[Split, tuple[str, ...]] = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
}
IMAGE_FOLDERS = ("images", "image", "imgs", "img")
MASK_FOLDERS = ("masks", "mask", "labels", "label", "annotations", "gt", "ground_truth", "groundtruth")
MASK_ENDINGS = ("_mask", "-mask", "_labels", "_gt")
"""What the name of a mask adds to the name of its image where both lie in one folder."""


@dataclass(frozen=True)
class Place:
    """Where images and their masks lie.

    Attributes:
        images: folder of the images.
        masks: folder of the masks; the same where they lie side by side.
        ending: what the masks' names add where they lie side by side; else empty.
    """

    images: Path
    masks: Path
    ending: str = ""

    def pairs(self) -> Pairing:
        """Returns the images with their masks."""
        if self.ending:
            return pair_side_by_side(self.images, self.ending)
        return pair_by_name(self.images, self.masks)


@dataclass(frozen=True)
class Layout:
    """Where a custom data set keeps its splits.

    Attributes:
        base: folder that the names of held-out images are relative to.
        train: where the training images lie; all images where there is no val. None if only val is there.
        val: where the validation images lie; None where some are to be held out.
    """

    base: Path
    train: Place | None
    val: Place | None

    def place(self, split: Split) -> Place | None:
        """Returns where a split lies."""
        return self.train if split == "train" else self.val

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folders that a list of classes may lie in, beside the root."""
        places = [place for place in (self.train, self.val) if place is not None]
        return tuple(dict.fromkeys(folder for place in places for folder in (place.images, place.images.parent)))


def find_layout(root: Path) -> Layout | None:
    """Returns where a folder keeps images and masks; None if it holds no such data set.

    Known are images/ and masks/ (by several names), with or without train/ and val/ in them; train/ and val/ with such
    folders in them; train/ beside train_masks/, or train_images/ beside train_masks/; and images beside their masks,
    whose names end in "_mask", in train/ and val/ or in the folder itself.
    """
    kinds = _pair_of_folders(root)
    if kinds is not None:
        images, masks = kinds.images, kinds.masks
        found = {split: _split_of(images, masks, split) for split in FOLDERS_OF_SPLIT}
        if found["train"] is None and found["val"] is None:
            return Layout(images, kinds, None)
        return Layout(images, found["train"], found["val"])
    places = {split: _place_of_split(root, names) for split, names in FOLDERS_OF_SPLIT.items()}
    if places["train"] is not None:
        return Layout(root, places["train"], places["val"])
    alone = _side_by_side(root)
    return Layout(root, alone, None) if alone is not None else None


def _split_of(images: Path, masks: Path, split: Split) -> Place | None:
    name = next((name for name in FOLDERS_OF_SPLIT[split] if (images / name).is_dir()), None)
    return None if name is None else Place(images / name, masks / name)


def _place_of_split(root: Path, names: tuple[str, ...]) -> Place | None:
    for name in names:
        folder = root / name
        found = (_pair_of_folders(folder) or _side_by_side(folder)) if folder.is_dir() else None
        if found is not None:
            return found
        for images in (root / name, *(root / f"{name}_{kind}" for kind in IMAGE_FOLDERS)):
            for masks in (root / f"{name}_{kind}" for kind in MASK_FOLDERS):
                if images.is_dir() and masks.is_dir() and _holds_images(masks):
                    return Place(images, masks)
    return None


def _pair_of_folders(root: Path) -> Place | None:
    """Returns a folder of images and one of masks in a folder, whatever the case of their names."""
    below = {entry.name.lower(): Path(entry.path) for entry in _entries(root) if entry.is_dir()}
    images = next((below[name] for name in IMAGE_FOLDERS if name in below), None)
    masks = next((below[name] for name in MASK_FOLDERS if name in below), None)
    if images is None or masks is None:
        return None
    return Place(images, masks) if masks.name == "masks" or _holds_images(masks) else None


def _side_by_side(folder: Path) -> Place | None:
    """Returns a folder in which some mask has the name of an image and an ending."""
    stems = {Path(entry.name).stem for entry in _entries(folder) if Path(entry.name).suffix.lower() in IMAGE_SUFFIXES}
    for ending in MASK_ENDINGS:
        if any(stem.endswith(ending) and stem.removesuffix(ending) in stems for stem in stems):
            return Place(folder, folder, ending)
    return None


def _holds_images(folder: Path) -> bool:
    return any(path.suffix.lower() in IMAGE_SUFFIXES for path in walk(folder))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    except OSError:
        return []
