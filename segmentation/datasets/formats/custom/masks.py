"""The coding of the masks of a custom data set: recognised from some of them, or an error with a remedy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from segmentation.datasets.formats.custom.class_list import FILE_NAME, ClassList
from segmentation.datasets.image_files import MaskPixels
from segmentation.datasets.labels import (
    BACKGROUND_NAMES,
    BORDER_COLOUR,
    DEEP_IGNORE,
    IGNORE,
    LabelMap,
    UnknownIds,
    distinct_palette,
    ids_of_colours,
    packed,
    unpacked,
    voc_palette,
)
from wavenet_app.core.errors import UserError

_FULL = 255
_HALF = 128
_JPEG_SLACK = 40  # how far JPEG moves the values of a two-valued mask, with some margin
_MIDDLE_SHARE = 0.05  # of its pixels that are moved further, at edges
_BLURRED_VALUES = 8  # distinct ones, at least, where edges are smoothed
_SHOWN = 8
_ANY = -1  # the colour of an index that may have any


@dataclass(frozen=True)
class MaskCoding:
    """How the masks of one data set are read.

    Attributes:
        kind: "values" (ids or grey values), "threshold" (two values, blurred) or "colours".
        names: of the classes.
        palette: colour of every class, uint8, shape (num_classes, 3).
        labels: values to classes and back.
        colours: packed colour -> class, where masks are read by colour.
        remarks: what was recognised, a line each.
        index_colours: packed colour of the indices of palette files, which all masks must share; empty for no such
            check.
    """

    kind: Literal["values", "threshold", "colours"]
    names: tuple[str, ...]
    palette: NDArray[np.uint8]
    labels: LabelMap
    colours: dict[int, int]
    remarks: tuple[str, ...]
    index_colours: dict[int, int] = field(default_factory=dict)

    def classes_of(self, pixels: MaskPixels) -> NDArray[np.uint8]:
        """Returns the class ids of a mask, shape (height, width).

        Raises:
            UnknownIds: it holds a value or colour that stands for no class.
            ValueError: it is of colours, and the others are not, or its palette is not theirs.
        """
        if self.kind == "colours":
            return ids_of_colours(_coloured(pixels), self.colours)
        if pixels.values is None:
            raise ValueError("it holds colours, the other masks do not")
        if self.index_colours and pixels.colours is not None:
            self._check_palette(pixels.values, packed(pixels.colours))
        if self.kind == "threshold":
            return (pixels.values >= _HALF).astype(np.uint8)
        return self.labels.encode(pixels.values)

    def _check_palette(self, values: NDArray[np.int32], colours: NDArray[np.int32]) -> None:
        expected = np.full(max(_FULL, *self.index_colours) + 1, _ANY, dtype=np.int32)
        expected[list(self.index_colours)] = list(self.index_colours.values())
        theirs = expected[values]
        other = (theirs != colours) & (theirs != _ANY)
        if other.any():
            index, own = int(values[other][0]), int(colours[other][0])
            usual = self.index_colours[index]
            raise ValueError(f"its palette gives index {index} the colour {_spaced(own)}, other masks {_spaced(usual)}")


def coding_of_list(listed: ClassList) -> MaskCoding:
    """Returns how masks are read by a list of classes alone: by its colours, its values, or the lines' numbers."""
    if listed.colours:
        colours = {int(packed(np.array(colour))): class_id for colour, class_id in listed.colours.items()}
        return _by_colour(listed.names, colours, "masks are read by the colours of the list of classes")
    classes = {IGNORE: IGNORE, **listed.values} if listed.values else _identity(len(listed.names))
    return _by_value(listed.names, None, classes, "")


@dataclass(frozen=True)
class ScannedMask:
    """A mask that was read to find out the coding.

    Attributes:
        path: of the file.
        values: distinct values, ascending; None if it holds colours.
        colours: distinct packed colours; None for a grey file.
        index_colours: packed colour of each value of a palette file; None for others.
        two_valued: whether nearly all pixels are near 0 or near 255.
        is_lossy: whether it is a JPEG.
    """

    path: Path
    values: NDArray[np.int32] | None
    colours: NDArray[np.int32] | None
    index_colours: dict[int, int] | None
    two_valued: bool
    is_lossy: bool


