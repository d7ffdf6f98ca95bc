"""`wavegen seg-check --write-classes`: a classes.txt for masks whose colours or values no list explains yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segmentation.datasets.catalogue import locate, recognise
from segmentation.datasets.formats.custom.class_list import FILE_NAME, IGNORED_NAME
from segmentation.datasets.image_files import read_mask
from segmentation.datasets.labels import BORDER_COLOUR, IGNORE, MOST_CLASSES, packed, unpacked
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.core.files import write_whole
from wavenet_app.core.suffixes import IMAGE_SUFFIXES

_BACKGROUND = "background"
_BLACK = 0
_TWO = 2


def write_classes(argument: str | None, folder: DataFolder) -> str:
    """Writes a classes.txt with a line for each colour or value of a data set's masks, to be given names by hand.

    Black comes first, as "background"; the other colours follow by their share of the pixels. Of values, 0 is called
    background in masks of two values alone, as such are read without a list too.

    Returns:
        What was done, in a line.

    Raises:
        UserError: there is no such data set, its format has its own classes, it has a list already, or its masks hold
            more colours than a mask can have classes.
    """
    path = locate(argument, folder)
    if path is None:
        raise UserError("--write-classes is for a folder of images and masks; the built-in shapes have their classes")
    format, root = recognise(path)
    if format.mask_files is None:
        raise UserError(f"--write-classes is for folders of masks, but {path} is {format.name}; leave it out")
    target = root / FILE_NAME
    if target.exists():
        raise UserError(f"{target} exists already; edit it, or move it away to have it written again")
    lines = _lines(format.mask_files(root), root)
    write_whole(target, ("\n".join(lines) + "\n").encode())
    count = sum(not line.startswith(f"{IGNORED_NAME} =") for line in lines)
    guessed = lines[0] if lines[0].startswith(f"{_BACKGROUND} =") else None
    guess = "" if guessed is None else f"; '{guessed}' is a guess, and overlays leave a class of that name unpainted"
    return f"wrote {target} with {count} classes; give them their names there{guess}"


def _lines(masks: Iterable[Path], root: Path) -> list[str]:
    colours: Counter[int] = Counter()
    values: Counter[int] = Counter()
    for path in masks:
        if path.suffix.lower() not in IMAGE_SUFFIXES:
            continue
        pixels = read_mask(path)
        if pixels.values is not None and (pixels.colours is None or _is_grey(pixels.colours)):
            values.update(_counts(pixels.values))
        elif pixels.colours is not None:
            colours.update(_counts(packed(pixels.colours)))
        if max(len(colours), len(values)) > MOST_CLASSES:
            raise UserError(
                f"the masks of {root} hold more than {MOST_CLASSES} colours, such as those of {path}: smoothed edges "
                "or JPEG make colours that stand for no class; export the masks again, without smoothing, as PNG"
            )
    if colours:
        for value, count in values.items():  # a mask of background alone is grey
            colours[value << 16 | value << 8 | value] += count
        border = int(packed(np.array(BORDER_COLOUR)))
        ignored = [f"{IGNORED_NAME} = {_spaced(border)}"] if colours.pop(border, 0) else []
        order = sorted(colours, key=lambda colour: (colour != _BLACK, -colours[colour]))
        names = (_BACKGROUND if colour == _BLACK else f"class_{place}" for place, colour in enumerate(order))
        return [f"{name} = {_spaced(colour)}" for name, colour in zip(names, order, strict=True)] + ignored
    if len(values) > _TWO:
        del values[IGNORE]  # beside 0 alone it is a class, as in masks of black and white
    if not values:
        raise UserError(f"{root} has no mask that can be read")
    zero = _BACKGROUND if len(values) == _TWO else "class_0"
    return [f"{f'class_{place}' if value else zero} = {value}" for place, value in enumerate(sorted(values))]


def _counts(codes: NDArray[np.int32]) -> dict[int, int]:
    found, counts = np.unique(codes, return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


def _is_grey(colours: NDArray[np.uint8]) -> bool:
    return bool((colours == colours[..., :1]).all())


def _spaced(colour: int) -> str:
    return " ".join(map(str, unpacked(colour)))
