"""COCO 2017: outlines of objects, drawn into masks of the 21 VOC classes or of all 80."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from segmentation.datasets.dataset import FileNote, SegmentationDataset, Split, refuse_empty
from segmentation.datasets.format import Format, FormatOption
from segmentation.datasets.formats import voc
from segmentation.datasets.labels import IGNORE, LabelMap, voc_palette
from wavenet_app.core.errors import UserError

NAME = "COCO"
CocoClasses = Literal["voc", "all"]
# A training image with fewer labelled pixels teaches only background; torchvision's weights were trained without them.
LEAST_LABELLED_PIXELS = 1_000

# VOC's names where COCO's differ.
_VOC_NAMES = {
    "airplane": "aeroplane",
    "dining table": "diningtable",
    "motorcycle": "motorbike",
    "potted plant": "pottedplant",
    "couch": "sofa",
    "tv": "tvmonitor",
}


class CocoDataset(SegmentationDataset):
    """COCO 2017 instances (Lin et al. 2014) as class masks, read and drawn by pycocotools.

    Polygons and run lengths (compressed or not) are drawn with their category's class. Pixels that two different
    classes claim are ignored (255), and so is a crowd where no single instance is outlined: its outline is coarse, and
    COCO's own scorer ignores it too. Pixels of no instance, or of a category that is not kept, are
    background (0), so an image without annotation is all background. Training images with fewer than 1,000 labelled
    pixels are in `skipped`; validation keeps all.

    Args:
        root: folder with annotations/instances_<split>2017.json and <split>2017/.
        split: "train" or "val".
        classes: "voc" for background and VOC's 20 classes, "all" for background and COCO's 80.
        name: of the data set.

    Raises:
        UserError: the annotations or the images are missing or broken, or no image is left.
    """

    def __init__(self, root: Path, split: Split, classes: CocoClasses = "voc", name: str = "coco") -> None:
        annotations = root / "annotations" / f"instances_{split}2017.json"
        folder = root / f"{split}2017"
        if not folder.is_dir():
            raise UserError(f"the images of COCO are missing: looked for {folder}; unpack {split}2017.zip there")
        self._coco = _read(annotations)
        names, self._class_of = _class_ids(self._coco.dataset.get("categories", []), classes, annotations)
        present = {path.name for path in folder.iterdir()}
        skipped: list[FileNote] = []
        notes: list[FileNote] = []
        self._ids: list[int] = []
        for image_id in sorted(self._coco.imgs):
            path = folder / self._coco.imgs[image_id]["file_name"]
            kept = [one for one in self._coco.imgToAnns.get(image_id, []) if one["category_id"] in self._class_of]
            if path.name not in present:
                skipped.append(FileNote(path, "the annotations name it, but the image is missing"))
            elif (
                split == "train"
                and sum(one.get("area", 0) for one in kept if not one.get("iscrowd")) < LEAST_LABELLED_PIXELS
            ):
                skipped.append(FileNote(path, f"near-empty: fewer than {LEAST_LABELLED_PIXELS} labelled pixels"))
            else:
                self._ids.append(image_id)
                if any(_outline(one) is None for one in kept):
                    notes.append(FileNote(path, "annotation without an outline; its pixels count as background"))
        refuse_empty(self._ids, skipped, str(folder))
        super().__init__(
            name=name,
            format=NAME,
            split=split,
            classes=names,
            palette=voc_palette(len(names)),
            labels=_labels(self._class_of, len(names)),
            images=[folder / self._coco.imgs[image_id]["file_name"] for image_id in self._ids],
            masks=[annotations] * len(self._ids),
            skipped=skipped,
            notes=notes,
        )

    def mask(self, index: int) -> NDArray[np.uint8]:
        """Returns a mask of class ids, 255 where two classes claim a pixel or a crowd lies, shape (height, width).

        Raises:
            UserError: an outline cannot be drawn.
        """
        info = self._coco.imgs[self._ids[index]]
        mask = np.zeros((info["height"], info["width"]), dtype=np.uint8)
        crowded = np.zeros(mask.shape, dtype=bool)
        for annotation in self._coco.imgToAnns.get(info["id"], []):
            class_id = self._class_of.get(annotation["category_id"])
            outline = _outline(annotation)
            if class_id is None or outline is None:
                continue
            try:
                inside = self._coco.annToMask({**annotation, "segmentation": outline}).astype(bool)
                if annotation.get("iscrowd"):
                    crowded |= inside
                    continue
                contested = inside & (mask != 0) & (mask != class_id)
                mask[inside] = class_id
                mask[contested] = IGNORE
            except (TypeError, ValueError, KeyError, IndexError) as error:
                raise UserError(
                    f"{self.mask_path(index)}: the outline of annotation {annotation.get('id')} "
                    f"of {info['file_name']} cannot be drawn ({error}); take the original file"
                ) from None
        mask[crowded & (mask == 0)] = IGNORE
        return mask


def _read(path: Path) -> Any:
    from pycocotools.coco import COCO

    if not path.is_file():
        raise UserError(f"the annotations of COCO are missing: looked for {path}; unpack annotations_trainval2017.zip")
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools reports to standard output
            coco = COCO(str(path))
    except (OSError, ValueError, KeyError, TypeError, AssertionError) as error:
        raise UserError(f"cannot read the annotations {path} ({error}); unpack them again") from None
    if not coco.imgs:
        raise UserError(f"{path} lists no images; take instances_*.json of annotations_trainval2017.zip")
    return coco


def _class_ids(categories: list[dict[str, Any]], classes: CocoClasses, path: Path) -> tuple[list[str], dict[int, int]]:
    """Returns the names of the classes, and the class of every category that is kept."""
    if not categories:
        raise UserError(f"{path} lists no categories; take instances_*.json, not captions or image_info")
    if classes == "all":
        ordered = sorted(categories, key=lambda category: category["id"])
        names = ["background", *(category["name"] for category in ordered)]
        return names, {category["id"]: place for place, category in enumerate(ordered, start=1)}
    wanted = {name: place for place, name in enumerate(voc.CLASSES)}
    found = {
        category["id"]: wanted[_VOC_NAMES.get(category["name"], category["name"])]
        for category in categories
        if _VOC_NAMES.get(category["name"], category["name"]) in wanted
    }
    if not found:
        raise UserError(f"{path} has none of VOC's classes; train on its own categories with --coco-classes all")
    return list(voc.CLASSES), found


def _labels(class_of: dict[int, int], num_classes: int) -> LabelMap:
    """Returns category ids to classes and back; background is 0 on both sides."""
    raw_ids = [0] * num_classes
    for category, class_id in class_of.items():
        raw_ids[class_id] = category
    return LabelMap.of({**class_of, 0: 0, IGNORE: IGNORE}, raw_ids=raw_ids)


def _outline(annotation: dict[str, Any]) -> Any:
    """Returns what pycocotools can draw: a run length, or polygons of at least three points; None if there is none."""
    outline = annotation.get("segmentation")
    if isinstance(outline, list):
        # pycocotools takes four numbers for a box, not for a polygon of two points
        return [polygon for polygon in outline if len(polygon) >= 6] or None
    return outline or None


CLASSES_OPTION = FormatOption("coco_classes", {"voc": "21 classes", "all": "81"})

FORMAT = Format(
    name=NAME,
    argument="coco",
    open=lambda root, split, name, options: CocoDataset(
        root, split, cast(CocoClasses, CLASSES_OPTION.chosen(options)), name
    ),
    default_folder="coco",
    layout="annotations/instances_*2017.json",
    holds=lambda folder: any((folder / "annotations").glob("instances_*2017.json")),
    options=(CLASSES_OPTION,),
)
