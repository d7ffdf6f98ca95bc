"""Masks in colour, over their images, and sheets of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segmentation.datasets.labels import BACKGROUND_NAMES, IGNORE
from wavenet_app.core.figures import new_figure, write_png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OPACITY = 0.55
IGNORE_COLOUR = (255, 255, 255)

IN_PLACE_OF_BLACK = (255, 220, 0)  # no palette of VOC's kind has it

_COLUMNS = 2  # pairs of image and overlay in a row
_GREATEST_SIDE = 480  # pixels of a picture in a sheet
_LEGEND_COLUMNS = 6
_DOTS_PER_INCH = 110
_LEGEND_ROW = 18  # pixels
_LEGEND_TEXT = 12  # pixels


class Picture(NamedTuple):
    """One picture of a sheet.

    Attributes:
        title: above it.
        image: uint8, shape (height, width, 3).
        mask: class ids, 255 = ignore, shape (height, width).
    """

    title: str
    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]


def coloured(mask: NDArray[np.uint8], palette: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns a mask in its classes' colours, white where it is ignored, shape (height, width, 3).

    Args:
        mask: class ids, 255 = ignore, shape (height, width).
        palette: colour of every class, shape (num_classes, 3).
    """
    table = np.zeros((IGNORE + 1, 3), dtype=np.uint8)
    table[: len(palette)] = palette
    table[IGNORE] = IGNORE_COLOUR
    return table[mask]


def overlay_palette(palette: NDArray[np.uint8], classes: Sequence[str]) -> NDArray[np.uint8]:
    """Returns a palette for overlays, in which black stands for background alone.

    `overlay` leaves black unpainted, so that a black class of another name, as a road of id 0, gets a colour here.

    >>> overlay_palette(np.zeros((2, 3), dtype=np.uint8), ["background", "road"]).tolist()
    [[0, 0, 0], [255, 220, 0]]

    Args:
        palette: colour of every class, shape (num_classes, 3).
        classes: name of every class; empty where they are unknown.
    """
    shown = palette.copy()
    for number, name in enumerate(classes):
        if name.lower() not in BACKGROUND_NAMES and not palette[number].any():
            shown[number] = IN_PLACE_OF_BLACK
    return shown


def overlay(
    image: NDArray[np.uint8], mask: NDArray[np.uint8], palette: NDArray[np.uint8], opacity: float = OPACITY
) -> NDArray[np.uint8]:
    """Returns the image under its coloured mask, uint8, shape (height, width, 3).

    Where a class is black, as background is in most palettes, the image stays as it is, not darkened.

    Args:
        image: uint8, shape (height, width, 3).
        mask: class ids, 255 = ignore, shape (height, width).
        palette: colour of every class, shape (num_classes, 3).
        opacity: of the mask, 0 to 1.
    """
    colours = coloured(mask, palette)
    share = np.where(colours.any(axis=-1, keepdims=True), np.float64(opacity), 0.0)
    return (image * (1 - share) + colours * share).round().astype(np.uint8)


def legend(
    width: int, occurring: Sequence[int], classes: Sequence[str], palette: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Returns a strip that names the colours of the classes that occur in a picture, uint8, shape (height, width, 3).

    It goes below the picture, which it would hide otherwise. Without classes its height is 0.

    Args:
        width: of the picture.
        occurring: class ids; 255 is left out.
        classes: name of every class.
        palette: colour of every class, shape (num_classes, 3).
    """
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(_LEGEND_TEXT)
    places: list[tuple[int, int, int]] = []
    left, row = 0, 0
    shown = [number for number in occurring if number != IGNORE]
    for number in shown:
        length = 2 * _LEGEND_ROW + int(font.getlength(classes[number]))
        if left and left + length > width:
            left, row = 0, row + 1
        places.append((number, left, row * _LEGEND_ROW))
        left += length
    strip = Image.new("RGB", (width, (row + 1) * _LEGEND_ROW if shown else 0), "white")
    draw = ImageDraw.Draw(strip)
    for number, x, y in places:
        box = (x + 3, y + 3, x + _LEGEND_ROW - 4, y + _LEGEND_ROW - 4)
        draw.rectangle(box, fill=tuple(palette[number].tolist()), outline="grey")
        draw.text((x + _LEGEND_ROW + 2, y + 2), classes[number], fill="black", font=font)
    return np.asarray(strip)


def sheet(pictures: Sequence[Picture], classes: Sequence[str], palette: NDArray[np.uint8], title: str) -> Figure:
    """Returns a figure of images beside their overlays, with the colours of the classes that occur.

    Raises:
        ValueError: there is no picture.
    """
    from matplotlib.patches import Patch

    if not pictures:
        raise ValueError("a sheet needs at least one picture")
    rows = -(-len(pictures) // _COLUMNS)
    palette = overlay_palette(palette, classes)
    occurring = sorted(set().union(*(np.unique(picture.mask).tolist() for picture in pictures)))
    names = [*classes, *[""] * (IGNORE - len(classes)), "ignored"]
    colours = coloured(np.array([occurring], dtype=np.uint8), palette)[0] / 255
    legend_rows = -(-len(occurring) // _LEGEND_COLUMNS)
    figure = new_figure(2.6 * rows + 0.25 * legend_rows + 0.6, width=12, dots_per_inch=_DOTS_PER_INCH)
    figure.suptitle(title)
    places = figure.subplots(rows, 2 * _COLUMNS, squeeze=False).ravel()
    for place in places:
        place.set_axis_off()
    for number, picture in enumerate(pictures):
        step = max(1, -(-max(picture.mask.shape) // _GREATEST_SIDE))
        image, mask = picture.image[::step, ::step], picture.mask[::step, ::step]
        places[2 * number].imshow(image)
        places[2 * number].set_title(picture.title, fontsize=7)
        places[2 * number + 1].imshow(overlay(image, mask, palette))
    patches = [
        Patch(facecolor=tuple(colour), edgecolor="grey", label=names[class_id])
        for class_id, colour in zip(occurring, colours, strict=True)
    ]
    figure.legend(handles=patches, loc="outside lower center", ncols=_LEGEND_COLUMNS, fontsize=8, frameon=False)
    return figure


def write_sheet(
    path: Path, pictures: Sequence[Picture], classes: Sequence[str], palette: NDArray[np.uint8], title: str
) -> None:
    """Writes `sheet` as a PNG; the file appears whole or not at all.

    Raises:
        UserError: the file cannot be written.
        ValueError: there is no picture.
    """
    write_png(path, sheet(pictures, classes, palette, title))
