"""What the categories of a COCO file become: VOC's 21 classes, or background and the file's own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from segmentation.datasets.formats.coco.annotations import CocoCategory
from segmentation.datasets.formats.voc import dataset as voc
from segmentation.datasets.labels import IGNORE, MOST_CLASSES, LabelMap
from wavenet_app.core.errors import UserError

CocoClasses = Literal["auto", "voc", "all"]

BACKGROUND_NAMES = ("background", "_background_", "__background__")

_TABLE = """
person=1, bicycle=2, car=3, motorcycle=4, airplane=5, bus=6, train=7, truck=8, boat=9, traffic light=10,
fire hydrant=11, stop sign=13, parking meter=14, bench=15, bird=16, cat=17, dog=18, horse=19, sheep=20, cow=21,
elephant=22, bear=23, zebra=24, giraffe=25, backpack=27, umbrella=28, handbag=31, tie=32, suitcase=33, frisbee=34,
skis=35, snowboard=36, sports ball=37, kite=38, baseball bat=39, baseball glove=40, skateboard=41, surfboard=42,
tennis racket=43, bottle=44, wine glass=46, cup=47, fork=48, knife=49, spoon=50, bowl=51, banana=52, apple=53,
sandwich=54, orange=55, broccoli=56, carrot=57, hot dog=58, pizza=59, donut=60, cake=61, chair=62, couch=63,
potted plant=64, bed=65, dining table=67, toilet=70, tv=72, laptop=73, mouse=74, remote=75, keyboard=76,
cell phone=77, microwave=78, oven=79, toaster=80, sink=81, refrigerator=82, book=84, clock=85, vase=86, scissors=87,
teddy bear=88, hair drier=89, toothbrush=90
"""
_COCO_IDS = {name: int(number) for name, number in (row.strip().split("=") for row in _TABLE.split(","))}

# VOC's names where COCO's differ.
_VOC_NAMES = {
    "airplane": "aeroplane",
    "dining table": "diningtable",
    "motorcycle": "motorbike",
    "potted plant": "pottedplant",
    "couch": "sofa",
    "tv": "tvmonitor",
}
_GREATEST_RAW_ID = 65_535  # masks of raw ids have 16 bits, at most


@dataclass(frozen=True)
class CocoClassTable:
    """The classes of a COCO data set.

    Attributes:
        names: of the classes, each once; background is class 0.
        class_of: id of a category that is kept -> class.
        labels: ids to classes and back; each class has an id of its own.
        remarks: what is worth knowing about the categories, a line each.
    """

    names: tuple[str, ...]
    class_of: dict[int, int]
    labels: LabelMap
    remarks: tuple[str, ...]


def class_table(categories: Sequence[CocoCategory], choice: CocoClasses, path: Path, used: set[int]) -> CocoClassTable:
    """Returns the classes of a COCO file.

    Args:
        categories: of the file.
        choice: "voc" for VOC's 21, "all" for background and the file's own, "auto" for the first where the categories
            are COCO's own.
        path: of the file, for errors.
        used: ids of the categories that any annotation of the data set has.

    Raises:
        UserError: there are no categories, too many, two with one id, or none that is VOC's.
    """
    if not categories:
        raise UserError(f"{path} lists no categories; take instances_*.json, not captions or image_info")
    twice = [number for number, count in Counter(category["id"] for category in categories).items() if count > 1]
    if twice:
        raise UserError(f"{path}: two categories have the id {twice[0]}; give each an id of its own")
    if choice == "voc" or (choice == "auto" and is_coco(categories)):
        return _voc_classes(categories, path)
    return _own_classes(categories, path, used)


def is_coco(categories: Sequence[CocoCategory]) -> bool:
    """Returns whether categories are some of COCO's 80, by their names and ids."""
    return all(_COCO_IDS.get(category["name"]) == category["id"] for category in categories)


def is_whole_coco(categories: Sequence[CocoCategory]) -> bool:
    """Returns whether categories are all of COCO's 80, as in the published files."""
    return len(categories) == len(_COCO_IDS) and is_coco(categories)


def _voc_classes(categories: Sequence[CocoCategory], path: Path) -> CocoClassTable:
    wanted = {name: place for place, name in enumerate(voc.CLASSES)}
    found: dict[int, int] = {}
    for category in categories:
        place = wanted.get(_VOC_NAMES.get(category["name"], category["name"]))
        if place is not None:
            found[category["id"]] = place
    if not any(found.values()):
        raise UserError(f"{path} has none of VOC's classes; train on its own categories with --coco-classes all")
    left_out = len(categories) - len(found)
    remarks = (f"{left_out} categories are not VOC's and count as background; --coco-classes all keeps them",)
    return _table(voc.CLASSES, found, remarks if left_out and not is_coco(categories) else ())


def _own_classes(categories: Sequence[CocoCategory], path: Path, used: set[int]) -> CocoClassTable:
    remarks: list[str] = []
    roots = {category["supercategory"] for category in categories if category["supercategory"] != category["name"]}
    candidates = [category for category in categories if category["name"] in roots]
    dropped = [category for category in candidates if category["id"] not in used]
    if dropped:
        listed = ", ".join(f"'{category['name']}'" for category in dropped)
        remarks.append(f"no annotation has the category {listed}, which only groups others; it is left out")
    kept = sorted((category for category in categories if category not in dropped), key=lambda one: one["id"])
    background = [category for category in kept if category["name"].strip().lower() in BACKGROUND_NAMES]
    things = [category for category in kept if category not in background]
    if not things:
        raise UserError(f"{path} has no category but the background; add those that are annotated")
    if len(things) + 1 > MOST_CLASSES:
        raise UserError(f"{path} has {len(things)} categories; {MOST_CLASSES - 1} is the most, beside background")
    if background:
        remarks.append(f"the category '{background[0]['name']}' is the background, class 0")
    times = Counter(category["name"] for category in things)
    doubled = sorted(name for name, count in times.items() if count > 1)
    if doubled:
        remarks.append(f"several categories are called '{doubled[0]}'; their ids are added to the names")
    names = [
        category["name"] if times[category["name"]] == 1 else f"{category['name']} ({category['id']})"
        for category in things
    ]
    class_of = {category["id"]: place for place, category in enumerate(things, start=1)}
    class_of.update({category["id"]: 0 for category in background})
    return _table(("background", *names), class_of, tuple(remarks))


def _table(names: Sequence[str], class_of: dict[int, int], remarks: tuple[str, ...]) -> CocoClassTable:
    """Returns classes with an id each to write back: their category's, and for the rest ids that no category has."""
    raw_ids: dict[int, int] = {}
    for category, class_id in class_of.items():
        raw_ids.setdefault(class_id, category)
    if class_of and not 0 <= min(class_of) <= max(class_of) <= _GREATEST_RAW_ID:
        raw_ids = {place: place for place in range(len(names))}
        remarks = (*remarks, f"category ids are beyond 0 to {_GREATEST_RAW_ID}, so raw ids are the classes")
    taken = set(raw_ids.values())
    free = (number for number in (0, *range(IGNORE + 1, _GREATEST_RAW_ID + 1)) if number not in taken)
    if 0 not in raw_ids:
        raw_ids[0] = next(free)
    raw_ignore = next(free) if IGNORE in taken else IGNORE
    ids = [raw_ids[place] if place in raw_ids else next(free) for place in range(len(names))]
    classes = {raw: place for place, raw in enumerate(ids)}
    return CocoClassTable(
        tuple(names),
        class_of,
        LabelMap.of({**classes, raw_ignore: IGNORE}, raw_ids=ids, raw_ignore=raw_ignore),
        remarks,
    )
