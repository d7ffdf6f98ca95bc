"""ADE20K: the 150 classes of the scene parsing benchmark, from its challenge files or from the full release."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segmentation.ade20k_classes import CLASSES, FULL_RELEASE_IDS
from segmentation.datasets.dataset import SegmentationDataset, Split, existing_pairs, refuse_empty
from segmentation.datasets.image_files import files_below, read_mask
from segmentation.datasets.labels import IGNORE, LabelMap, voc_palette
from wavenet_app.core.errors import UserError

CHALLENGE_MARKERS = ("images/training", "annotations/training")
FULL_FOLDERS = ("images/ADE/training", "images/training")
FOLDER_OF_SPLIT = {"train": "training", "val": "validation"}

_FULL_ENDING = "_seg.png"
_GREATEST_FULL_ID = 25 * 256 + 255  # what R // 10 * 256 + G can reach


def challenge_labels() -> LabelMap:
    """Returns the map of ADEChallengeData2016: 0 is "other" and ignored, 1 to 150 are the classes."""
    raw_ids = range(1, len(CLASSES) + 1)
    return LabelMap.of({0: IGNORE, **{raw: raw - 1 for raw in raw_ids}}, raw_ids=raw_ids, raw_ignore=0)


def full_labels() -> LabelMap:
    """Returns the map of the full release, whose 3,000 and more names are ignored but for those of the 150 classes."""
    classes = dict.fromkeys(range(_GREATEST_FULL_ID + 1), IGNORE)
    for class_id, ids in enumerate(FULL_RELEASE_IDS):
        classes.update(dict.fromkeys(ids, class_id))
    return LabelMap.of(classes, raw_ids=[ids[0] for ids in FULL_RELEASE_IDS], raw_ignore=0)


class AdeChallengeDataset(SegmentationDataset):
    """ADE20K as the scene parsing benchmark gives it out (Zhou et al. 2017).

    Args:
        root: folder with images/ and annotations/, each with training/ and validation/.
        split: "train" or "val".
        name: of the data set.

    Raises:
        UserError: a folder of the split is missing, or no image is left.
    """

    def __init__(self, root: Path, split: Split, name: str = "ade20k") -> None:
        images, masks = (root / kind / FOLDER_OF_SPLIT[split] for kind in ("images", "annotations"))
        for folder in (images, masks):
            if not folder.is_dir():
                raise UserError(f"{folder} is missing; unpack ADEChallengeData2016.zip again")
        pairs = [(image, masks / f"{image.stem}.png") for image in files_below(images) if image.suffix == ".jpg"]
        whole, skipped = existing_pairs(pairs, missing_image="the image is missing", missing_mask="its mask is missing")
        refuse_empty(whole, skipped, str(images))
        super().__init__(
            name=name,
            format="ADE20K",
            split=split,
            classes=CLASSES,
            palette=voc_palette(len(CLASSES) + 1)[1:],
            labels=challenge_labels(),
            images=[image for image, _ in whole],
            masks=[mask for _, mask in whole],
            skipped=skipped,
        )


class AdeFullDataset(SegmentationDataset):
    """ADE20K as its full release (2016_07_26 or 2021_17_01), reduced to the benchmark's 150 classes.

    Beside each image NAME.jpg lies NAME_seg.png, whose red and green channels code a name's number: R // 10 * 256 + G.
    Names outside of the 150 classes are ignored; a double door is a door, as in the benchmark.

    Args:
        root: folder with images/.
        split: "train" or "val".
        name: of the data set.

    Raises:
        UserError: the folder of the split is missing, or no image is left.
    """

    def __init__(self, root: Path, split: Split, name: str = "ade20k") -> None:
        places = [(root / training).parent / FOLDER_OF_SPLIT[split] for training in FULL_FOLDERS]
        folder = next((place for place in places if place.is_dir()), None)
        if folder is None:
            raise UserError(f"ADE20K's {split} images are missing: looked for {' and '.join(map(str, places))}")
        pairs = [
            (image, image.with_name(image.stem + _FULL_ENDING))
            for image in files_below(folder)
            if image.suffix == ".jpg"
        ]
        whole, skipped = existing_pairs(
            pairs, missing_image="the image is missing", missing_mask=f"its mask *{_FULL_ENDING} is missing"
        )
        refuse_empty(whole, skipped, str(folder))
        super().__init__(
            name=name,
            format="ADE20K, full release",
            split=split,
            classes=CLASSES,
            palette=voc_palette(len(CLASSES) + 1)[1:],
            labels=full_labels(),
            images=[image for image, _ in whole],
            masks=[mask for _, mask in whole],
            skipped=skipped,
        )

    def mask(self, index: int) -> NDArray[np.uint8]:
        """Returns a mask of the 150 classes, 255 = ignore, shape (height, width)."""
        path = self.mask_path(index)
        colours = read_mask(path).colours
        if colours is None:
            raise UserError(f"the mask {path} is not in colours, as the full release of ADE20K is; take its own file")
        return self.labels.encode(full_release_ids(colours))


def full_release_ids(colours: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Returns the name's number of every pixel, from the colours of a *_seg.png of shape (height, width, 3).

    >>> full_release_ids(np.array([[[110, 162, 7]]], dtype=np.uint8)).tolist()
    [[2978]]
    """
    wide = colours.astype(np.int32)
    return wide[..., 0] // 10 * 256 + wide[..., 1]