def scan_mask(path: Path, pixels: MaskPixels, *, is_lossy: bool) -> ScannedMask:
    """Returns what is distinct in a mask."""
    packed_colours = None if pixels.colours is None else packed(pixels.colours)
    colours = None if packed_colours is None else np.unique(packed_colours)
    if pixels.values is None:
        return ScannedMask(path, None, colours, None, two_valued=False, is_lossy=is_lossy)
    values, first = np.unique(pixels.values, return_index=True)
    index_colours = None
    if packed_colours is not None:
        index_colours = dict(zip(values.tolist(), packed_colours.ravel()[first].tolist(), strict=True))
    middle = (pixels.values > _JPEG_SLACK) & (pixels.values < _FULL - _JPEG_SLACK)
    two_valued = bool(middle.mean() < _MIDDLE_SHARE) and int(values[-1]) >= _FULL - _JPEG_SLACK
    return ScannedMask(path, values, colours, index_colours, two_valued, is_lossy)


def find_coding(scanned: Sequence[ScannedMask], listed: ClassList | None, class_file: Path) -> MaskCoding:
    """Returns how masks are to be read.

    Args:
        scanned: some of the masks, or all where there is no list of classes.
        listed: what classes.txt says; None if it is missing.
        class_file: where classes.txt is or should be.

    Raises:
        UserError: the masks fit no coding; the message says what they hold and what to write into classes.txt.
    """
    if listed is not None and listed.colours:
        colours = {int(packed(np.array(colour))): class_id for colour, class_id in listed.colours.items()}
        return _by_colour(listed.names, colours, f"masks are read by the colours of {FILE_NAME}")
    if listed is not None and listed.values and all(mask.values is not None for mask in scanned):
        # the list says that indices count, so palettes may be any
        shared = None if _palettes_differ(scanned) else _palette_of(scanned)
        return _by_value(listed.names, shared, {IGNORE: IGNORE, **listed.values}, f"values are those of {FILE_NAME}")
    if any(mask.values is None for mask in scanned) or _palettes_differ(scanned):
        return _guessed_colours(scanned, listed, class_file)
    values = np.unique(np.concatenate([mask.values for mask in scanned if mask.values is not None]))
    palette = _palette_of(scanned)
    # Two names and masks of 0 and 255: otherwise the second class would silently be ignored everywhere.
    pair = _two_names(listed)
    if pair is not None and all(mask.two_valued or _holds_only_zero(mask) for mask in scanned):
        blurred = "JPEG masks" if any(mask.is_lossy for mask in scanned) else "blurred masks"
        if any(mask.two_valued and (mask.is_lossy or _is_blurred(mask)) for mask in scanned):
            coding = _by_value(pair, palette, {0: 0, _FULL: 1}, f"{blurred} of 0 and 255, cut at 128")
            return replace(coding, kind="threshold")
        if values.tolist() in ([0, _FULL], [_FULL]):
            return _by_value(pair, palette, {0: 0, _FULL: 1}, "masks of 0 and 255: 255 is read as class 1")
    if any(mask.is_lossy for mask in scanned):
        lossy_mask = next(mask for mask in scanned if mask.is_lossy)
        raise UserError(f"the mask {lossy_mask.path} is a JPEG, whose compression changes class ids; export it as PNG")
    ids = values[(values != IGNORE) & (values != DEEP_IGNORE)]
    if listed is None:
        return _unlisted(ids, palette, class_file)
    return _listed(scanned, ids, listed, palette, class_file)


def _unlisted(ids: NDArray[np.int32], palette: NDArray[np.uint8] | None, class_file: Path) -> MaskCoding:
    if ids.size > 1 and ids.tolist() == list(range(ids.size)):
        names = tuple(f"class_{value}" for value in ids.tolist())
        remark = f"no {FILE_NAME}: ids 0 to {ids.size - 1} are named after their number"
        return _by_value(names, palette, _identity(ids.size), remark)
    raise UserError(
        f"the masks hold the ids {_listing(ids.tolist())}, which do not run from 0; write {class_file} with a line "
        "for each class, such as 'road = 7' ('ignore = 0' leaves a value out)"
    )


