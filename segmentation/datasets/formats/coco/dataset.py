"""COCO 2017: outlines of objects, drawn into masks of the 21 VOC classes or of all categories."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from segmentation.datasets.dataset import FileNote, SegmentationDataset, Split, refuse_empty
from segmentation.datasets.format import Format, FormatOption
from segmentation.datasets.formats.coco.annotations import (
    CocoAnnotation,
    CocoImage,
    check_outline,
    drawn,
    outline_area,
    outline_of,
    read_coco_file,
)
from segmentation.datasets.formats.coco.categories import CocoClasses, class_table, is_whole_coco
from segmentation.datasets.formats.coco.files import holds_coco, split_files
from segmentation.datasets.formats.coco.other_split import joined_categories, read_other_split
from segmentation.datasets.formats.voc import dataset as voc
from segmentation.datasets.held_out import is_held_out
from segmentation.datasets.image_files import file_facts, has_upright_size, read_image
from segmentation.datasets.labels import IGNORE, distinct_palette, voc_palette
from wavenet_app.core.errors import UserError

NAME = "COCO"
# A training image with fewer labelled pixels teaches only background; torchvision's weights were trained without them.
LEAST_LABELLED_PIXELS = 1_000


class _Entry(NamedTuple):
    """An image that is used.

    Attributes:
        path: of its file.
        size: (height, width) of its mask.
        annotations: those of the categories that are kept.
    """

    path: Path
    size: tuple[int, int]
    annotations: list[CocoAnnotation]


class CocoDataset(SegmentationDataset):
    """COCO 2017 instances (Lin et al. 2014) as class masks, drawn by pycocotools.

    Polygons and run lengths (compressed or not) are drawn with their category's class. Pixels that two different
    classes claim are ignored (255), and so is a crowd where no single instance is outlined: its outline is coarse, and
    COCO's own scorer ignores it too. Pixels of no instance, or of a category that is not kept, are
    background (0), so an image without annotation is all background. Training images with fewer than 1,000 labelled
    pixels are in `skipped`; validation keeps all.

    Args:
        root: folder with annotations/instances_<split>2017.json and <split>2017/, or as other tools export COCO.
        split: "train" or "val".
        classes: "voc" for background and VOC's 20 classes, "all" for background and the file's own categories, "auto"
            for the first where the categories are COCO's and the second where they are not.
        name: of the data set.

    Raises:
        UserError: the annotations or the images are missing or broken, or no image is left.
    """

    def __init__(self, root: Path, split: Split, classes: CocoClasses = "auto", name: str = "coco") -> None:
        files = split_files(root, split)
        annotations, folder = files.annotations, files.folders[0]
        self._file = read_coco_file(annotations)
        categories = self._file.categories
        joined: tuple[str, ...] = ()
        # VOC's classes are found by name, and the published files agree and are large.
        alone = classes == "voc" or not categories or is_whole_coco(categories)
        other = None if alone else read_other_split(files, split)
        if other is not None:
            categories, joined = joined_categories(self._file, other, root)
        both = [file for file in (self._file, other) if file is not None]
        used = {one["category_id"] for file in both for ones in file.annotations.values() for one in ones}
        table = class_table(categories, classes, annotations, used)
        self._class_of = table.class_of
        present = {path.name for path in folder.iterdir()}
        skipped: list[FileNote] = []
        notes: list[FileNote] = []
        self._entries: list[_Entry] = []
        images = sorted(self._file.images.values(), key=lambda image: (isinstance(image["id"], str), image["id"]))
        remarks = [*joined, *table.remarks]
        if files.is_single:
            held_out = is_held_out([image["file_name"] for image in images])
            remarks.append(f"one file for all images: {sum(held_out)} of {len(images)} are held out, chosen by name")
            images = [image for image, out in zip(images, held_out, strict=True) if out == (split == "val")]
        for image in images:
            path = files.image(image["file_name"], present)
            own = self._file.annotations.get(image["id"], [])
            kept = [one for one in own if one["category_id"] in self._class_of]
            if path is None:
                skipped.append(
                    FileNote(folder / image["file_name"], "the annotations name it, but the image is missing")
                )
                continue
            try:
                size = _size(image, path)
            except UserError as error:
                skipped.append(FileNote(path, "cannot be read", str(error)))
                continue
            area = self._checked_area(own, size)
            if split == "train" and area < LEAST_LABELLED_PIXELS:
                skipped.append(FileNote(path, f"near-empty: fewer than {LEAST_LABELLED_PIXELS} labelled pixels"))
                continue
            self._entries.append(_Entry(path, size, kept))
            if any(outline_of(one) is None for one in kept):
                notes.append(FileNote(path, "annotation without an outline; its pixels count as background"))
        refuse_empty(self._entries, skipped, str(folder))
        strays = self._file.strays
        if strays:
            remarks.append(f"{strays} annotations belong to images that {annotations.name} does not list")
        super().__init__(
            name=name,
            format=NAME,
            split=split,
            classes=table.names,
            palette=(voc_palette if table.names == voc.CLASSES else distinct_palette)(len(table.names)),
            labels=table.labels,
            images=[entry.path for entry in self._entries],
            masks=[annotations] * len(self._entries),
            skipped=skipped,
            notes=notes,
            remarks=remarks,
        )

    def image(self, index: int) -> NDArray[np.uint8]:
        """Returns an image as RGB, shape (height, width, 3), turned upright where the annotations are."""
        entry = self._entries[index]
        return read_image(entry.path, upright=has_upright_size(entry.path, entry.size))

    def mask(self, index: int) -> NDArray[np.uint8]:
        """Returns a mask of class ids, 255 where two classes claim a pixel or a crowd lies, shape (height, width).

        Raises:
            UserError: the image has another size than the annotations state.
        """
        entry = self._entries[index]
        has_upright_size(entry.path, entry.size)  # a size that is wrong could be any, and memory for it is taken below
        height, width = entry.size
        mask = np.zeros((height, width), dtype=np.uint8)
        crowded = np.zeros(mask.shape, dtype=bool)
        for annotation in entry.annotations:
            class_id = self._class_of[annotation["category_id"]]
            outline = outline_of(annotation)
            if outline is None:
                continue
            inside = drawn(outline, height, width)
            if annotation["iscrowd"]:
                crowded |= inside
                continue
            contested = inside & (mask != 0) & (mask != class_id)
            mask[inside] = class_id
            mask[contested] = IGNORE
        mask[crowded & (mask == 0)] = IGNORE
        return mask

    def _checked_area(self, annotations: Sequence[CocoAnnotation], size: tuple[int, int]) -> float:
        """Returns the area in pixels that single things of the kept categories cover; all outlines are checked."""
        total = 0.0
        for annotation in annotations:
            outline = outline_of(annotation)
            if outline is None:
                continue
            try:
                check_outline(outline, *size)
            except ValueError as error:
                raise self._file.error(annotation, error) from None
            if self._class_of.get(annotation["category_id"]) and not annotation["iscrowd"]:
                stated = annotation["area"]
                total += stated if stated and stated > 0 else outline_area(outline)
        return total


def _size(image: CocoImage, path: Path) -> tuple[int, int]:
    """Returns (height, width) as the annotations state it, or as the file has it."""
    if image["height"] and image["width"]:
        return image["height"], image["width"]
    width, height = file_facts(path).size
    return height, width


CLASSES_OPTION = FormatOption(
    "coco_classes", {"auto": "voc for COCO's own categories, else all", "voc": "21 classes", "all": "81"}
)

FORMAT = Format(
    name=NAME,
    argument="coco",
    open=lambda root, split, name, options: CocoDataset(
        root, split, cast(CocoClasses, CLASSES_OPTION.chosen(options)), name
    ),
    default_folder="coco",
    layout="annotations/instances_*.json or train/_annotations.coco.json",
    holds=holds_coco,
    options=(CLASSES_OPTION,),
)
