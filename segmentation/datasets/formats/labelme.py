"""labelme: a JSON file of outlines beside each image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, ValidationError

from segmentation.datasets.dataset import FileNote, SegmentationDataset, Split, refuse_empty
from segmentation.datasets.format import Format
from segmentation.datasets.held_out import is_held_out
from segmentation.datasets.image_files import files_below, has_upright_size, read_image
from segmentation.datasets.labels import IGNORE, MOST_CLASSES, LabelMap, distinct_palette
from wavenet_app.core.errors import UserError
from wavenet_app.core.text import decoded_text

NAME = "labelme"
FOLDERS_OF_SPLIT: dict[Split, tuple[str, ...]] = {"train": ("train", "training"), "val": ("val", "valid", "validation")}
BACKGROUND_NAMES = ("background", "_background_", "__background__")
IGNORED_NAME = "__ignore__"

_FEWEST_POINTS = {"polygon": 3, "rectangle": 2, "circle": 2}
_LARGEST_SIDE = 65_535  # pixels
_FURTHEST = 10  # sides of the image that an outline may reach beyond it
_EXAMINED = 3  # JSON files of a folder that show whether they are labelme's
_HEAD = 65_536  # bytes of a JSON file in which its shapes begin

Number = Annotated[float, Field(allow_inf_nan=False)]
Side = Annotated[int, Field(ge=1, le=_LARGEST_SIDE)]


class Shape(BaseModel):
    """An outline; two points are opposite corners of a rectangle, or a circle's centre and a point on it."""

    label: Annotated[str, Field(min_length=1)]
    points: list[tuple[Number, Number]]
    shape_type: str | None = "polygon"


class LabelFile(BaseModel):
    """What a JSON file of labelme says that is of use."""

    shapes: list[Shape]
    imagePath: Annotated[str, Field(min_length=1)]  # noqa: N815 (labelme's name)
    imageHeight: Side | None = None  # noqa: N815
    imageWidth: Side | None = None  # noqa: N815


@dataclass(frozen=True)
class _Entry:
    """An image and its outlines.

    Attributes:
        image: its file.
        labels: the JSON file.
        size: (height, width) of its mask; None if the file does not state it.
        shapes: what is drawn, later ones on top.
    """

    image: Path
    labels: Path
    size: tuple[int, int] | None
    shapes: tuple[Shape, ...]


class LabelmeDataset(SegmentationDataset):
    """Images with labelme's JSON beside them, in train/ and val/ or all in one folder.

    Polygons, rectangles and circles are drawn in the order of the file. The classes are background and all labels, in
    alphabetical order; the label `__ignore__` is ignored.

    Args:
        root: folder with the files.
        split: "train" or "val".
        name: of the data set.

    Raises:
        UserError: a JSON file is not labelme's, or no image is left.
    """

    def __init__(self, root: Path, split: Split, name: str = "labelme") -> None:
        everything, remarks = _splits(root)
        skipped: list[FileNote] = []
        notes: list[FileNote] = []
        self._entries = [entry for path in everything[split] if (entry := _entry(path, skipped, notes)) is not None]
        other = [_read(path) for path in everything["train" if split == "val" else "val"]]
        labels = {shape.label for file in other for shape in file.shapes}
        labels |= {shape.label for entry in self._entries for shape in entry.shapes}
        things = sorted(label for label in labels if label not in (*BACKGROUND_NAMES, IGNORED_NAME))
        if len(things) + 1 > MOST_CLASSES:
            raise UserError(f"{root} has {len(things)} labels; {MOST_CLASSES - 1} is the most, beside background")
        refuse_empty(self._entries, skipped, f"{root} ({split})")
        classes = ("background", *things)
        self._class_of = {**{label: place for place, label in enumerate(things, start=1)}, IGNORED_NAME: IGNORE}
        super().__init__(
            name=name,
            format=NAME,
            split=split,
            classes=classes,
            palette=distinct_palette(len(classes)),
            labels=LabelMap.identity(len(classes)),
            images=[entry.image for entry in self._entries],
            masks=[entry.labels for entry in self._entries],
            skipped=skipped,
            notes=notes,
            remarks=remarks,
        )

    def image(self, index: int) -> NDArray[np.uint8]:
        """Returns an image as RGB, shape (height, width, 3), turned upright where its outlines are."""
        entry = self._entries[index]
        upright = entry.size is None or has_upright_size(entry.image, entry.size)
        return read_image(entry.image, upright=upright)

    def mask(self, index: int) -> NDArray[np.uint8]:
        """Returns a mask of class ids, shape (height, width).

        Raises:
            UserError: the image has another size than its JSON states.
        """
        from PIL import Image, ImageDraw

        entry = self._entries[index]
        if entry.size is not None:
            has_upright_size(entry.image, entry.size)
        height, width = entry.size or self.image(index).shape[:2]
        mask = Image.new("L", (width, height), 0)
        draw = ImageDraw.Draw(mask)
        for shape in entry.shapes:
            points, fill = shape.points, self._class_of.get(shape.label, 0)
            reach = _FURTHEST * max(height, width)
            if any(abs(value) > reach for point in points for value in point):
                raise UserError(
                    f"{entry.labels}: an outline of '{shape.label}' lies far outside of its image of {width} x "
                    f"{height}; correct or remove it"
                )
            if shape.shape_type == "rectangle":
                (left, right), (top, bottom) = (sorted(values) for values in zip(*points[:2], strict=True))
                draw.rectangle((left, top, right, bottom), fill=fill)
            elif shape.shape_type == "circle":
                (x, y), radius = points[0], math.dist(points[0], points[1])
                draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)
            else:
                draw.polygon(points, fill=fill)
        return np.asarray(mask)


