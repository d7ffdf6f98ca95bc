"""A folder for each image, with a mask for each object in it, as the Data Science Bowl 2018 has them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segmentation.datasets.dataset import FileNote, SegmentationDataset, Split, refuse_empty
from segmentation.datasets.format import Format
from segmentation.datasets.held_out import is_held_out
from segmentation.datasets.image_files import deep_bits, file_facts, files_below, read_image, read_mask
from segmentation.datasets.labels import LabelMap, distinct_palette
from wavenet_app.core.errors import UserError
from wavenet_app.core.suffixes import IMAGE_SUFFIXES

NAME = "masks of single objects"
CLASSES = ("background", "object")
_EXAMINED = 3  # folders that show whether a data set is of this format


class InstanceMaskDataset(SegmentationDataset):
    """Folders NAME/images/NAME.png and NAME/masks/*.png; the union of an image's masks is the class "object".

    A fifth of the images is held out, chosen by name.

    Args:
        root: folder with a folder for each image.
        split: "train" or "val".
        name: of the data set.

    Raises:
        UserError: no image of the split has masks.
    """

    def __init__(self, root: Path, split: Split, name: str = "dsb2018") -> None:
        skipped: list[FileNote] = []
        images: list[Path] = []
        masks: list[tuple[Path, ...]] = []
        found = [(folder, image) for folder in sorted(root.iterdir()) if (image := _image_of(folder)) is not None]
        held_out = is_held_out([folder.name for folder, _ in found])
        for (folder, image), out in zip(found, held_out, strict=True):
            if out != (split == "val"):
                continue
            own = _masks_of(folder)
            if not own:
                skipped.append(FileNote(image, "image without a mask", f"looked in {folder / 'masks'}"))
                continue
            try:
                file_facts(image)
            except UserError as error:
                skipped.append(FileNote(image, "image or mask cannot be read", str(error)))
                continue
            images.append(image)
            masks.append(own)
        refuse_empty(images, skipped, f"{root} ({split})")
        self._instances = masks
        self._bits = deep_bits([image for _, image in found])  # of both splits, so that these cannot differ
        objects = sum(len(own) for own in masks)
        super().__init__(
            name=name,
            format=NAME,
            split=split,
            classes=CLASSES,
            palette=distinct_palette(len(CLASSES)),
            labels=LabelMap.identity(len(CLASSES)),
            images=images,
            masks=[own[0] for own in masks],
            skipped=skipped,
            remarks=[
                f"{objects} masks of single objects in {len(images)} images: those of an image are joined to one "
                "class, 'object', so objects that touch are not kept apart",
                f"{sum(held_out)} of {len(found)} images are held out, chosen by name",
            ],
        )

    def image(self, index: int) -> NDArray[np.uint8]:
        """Returns an image as RGB, shape (height, width, 3), in the stored orientation."""
        return read_image(self.image_path(index), upright=False, bits=self._bits)

    def mask(self, index: int) -> NDArray[np.uint8]:
        """Returns 1 where any mask of the image is not zero, else 0, shape (height, width).

        Raises:
            UserError: a mask cannot be read, or has another size than the image.
        """
        width, height = file_facts(self.image_path(index)).size
        union = np.zeros((height, width), dtype=bool)
        for path in self._instances[index]:
            pixels = read_mask(path)
            inside = pixels.values != 0 if pixels.values is not None else _any_colour(pixels.colours)
            if inside.shape != union.shape:
                raise UserError(
                    f"{path} is {inside.shape[1]} x {inside.shape[0]}, but its image is {width} x {height}; take the "
                    "files that belong together"
                )
            union |= inside
        return union.astype(np.uint8)


def _any_colour(colours: NDArray[np.uint8] | None) -> NDArray[np.bool_]:
    assert colours is not None  # a mask has values or colours
    return np.asarray(colours.any(axis=-1))


def _image_of(folder: Path) -> Path | None:
    """Returns NAME/images/NAME.png or with another ending; None where a folder has no such image."""
    found = (path for path in (folder / "images").glob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    return next((path for path in sorted(found) if path.stem == folder.name), None)


def _masks_of(folder: Path) -> tuple[Path, ...]:
    return tuple(path for path in files_below(folder / "masks") if path.suffix.lower() in IMAGE_SUFFIXES)


def _first_folders(root: Path) -> Iterator[Path]:
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    yield from folders[:_EXAMINED]


def _holds(folder: Path) -> bool:
    first = list(_first_folders(folder)) if folder.is_dir() else []
    return bool(first) and all(_image_of(one) is not None and bool(_masks_of(one)) for one in first)


FORMAT = Format(
    name=NAME,
    argument="dsb2018",
    open=lambda root, split, name, _options: InstanceMaskDataset(root, split, name),
    default_folder="dsb2018",
    layout="NAME/images/NAME.png + NAME/masks/*.png",
    holds=_holds,
)
