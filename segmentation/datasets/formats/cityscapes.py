"""Cityscapes: 34 raw ids, of which 19 are classes; predictions are written with raw ids again."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from segmentation.datasets.dataset import SegmentationDataset, Split, existing_pairs, refuse_empty
from segmentation.datasets.format import Format, has_folders
from segmentation.datasets.labels import IGNORE, LabelMap
from wavenet_app.core.errors import UserError

NAME = "Cityscapes"
NUM_CLASSES = 19
MARKERS = ("leftImg8bit", "gtFine")
_IMAGE_ENDING = "_leftImg8bit.png"


def cityscapes_labels() -> LabelMap:
    """Returns the map of raw ids, a table of 256 entries, by the class list of the data set's authors.

    Ids beyond 33 are unknown; 255 is where the licence plate's -1 lands in a byte, and ignored. What is ignored goes
    back as 0, "unlabeled".
    """
    from torchvision.datasets import Cityscapes

    trained = [label for label in Cityscapes.classes if not label.ignore_in_eval]
    classes = {label.id % 256: IGNORE for label in Cityscapes.classes}
    classes.update({label.id: label.train_id for label in trained})
    raw_ids = [label.id for label in sorted(trained, key=lambda label: label.train_id)]
    return LabelMap.of(classes, raw_ids=raw_ids, raw_ignore=0)


class CityscapesDataset(SegmentationDataset):
    """Cityscapes with fine annotations (Cordts et al. 2016), listed by torchvision's reader.

    Args:
        root: folder with leftImg8bit/ and gtFine/.
        split: "train" or "val".
        name: of the data set.

    Raises:
        UserError: a folder of the split is missing, or no image is left.
    """

    def __init__(self, root: Path, split: Split, name: str = "cityscapes") -> None:
        from torchvision.datasets import Cityscapes

        for folder in (root / "leftImg8bit" / split, root / "gtFine" / split):
            if not folder.is_dir():
                raise UserError(f"{folder} is missing; unpack leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip")
        try:
            reader = Cityscapes(str(root), split=split, mode="fine", target_type="semantic")
        except NotADirectoryError as error:
            raise UserError(f"{error.filename} is no folder of a city; move it out of {root}") from None
        pairs = sorted(
            (Path(image), Path(masks[0]))
            for image, masks in zip(reader.images, reader.targets, strict=True)
            if str(image).endswith(_IMAGE_ENDING)
        )
        whole, skipped = existing_pairs(
            pairs, missing_image="the image is missing", missing_mask="its mask of labelIds is missing"
        )
        refuse_empty(whole, skipped, f"{root / 'leftImg8bit' / split}")
        trained = sorted(
            (label for label in Cityscapes.classes if not label.ignore_in_eval), key=lambda label: label.train_id
        )
        super().__init__(
            name=name,
            format=NAME,
            split=split,
            classes=[label.name for label in trained],
            palette=np.array([label.color for label in trained], dtype=np.uint8),
            labels=cityscapes_labels(),
            images=[image for image, _ in whole],
            masks=[mask for _, mask in whole],
            skipped=skipped,
        )


FORMAT = Format(
    name=NAME,
    argument="cityscapes",
    open=lambda root, split, name, _options: CityscapesDataset(root, split, name),
    default_folder="cityscapes",
    layout="leftImg8bit/ + gtFine/",
    holds=has_folders(*MARKERS),
    markers=MARKERS,
    num_classes=NUM_CLASSES,
)