def _listed(
    scanned: Sequence[ScannedMask],
    ids: NDArray[np.int32],
    listed: ClassList,
    palette: NDArray[np.uint8] | None,
    class_file: Path,
) -> MaskCoding:
    names = listed.names if len(listed.names) > 1 else ("background", *listed.names)
    if len(listed.names) > 1 and ids.size and _count_from_one(ids, listed.names, class_file):
        classes = {IGNORE: IGNORE, **{place + 1: place for place in range(len(names))}}
        return _by_value(names, palette, classes, f"ids run from 1: id 1 is the first line of {FILE_NAME}")
    allowed = np.array([*range(len(names)), IGNORE, DEEP_IGNORE])
    if not any(mask.values is not None and np.isin(mask.values, allowed).all() for mask in scanned):
        raise UserError(
            f"the masks hold the ids {_listing(ids.tolist())}, but {class_file} names {len(listed.names)} classes, "
            f"0 to {len(names) - 1}; add the names of the missing classes, or write a value beside each, such as "
            f"'{listed.names[0]} = {int(ids[0]) if ids.size else 0}' ('ignore = 0' leaves a value out)"
        )
    remark = "masks are palette files; their indices are the ids" if palette is not None else ""
    if len(listed.names) == 1:
        remark = f"{FILE_NAME} names one class; 0 is background"
    coding = _by_value(names, palette, _identity(len(names)), remark)
    return replace(coding, index_colours={} if palette is None else _index_colours(scanned))


def _count_from_one(ids: NDArray[np.int32], names: tuple[str, ...], class_file: Path) -> bool:
    """Whether the ids of all masks, 255 left out, count from 1 as the lines of a list of names do.

    Raises:
        UserError: they may count from 0 or from 1; the line says what to write for either.
    """
    count = len(names)
    lowest, highest = int(ids[0]), int(ids[-1])
    if lowest == 1 and highest == count:
        return True
    if lowest == 0 and highest == count:
        raise UserError(
            f"the masks hold the ids 0 to {count}, but {class_file} names {count} classes; add the name of the missing "
            f"one (the first line is 0, the last {count}), or write 'ignore = 0' and a value beside each name, such as "
            f"'{names[0]} = 1'"
        )
    if lowest >= 1 and highest < count and names[0].lower() not in BACKGROUND_NAMES:
        raise UserError(
            f"no mask holds the id 0 (they hold {_listing(ids.tolist())}), but {class_file} names {count} classes; "
            f"write a value beside each name, '{names[0]} = 1' if ids count from 1, or '{names[0]} = 0' if from 0"
        )
    return False


def needs_all_masks(scanned: Sequence[ScannedMask], listed: ClassList) -> bool:
    """Whether a sample of the masks does not show if ids count from 0 or from 1."""
    if listed.values or listed.colours or len(listed.names) < 2:
        return False
    return all(mask.values is not None and 0 not in mask.values for mask in scanned)


def _guessed_colours(scanned: Sequence[ScannedMask], listed: ClassList | None, class_file: Path) -> MaskCoding:
    """Returns VOC's colours if they fit a list of names; refuses all others."""
    found = set().union(*(mask.colours.tolist() for mask in scanned if mask.colours is not None))
    if listed is not None:
        known = {int(colour): place for place, colour in enumerate(packed(voc_palette(len(listed.names))))}
        known[int(packed(np.array(BORDER_COLOUR)))] = IGNORE
        if found <= known.keys():
            return _by_colour(listed.names, known, "masks hold colours; they are those of PASCAL VOC's palette")
    lossy = next((mask.path for mask in scanned if mask.is_lossy), None)
    if lossy is not None:
        raise UserError(f"the mask {lossy} is a JPEG, whose compression changes colours; export it as PNG")
    first = next((mask.path for mask in scanned if mask.values is None), scanned[0].path)
    first_is_colour = any(mask.values is None for mask in scanned)
    shown = [f"'{' '.join(map(str, unpacked(colour)))}'" for colour in sorted(found)]
    raise UserError(
        f"masks such as {first} hold {len(found)} colours ({_listing(shown)}) instead of class ids; write {class_file} "
        "(wavegen seg-check --write-classes begins it) "
        "with the colour of each class, such as 'road = 128 64 128' ('ignore = 0 0 0' leaves a colour out)"
        + (
            ""
            if first_is_colour
            else ", or with the index of each where the palettes do not matter, such as 'road = 1'"
        )
    )


