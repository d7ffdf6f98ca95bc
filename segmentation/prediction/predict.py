"""Masks for images without labels: as palette files, as overlays and with the data set's own ids."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from segmentation.checkpoints.segmenter import ClassTable
from segmentation.datasets.dataset import FileNote
from segmentation.datasets.image_files import deep_bits, files_below, read_image
from segmentation.datasets.labels import IGNORE
from segmentation.datasets.overlays import IGNORE_COLOUR, legend, overlay, overlay_palette
from segmentation.prediction.inference import Labeller
from wavenet_app.core.errors import UserError
from wavenet_app.core.files import write_whole
from wavenet_app.core.near import did_you_mean_path
from wavenet_app.core.suffixes import IMAGE_SUFFIXES

FOLDERS = ("masks", "overlays", "raw_ids")
"""What is written of an image: class ids with a palette, colours over the image, ids as the data set's tools want."""

_BAND_ROWS = 512  # rows that are mixed into an overlay at a time


@dataclass(frozen=True)
class Input:
    """An image to label.

    Attributes:
        path: of the file.
        target: where its results go below each of `FOLDERS`, with the ending .png.
    """

    path: Path
    target: Path


@dataclass(frozen=True)
class Prediction:
    """The results of all images.

    Attributes:
        out: folder of the results.
        written: the images that were labelled.
        skipped: the files that cannot be read, and why.
        pixels: of every class, in all images, int64, shape (num_classes,).
        windowed: how many of those written were cut into windows because of their size, without a --window.
        bits: of the grey levels of deep images, of which the 8 highest are labelled; None if none is deep.
    """

    out: Path
    written: tuple[Input, ...]
    skipped: tuple[FileNote, ...]
    pixels: NDArray[np.int64]
    windowed: int
    bits: int | None


def find_images(path: Path, out: Path) -> tuple[list[Input], list[FileNote]]:
    """Returns the images of a folder and its sub-folders, or the given one, and notes on the other files.

    Where two images differ only by their suffix, the names of their results keep it.

    Args:
        path: an image or a folder.
        out: folder of the results; it is skipped if it lies in `path`.

    Raises:
        UserError: there is no such file or folder, or no image in it.
    """
    if path.is_file():
        return [Input(path, Path(f"{path.stem}.png"))], []
    if not path.is_dir():
        raise UserError(f"there is no image or folder {path}{did_you_mean_path(path)}")
    files = [file for file in files_below(path) if not file.resolve().is_relative_to(out.resolve())]
    images = [file for file in files if file.suffix.lower() in IMAGE_SUFFIXES]
    others = [FileNote(file, "is no image by its name") for file in files if file not in set(images)]
    if not images:
        raise UserError(f"{path} holds no image ({', '.join(sorted(IMAGE_SUFFIXES))})")
    bare = [file.relative_to(path).with_suffix("") for file in images]
    times = Counter(bare)
    inputs = []
    for file, name in zip(images, bare, strict=True):
        whole = name if times[name] == 1 else file.relative_to(path)
        inputs.append(Input(file, whole.with_name(f"{whole.name}.png")))
    return inputs, others


def predict(
    labeller: Labeller,
    table: ClassTable,
    inputs: Sequence[Input],
    out: Path,
    *,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Prediction:
    """Labels images and writes their masks, overlays and raw ids, each file whole or not at all.

    Images are turned upright by their EXIF orientation, as viewers do, and masks have the size of that.

    Args:
        labeller: model and protocol.
        table: what the class ids mean.
        inputs: the images.
        out: folder of the results.
        progress: called with the number of images done, and of all.

    Raises:
        UserError: a result cannot be written.
    """
    written: list[Input] = []
    skipped: list[FileNote] = []
    pixels: NDArray[np.int64] = np.zeros(len(table.palette), dtype=np.int64)
    windowed = 0
    bits = deep_bits([one.path for one in inputs])
    for done, one in enumerate(inputs, start=1):
        try:
            image = read_image(one.path, bits=bits)
        except UserError as error:
            skipped.append(FileNote(one.path, "cannot be read", str(error)))
        else:
            mask = labeller.label(torch.from_numpy(image.transpose(2, 0, 1))).numpy()
            for top in _tops(mask):  # counting makes eight bytes of each pixel
                pixels += np.bincount(mask[top : top + _BAND_ROWS].ravel(), minlength=len(pixels))
            for folder, draw in zip(FOLDERS, (_indexed, _laid_over, _raw), strict=True):
                write_whole(out / folder / one.target, _png(draw(image, mask, table)))
            written.append(one)
            windowed += labeller.is_too_large(*mask.shape)
        progress(done, len(inputs))
    return Prediction(out, tuple(written), tuple(skipped), pixels, windowed, bits)


def _indexed(_image: NDArray[np.uint8], mask: NDArray[np.uint8], table: ClassTable) -> Image.Image:
    """Returns class ids with their palette, of the image's size."""
    palette = np.zeros((IGNORE + 1, 3), dtype=np.uint8)
    palette[: len(table.palette)] = table.palette
    palette[IGNORE] = IGNORE_COLOUR
    indexed = Image.fromarray(mask)
    indexed.putpalette(palette.tobytes())
    return indexed


def _laid_over(image: NDArray[np.uint8], mask: NDArray[np.uint8], table: ClassTable) -> Image.Image:
    """Returns colours over the image above a legend, a band at a time: floats of the whole take eight times as much."""
    names = table.names or tuple(f"class {number}" for number in range(len(table.palette)))
    occurring = sorted({number for top in _tops(mask) for number in np.unique(mask[top : top + _BAND_ROWS]).tolist()})
    palette = overlay_palette(table.palette, table.names)
    below = legend(mask.shape[1], occurring, names, palette)
    whole = Image.new("RGB", (mask.shape[1], len(mask) + len(below)))
    for top in _tops(mask):
        band = slice(top, top + _BAND_ROWS)
        whole.paste(Image.fromarray(overlay(image[band], mask[band], palette)), (0, top))
    whole.paste(Image.fromarray(below), (0, len(mask)))
    return whole


def _raw(_image: NDArray[np.uint8], mask: NDArray[np.uint8], table: ClassTable) -> Image.Image:
    """Returns the data set's own ids, of the image's size, in 8 bits where these suffice."""
    raw = table.labels.decode(mask)
    return Image.fromarray(raw.astype(np.uint8) if raw.max() <= 255 else raw)


def _tops(mask: NDArray[np.uint8]) -> range:
    return range(0, len(mask), _BAND_ROWS)


def _png(picture: Image.Image) -> bytes:
    whole = io.BytesIO()
    picture.save(whole, format="PNG")
    return whole.getvalue()