def _entry(path: Path, skipped: list[FileNote], notes: list[FileNote]) -> _Entry | None:
    file = _read(path)
    name = Path(file.imagePath.replace("\\", "/"))
    image = next((place for place in (path.parent / name, path.parent / name.name) if place.is_file()), None)
    if image is None:
        skipped.append(FileNote(path, "its image is missing", f"looked for {path.parent / name.name}"))
        return None
    drawn = tuple(
        shape
        for shape in file.shapes
        if len(shape.points) >= _FEWEST_POINTS.get(shape.shape_type or "polygon", math.inf)
    )
    if len(drawn) < len(file.shapes):
        others = sorted({str(shape.shape_type) for shape in file.shapes if shape not in drawn})
        notes.append(FileNote(path, "shapes without an area are left out", ", ".join(others)))
    size = (file.imageHeight, file.imageWidth) if file.imageHeight and file.imageWidth else None
    return _Entry(image, path, size, drawn)


def _read(path: Path) -> LabelFile:
    """Returns what a JSON file says.

    Raises:
        UserError: it cannot be read, or is not labelme's; the line says where.
    """
    try:
        return LabelFile.model_validate_json(decoded_text(path.read_bytes()))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path} ({error}); replace or remove it") from None
    except ValidationError as invalid:
        first = invalid.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise UserError(f"{path} is no file of labelme: {place} {first['msg']}; correct or remove it") from None


def _splits(root: Path) -> tuple[dict[Split, list[Path]], list[str]]:
    """Returns the JSON files of each split, and remarks."""
    folders = {
        split: next((root / name for name in names if (root / name).is_dir()), None)
        for split, names in FOLDERS_OF_SPLIT.items()
    }
    if folders["train"] is not None and folders["val"] is not None:
        return {split: _label_files(folder) for split, folder in folders.items() if folder is not None}, []
    files = _label_files(folders["train"] or root)
    held_out = is_held_out([path.relative_to(root).as_posix() for path in files])
    splits: dict[Split, list[Path]] = {
        split: [path for path, out in zip(files, held_out, strict=True) if out == (split == "val")]
        for split in FOLDERS_OF_SPLIT
    }
    remark = f"no folder val/: {sum(held_out)} of {len(files)} images are held out, chosen by name"
    return splits, [remark]


def _label_files(folder: Path) -> list[Path]:
    return [path for path in files_below(folder) if path.suffix.lower() == ".json" and _is_labelme(path)]


def _is_labelme(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return False
    return b'"shapes"' in head and head.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"{")


def _holds(folder: Path) -> bool:
    names: Sequence[Path] = (folder, *(folder / name for names in FOLDERS_OF_SPLIT.values() for name in names))
    files = (
        sorted(path for path in place.iterdir() if path.suffix.lower() == ".json") for place in names if place.is_dir()
    )
    return any(_is_labelme(path) for some in files for path in some[:_EXAMINED])


FORMAT = Format(
    name=NAME,
    argument="labelme",
    open=lambda root, split, name, _options: LabelmeDataset(root, split, name),
    default_folder="labelme",
    layout="a.jpg + a.json",
    holds=_holds,
)
