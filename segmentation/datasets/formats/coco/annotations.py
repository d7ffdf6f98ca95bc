"""A COCO JSON file, checked as a whole before anything is drawn: types, ids, sizes, and outlines that can be drawn."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Discriminator, Field, Tag, TypeAdapter, ValidationError
from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from wavenet_app.core.errors import UserError
from wavenet_app.core.text import decoded_text

_LARGEST_SIDE = 65_535  # pixels; what a JPEG can have
_FURTHEST = 10  # sides of the image that an outline may reach beyond it; drawing takes time for each pixel of the way
_MOST_GROUPS = 6  # of 5 bits in a number of compressed run lengths: 2^30 pixels
_VALUE_SHOWN = 40  # characters

Id = int | str
Side = Annotated[int, Field(ge=1, le=_LARGEST_SIDE)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=_LARGEST_SIDE**2)]


class RunLengths(TypedDict):
    """A mask as lengths of runs, down the columns; the first run is of pixels outside.

    Attributes:
        size: (height, width).
        counts: the lengths, or the same as COCO's compressed text.
    """

    size: tuple[Side, Side]
    counts: list[Count] | str


Polygon = list[Number]
Outline = list[Polygon] | RunLengths


def _kind(value: Any) -> str | None:
    if not value and (value is None or isinstance(value, dict)):
        return "none"
    return "polygons" if isinstance(value, list) else "run lengths" if isinstance(value, dict) else None


class CocoImage(TypedDict):
    """An entry of "images"; a size of None is not stated."""

    id: Id
    file_name: Annotated[str, Field(min_length=1)]
    height: Annotated[Side | None, Field(default=None)]
    width: Annotated[Side | None, Field(default=None)]


class CocoCategory(TypedDict):
    """An entry of "categories"."""

    id: int
    name: Annotated[str, Field(min_length=1)]
    supercategory: Annotated[str | None, Field(default=None)]


class CocoAnnotation(TypedDict):
    """An entry of "annotations"; an area of None is not stated, a segmentation of None is not there."""

    id: Annotated[Id | None, Field(default=None)]
    image_id: Id
    category_id: int
    iscrowd: Annotated[bool | None, Field(default=None)]
    area: Annotated[Number | None, Field(default=None)]
    segmentation: Annotated[
        Annotated[list[Polygon], Tag("polygons")]
        | Annotated[RunLengths, Tag("run lengths")]
        | Annotated[dict[str, Any] | None, Tag("none")],
        Discriminator(
            _kind, custom_error_type="outline", custom_error_message="Input should be polygons or run lengths"
        ),
        Field(default=None),
    ]


class _Content(TypedDict):
    images: list[CocoImage]
    categories: Annotated[list[CocoCategory], Field(default=[])]
    annotations: Annotated[list[CocoAnnotation], Field(default=[])]


@dataclass(frozen=True)
class CocoFile:
    """What a COCO JSON file says.

    Attributes:
        path: of the file.
        images: id -> image, in the order of the file.
        categories: in the order of the file.
        annotations: id of an image -> its annotations.
        strays: number of annotations whose image is not in the file.
    """

    path: Path
    images: dict[Id, CocoImage]
    categories: list[CocoCategory]
    annotations: dict[Id, list[CocoAnnotation]]
    strays: int

    def error(self, annotation: CocoAnnotation, problem: object) -> UserError:
        """Returns the error of an annotation that cannot be used."""
        return UserError(f"{self.path}, annotation {annotation['id']}: {problem}; correct or remove it")


def read_coco_file(path: Path) -> CocoFile:
    """Returns what a COCO JSON file says, with its types and ids checked.

    Raises:
        UserError: the file is missing, no JSON, or an entry is not what it should be; the line names the entry's id.
    """
    if not path.is_file():
        raise UserError(f"the annotations of COCO are missing: looked for {path}; unpack annotations_trainval2017.zip")
    try:
        text = decoded_text(path.read_bytes())
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the annotations {path} ({error}); unpack them again") from None
    try:
        content = TypeAdapter(_Content).validate_json(text)
    except ValidationError as error:
        raise _explained(path, text, error) from None
    images: dict[Id, CocoImage] = {}
    for image in content["images"]:
        if image["id"] in images:
            raise UserError(f"{path}: two images have the id {image['id']}; give each an id of its own")
        images[image["id"]] = image
    if not images:
        raise UserError(f"{path} lists no images; take instances_*.json of annotations_trainval2017.zip")
    known = {category["id"] for category in content["categories"]}
    annotations: dict[Id, list[CocoAnnotation]] = defaultdict(list)
    strays = 0
    for annotation in content["annotations"]:
        if annotation["category_id"] not in known and known:
            raise UserError(
                f"{path}, annotation {annotation['id']}: category {annotation['category_id']} is not in the file's "
                "categories; correct or remove it"
            )
        if annotation["image_id"] in images:
            annotations[annotation["image_id"]].append(annotation)
        else:
            strays += 1
    return CocoFile(path, images, content["categories"], dict(annotations), strays)


def outline_of(annotation: CocoAnnotation) -> Outline | None:
    """Returns what can be drawn: run lengths, or polygons of at least three points; None if there is nothing."""
    outline = annotation["segmentation"]
    if isinstance(outline, list):
        # pycocotools takes four numbers for a box, not for a polygon of two points
        return [polygon for polygon in outline if len(polygon) >= 6] or None
    return cast(RunLengths, outline) if outline else None


def check_outline(outline: Outline, height: int, width: int) -> None:
    """Checks that pycocotools can draw an outline; its C code trusts what it is given.

    Raises:
        ValueError: it cannot; the message says why.
    """
    if isinstance(outline, list):
        reach = _FURTHEST * max(height, width)
        for polygon in outline:
            if len(polygon) % 2:
                raise ValueError(f"a polygon has {len(polygon)} numbers, not two for each point")
            if min(polygon) < -reach or max(polygon) > reach:
                raise ValueError(
                    f"a polygon reaches from {min(polygon):g} to {max(polygon):g}, far outside of its image of "
                    f"{width} x {height}"
                )
        return
    if tuple(outline["size"]) != (height, width):
        raise ValueError(
            f"run lengths are of {outline['size'][1]} x {outline['size'][0]}, the image {width} x {height}"
        )
    counts = _counts(outline)
    if counts.size and int(counts.min()) < 0:
        raise ValueError("a run length is negative")
    if int(counts.sum()) != height * width:
        raise ValueError(f"run lengths add up to {int(counts.sum())}, the image has {height * width} pixels")


def outline_area(outline: Outline) -> float:
    """Returns the area of a checked outline in pixels; overlapping polygons count twice."""
    if isinstance(outline, list):
        return sum(_polygon_area(polygon) for polygon in outline)
    return float(_counts(outline)[1::2].sum())


def drawn(outline: Outline, height: int, width: int) -> NDArray[np.bool_]:
    """Returns which pixels a checked outline covers, shape (height, width)."""
    from pycocotools import mask as run_lengths

    if isinstance(outline, list):
        encoded = run_lengths.merge(run_lengths.frPyObjects(outline, height, width))
    elif isinstance(outline["counts"], list):
        encoded = run_lengths.frPyObjects(outline, height, width)
    else:
        encoded = outline
    return run_lengths.decode(encoded).astype(bool)


def _polygon_area(polygon: Sequence[float]) -> float:
    """Returns the area of a polygon by the shoelace formula."""
    points = list(zip(polygon[::2], polygon[1::2], strict=True))
    return abs(sum(x * v - u * y for (x, y), (u, v) in pairwise([*points, points[0]]))) / 2


def _counts(outline: RunLengths) -> NDArray[np.int64]:
    """Returns run lengths, decoded where they are COCO's compressed text (`rleFrString` of its maskApi.c).

    Each character holds 5 bits and whether more follow; from the fourth number on, the one before the last is added.

    Raises:
        ValueError: the text is no such code.
    """
    counts = outline["counts"]
    if isinstance(counts, list):
        return np.array(counts, dtype=np.int64)
    codes = np.frombuffer(counts.encode(), dtype=np.uint8).astype(np.int64) - 48
    if not codes.size:
        return codes
    ends = np.flatnonzero((codes & 32) == 0)
    starts = np.concatenate([[0], ends[:-1] + 1]) if ends.size else ends
    if codes.min() < 0 or codes.max() > 63 or not ends.size or ends[-1] != codes.size - 1:
        raise ValueError("the compressed run lengths are damaged")
    groups = ends - starts + 1
    if groups.max() > _MOST_GROUPS:
        raise ValueError("a compressed run length has more than 30 bits")
    place = np.arange(codes.size) - np.repeat(starts, groups)
    numbers = np.add.reduceat((codes & 31) << (5 * place), starts)
    numbers -= np.where(codes[ends] & 16, 1 << (5 * groups), 0)
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers


def _explained(path: Path, text: str, invalid: ValidationError) -> UserError:
    """Returns one line on the first thing that is wrong in a file, with the id of the entry."""
    first = invalid.errors(include_url=False)[0]
    problem = first["msg"].replace("Input should be", "should be")
    if first["type"] == "json_invalid":
        return UserError(f"cannot read the annotations {path} ({first['msg']}); unpack them again")
    place = first["loc"]
    if len(place) < 2:
        return UserError(f"{path}: {' '.join(map(str, place)) or 'the file'} {problem}; take instances_*.json")
    section, number = str(place[0]), int(place[1])
    entry = _entry(text, section, number)
    name = {"images": "image", "annotations": "annotation", "categories": "category"}[section]
    identity = f"{name} {entry['id']}" if "id" in entry else f"{name} number {number + 1}"
    field = f"{place[2]} " if len(place) > 2 else ""
    value = "" if first["type"] == "missing" else f", not {str(first['input'])[:_VALUE_SHOWN]!r}"
    return UserError(f"{path}, {identity}: {field}{_lower(problem)}{value}; correct or remove it")


def _entry(text: str, section: str, number: int) -> dict[str, Any]:
    try:
        entry = json.loads(text)[section][number]
    except (ValueError, RecursionError):
        return {}
    return entry if isinstance(entry, dict) else {}


def _lower(problem: str) -> str:
    return problem[:1].lower() + problem[1:]
