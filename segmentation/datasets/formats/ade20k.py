"""ADE20K: the 150 classes of the scene parsing benchmark, from its challenge files or from the full release."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segmentation.datasets.dataset import SegmentationDataset, Split, existing_pairs, refuse_empty
from segmentation.datasets.format import Format, has_folders
from segmentation.datasets.image_files import files_below, read_mask
from segmentation.datasets.labels import IGNORE, LabelMap, distinct_palette
from wavenet_app.core.errors import UserError
from wavenet_app.core.walk import walk

# name = number in the full release's list of names, counted from 1; in the benchmark's order (objectInfo150).
_TABLE = """
wall=2978, building=312, sky=2420, floor=976, tree=2855, ceiling=447, road=2131, bed=165, windowpane=3055, grass=1125,
cabinet=350, sidewalk=2377, person=1831, earth=838, door=774+783, table=2684, mountain=1610, plant=1910, curtain=687,
chair=471, car=401, water=2994, painting=1735, sofa=2473, shelf=2329, house=1276, sea=2264, mirror=1564, rug=2178,
field=913, armchair=57, seat=2272, fence=907, desk=724, rock=2138, wardrobe=2985, lamp=1395, bathtub=155, railing=2053,
cushion=689, base=137, box=266, column=581, signboard=2380, chest of drawers=491, counter=627, sand=2212, sink=2388,
skyscraper=2423, fireplace=943, refrigerator=2096, grandstand=1121, path=1788, stairs=2530, runway=2185, case=420,
pool table=1948, pillow=1869, screen door=2251, stairway=2531, river=2128, bridge=294, bookcase=239, blind=212,
coffee table=571, toilet=2793, flower=978, book=236, hill=1240, bench=181, countertop=629, stove=2598, palm=1744,
kitchen island=1374, computer=591, swivel chair=2679, boat=223, bar=123, arcade machine=47, hovel=1282, bus=327,
towel=2821, light=1451, truck=2880, tower=2828, chandelier=480, awning=77, streetlight=2616, booth=247,
television receiver=2733, airplane=14, dirt track=738, apparel=38, pole=1936, land=1401, bannister=120, escalator=868,
ottoman=1702, bottle=249, buffet=308, poster=1969, stage=2526, van=2928, ship=2337, fountain=1023, conveyer belt=609,
canopy=389, washer=2989, plaything=1930, swimming pool=2668, stool=2586, barrel=131, basket=146, waterfall=3016,
tent=2739, bag=95, minibike=1563, cradle=642, oven=1708, ball=103, food=1002, step=2569, tank=2704, trade name=2833,
microwave=1551, pot=1981, animal=29, bicycle=187, lake=1393, dishwasher=747, screen=2254, blanket=206, sculpture=2262,
hood=1260, sconce=2243, vase=2932, traffic light=2836, tray=2850, ashcan=64, fan=894, pier=1858, crt screen=3109,
plate=1919, monitor=1583, bulletin board=318, shower=2356, radiator=2046, glass=1098, clock=530, flag=954
"""
_ROWS = [row.strip().split("=") for row in _TABLE.replace("\n", " ").split(",")]

CLASSES = tuple(name for name, _ in _ROWS)
FULL_RELEASE_IDS = tuple(tuple(int(number) for number in numbers.split("+")) for _, numbers in _ROWS)

CHALLENGE_NAME = "ADE20K"
FULL_NAME = "ADE20K, full release"
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


class AdeDataset(SegmentationDataset):
    """Images with masks of the benchmark's 150 classes; `AdeChallengeDataset` and `AdeFullDataset` find the files.

    Args:
        name: of the data set.
        format: "ADE20K" or "ADE20K, full release".
        split: "train" or "val".
        labels: raw ids to classes.
        pairs: image and mask, which may be missing.
        missing_mask: what to note of an image whose mask is missing.
        where: the images' folder, for the error if none is left.

    Raises:
        UserError: no image is left.
    """

    def __init__(
        self,
        *,
        name: str,
        format: str,
        split: Split,
        labels: LabelMap,
        pairs: Sequence[tuple[Path, Path]],
        missing_mask: str,
        where: Path,
    ) -> None:
        whole, skipped = existing_pairs(pairs, missing_image="the image is missing", missing_mask=missing_mask)
        refuse_empty(whole, skipped, str(where))
        super().__init__(
            name=name,
            format=format,
            split=split,
            classes=CLASSES,
            palette=distinct_palette(len(CLASSES) + 1)[1:],
            labels=labels,
            images=[image for image, _ in whole],
            masks=[mask for _, mask in whole],
            skipped=skipped,
        )


class AdeChallengeDataset(AdeDataset):
    """ADE20K as the scene parsing benchmark publishes it (Zhou et al. 2017).

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
        super().__init__(
            name=name,
            format=CHALLENGE_NAME,
            split=split,
            labels=challenge_labels(),
            pairs=[(image, masks / f"{image.stem}.png") for image in files_below(images) if image.suffix == ".jpg"],
            missing_mask="its mask is missing",
            where=images,
        )


class AdeFullDataset(AdeDataset):
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
        super().__init__(
            name=name,
            format=FULL_NAME,
            split=split,
            labels=full_labels(),
            pairs=[
                (image, image.with_name(image.stem + _FULL_ENDING))
                for image in files_below(folder)
                if image.suffix == ".jpg"
            ],
            missing_mask=f"its mask *{_FULL_ENDING} is missing",
            where=folder,
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


def _holds_full_release(folder: Path) -> bool:
    files = (path for place in FULL_FOLDERS if (folder / place).is_dir() for path in walk(folder / place))
    return any(path.name.endswith(_FULL_ENDING) for path in files)


CHALLENGE = Format(
    name=CHALLENGE_NAME,
    argument="ade20k",
    open=lambda root, split, name, _options: AdeChallengeDataset(root, split, name),
    default_folder="ade20k",
    layout="images/training/ + annotations/training/",
    holds=has_folders(*CHALLENGE_MARKERS),
    markers=CHALLENGE_MARKERS,
    num_classes=len(CLASSES),
)

FULL_RELEASE = Format(
    name=FULL_NAME,
    argument="ade20k",
    open=lambda root, split, name, _options: AdeFullDataset(root, split, name),
    default_folder="ade20k",
    layout="images/ADE/training/**/*_seg.png",
    holds=_holds_full_release,
    num_classes=len(CLASSES),
)