def _by_value(
    names: tuple[str, ...], palette: NDArray[np.uint8] | None, classes: dict[int, int], remark: str
) -> MaskCoding:
    raw_ids = [next(value for value, class_id in classes.items() if class_id == place) for place in range(len(names))]
    ignored = [value for value, class_id in classes.items() if class_id == IGNORE]
    labels = LabelMap.of(
        {DEEP_IGNORE: IGNORE, **classes},
        raw_ids=raw_ids,
        raw_ignore=IGNORE if IGNORE in ignored or not ignored else ignored[0],
    )
    colours = palette[raw_ids] if palette is not None and max(raw_ids) < len(palette) else distinct_palette(len(names))
    return MaskCoding("values", names, colours, labels, {}, (remark,) if remark else ())


def _by_colour(names: tuple[str, ...], colours: dict[int, int], remark: str) -> MaskCoding:
    palette = np.array(
        [
            unpacked(next(colour for colour, class_id in colours.items() if class_id == place))
            for place in range(len(names))
        ],
        dtype=np.uint8,
    )
    return MaskCoding("colours", names, palette, LabelMap.identity(len(names)), colours, (remark,))


def _identity(count: int) -> dict[int, int]:
    return {**{value: value for value in range(count)}, IGNORE: IGNORE}


def _two_names(listed: ClassList | None) -> tuple[str, ...] | None:
    if listed is None:
        return ("background", "foreground")
    if len(listed.names) == 1:
        return ("background", *listed.names)
    return listed.names if len(listed.names) == 2 else None


def _holds_only_zero(mask: ScannedMask) -> bool:
    if mask.values is None:
        return False
    return mask.values.tolist() == [0] or (mask.is_lossy and int(mask.values.max()) <= _JPEG_SLACK)


def _is_blurred(mask: ScannedMask) -> bool:
    """Whether values run on just below 255: smoothed edges, and JPEGs saved as PNG, have such, and ids have not."""
    assert mask.values is not None
    return len(mask.values) >= _BLURRED_VALUES and bool(
        ((mask.values >= _FULL - _JPEG_SLACK) & (mask.values < _FULL)).any()
    )


def _coloured(pixels: MaskPixels) -> NDArray[np.uint8]:
    if pixels.colours is not None:
        return pixels.colours
    assert pixels.values is not None
    if pixels.values.max(initial=0) > _FULL:
        raise UnknownIds(np.unique(pixels.values[pixels.values > _FULL]).tolist())
    return np.repeat(pixels.values.astype(np.uint8)[..., None], 3, axis=-1)


def _index_colours(scanned: Sequence[ScannedMask]) -> dict[int, int]:
    return {index: colour for mask in scanned for index, colour in (mask.index_colours or {}).items() if index <= _FULL}


def _spaced(colour: int) -> str:
    return " ".join(map(str, unpacked(colour)))


def _palettes_differ(scanned: Sequence[ScannedMask]) -> bool:
    """Whether one index has two colours: such palettes differ from file to file, so indices have no meaning."""
    seen: dict[int, int] = {}
    for mask in scanned:
        for index, colour in (mask.index_colours or {}).items():
            if seen.setdefault(index, colour) != colour:
                return True
    return False


def _palette_of(scanned: Sequence[ScannedMask]) -> NDArray[np.uint8] | None:
    """Returns the colours of palette files, shape (256, 3), VOC's where an index does not occur; None without any."""
    seen = _index_colours(scanned)
    is_grey = all(len(set(unpacked(colour))) == 1 for colour in seen.values())
    if not seen or is_grey:
        return None
    palette = voc_palette(_FULL + 1)
    for index, colour in seen.items():
        palette[index] = unpacked(colour)
    return palette


def _listing(things: Sequence[object]) -> str:
    shown = ", ".join(map(str, things[:_SHOWN]))
    return shown if len(things) <= _SHOWN else f"{shown} and {len(things) - _SHOWN} more"
