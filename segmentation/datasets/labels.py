"""Class ids: the meaning of raw ids, how they are written back, and their colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

IGNORE = 255  # the class id of pixels that neither train nor count
DEEP_IGNORE = 65_535  # what 255 becomes in a mask of 16 bits
BORDER_COLOUR = (224, 224, 192)  # of index 255 in VOC's development kit, which is ignored
BACKGROUND_NAMES = ("background", "_background_", "__background__", "bg", "void", "unlabeled", "unlabelled", "other")
MOST_CLASSES = 255  # ids 0 to 254: masks are kept in bytes, and 255 is taken

_UNKNOWN = -1


class UnknownIds(ValueError):  # noqa: N818 (the caller knows the file and raises the error)
    """A mask holds raw ids that stand for no class.

    Attributes:
        ids: the unknown ids, ascending.
    """

    def __init__(self, ids: Sequence[int]) -> None:
        super().__init__(f"unknown ids {', '.join(map(str, ids))}")
        self.ids = tuple(ids)


@dataclass(frozen=True)
class LabelMap:
    """A table from raw ids to classes, and the ids that stand for the classes when masks are written back.

    Attributes:
        table: class of every raw id, int16, shape (greatest raw id + 1,); 255 for ignored ids, -1 for unknown ones.
        raw_ids: raw id of every class, shape (num_classes,).
        raw_ignore: raw id that is written for 255.

    >>> streets = LabelMap.of({7: 0, 8: 1, 0: IGNORE}, raw_ids=(7, 8), raw_ignore=0)
    >>> streets.encode(np.array([0, 7, 8, 7])).tolist()
    [255, 0, 1, 0]
    >>> streets.decode(np.array([255, 0, 1, 0])).tolist()
    [0, 7, 8, 7]
    """

    table: NDArray[np.int16]
    raw_ids: tuple[int, ...]
    raw_ignore: int = IGNORE

    @classmethod
    def of(cls, classes: Mapping[int, int], *, raw_ids: Sequence[int], raw_ignore: int = IGNORE) -> LabelMap:
        """Returns the map in which raw id `key` has class `classes[key]`; other ids are unknown."""
        table = np.full(max(classes) + 1, _UNKNOWN, dtype=np.int16)
        for raw, class_id in classes.items():
            table[raw] = class_id
        return cls(table, tuple(raw_ids), raw_ignore)

    @classmethod
    def identity(cls, num_classes: int) -> LabelMap:
        """Returns the map in which raw ids are the classes, and 255 is ignored."""
        return cls.of({**{c: c for c in range(num_classes)}, IGNORE: IGNORE}, raw_ids=range(num_classes))

    def encode(self, raw: NDArray[np.integer]) -> NDArray[np.uint8]:
        """Returns the class of every pixel, 255 where it is ignored; same shape.

        Raises:
            UnknownIds: an id is neither a class nor ignored.
        """
        if raw.size and (int(raw.min()) < 0 or int(raw.max()) >= len(self.table)):
            found = np.unique(raw)
            inside = found[(found >= 0) & (found < len(self.table))]
            outside = found[(found < 0) | (found >= len(self.table))]
            raise UnknownIds(sorted([*outside.tolist(), *inside[self.table[inside] == _UNKNOWN].tolist()]))
        classes = self.table[raw]
        if classes.size and classes.min() == _UNKNOWN:
            raise UnknownIds(np.unique(raw[classes == _UNKNOWN]).tolist())
        return classes.astype(np.uint8)

    def decode(self, classes: NDArray[np.integer]) -> NDArray[np.uint16]:
        """Returns the raw id of every pixel, as the data set's own tools expect it; same shape."""
        back = np.full(IGNORE + 1, self.raw_ignore, dtype=np.uint16)
        back[: len(self.raw_ids)] = self.raw_ids
        return back[classes]


def voc_palette(num_classes: int) -> NDArray[np.uint8]:
    """Returns the colours of the PASCAL VOC development kit, shape (num_classes, 3), at most 256.

    Bits 0, 3, 6 of the class become the highest bits of red, in falling order; 1, 4, 7 of green; 2, 5 of blue
    (VOCdevkit, VOClabelcolormap.m). All are distinct.

    >>> voc_palette(4).tolist()
    [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]]
    """
    classes = np.arange(num_classes)
    palette = np.zeros((num_classes, 3), dtype=np.uint8)
    for place in range(8):
        for channel in range(3):
            palette[:, channel] |= (((classes >> (3 * place + channel)) & 1) << (7 - place)).astype(np.uint8)
    return palette


_DISTINCT = (
    (0, 0, 0), (0, 0, 255), (255, 0, 64), (0, 255, 128), (255, 128, 255), (0, 160, 255), (32, 96, 0), (128, 64, 0),
    (160, 96, 128), (0, 160, 160), (192, 224, 128), (255, 128, 0), (224, 0, 128), (160, 255, 0),
    (255, 160, 128), (224, 0, 255), (32, 64, 128), (128, 128, 96), (0, 255, 224),
    (64, 32, 160),
)  # fmt: skip
"""Black, then each time the colour farthest in CIELAB from all before, from white and from the overlays' yellow.

Source of the method: Glasbey et al. 2007, "Colour displays for categorical images"; here from the colours whose parts
are 0, 32, ... 224 or 255 and whose lightness is above 25. The least distance is 39.6. The indigo was the tenth, and
stands last, for over a photo it looks like the blue.
"""


def distinct_palette(num_classes: int) -> NDArray[np.uint8]:
    """Returns colours for classes that have none of their own, shape (num_classes, 3), at most 256: black for class 0.

    The first 20 are easy to tell apart, the others are those of `voc_palette` that are left. All are distinct.

    >>> distinct_palette(3).tolist()
    [[0, 0, 0], [0, 0, 255], [255, 0, 64]]
    """
    others = (tuple(colour) for colour in voc_palette(256).tolist())
    palette = [*_DISTINCT, *(colour for colour in others if colour not in _DISTINCT)][:num_classes]
    return np.array(palette, dtype=np.uint8).reshape(num_classes, 3)


def packed(colours: NDArray[np.integer]) -> NDArray[np.int32]:
    """Returns colours (..., 3) of 8 bits each as one integer (...,), red highest.

    >>> packed(np.array([[1, 2, 3]])).tolist()
    [66051]
    """
    wide = colours.astype(np.int32)
    return (wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2]


def unpacked(value: int) -> tuple[int, int, int]:
    """Returns red, green and blue of a packed colour."""
    return value >> 16, (value >> 8) & 255, value & 255


def ids_of_colours(colours: NDArray[np.uint8], classes: Mapping[int, int]) -> NDArray[np.uint8]:
    """Returns the class of every pixel of an RGB mask.

    Args:
        colours: shape (height, width, 3).
        classes: packed colour -> class.

    Returns:
        Class ids, shape (height, width).

    Raises:
        UnknownIds: a colour is not in `classes`; its `ids` are packed colours.
    """
    found, places = np.unique(packed(colours), return_inverse=True)
    unknown = [int(colour) for colour in found if int(colour) not in classes]
    if unknown:
        raise UnknownIds(unknown)
    table = np.array([classes[int(colour)] for colour in found], dtype=np.uint8)
    return table[places].reshape(colours.shape[:2])
