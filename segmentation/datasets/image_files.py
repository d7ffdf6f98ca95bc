"""Image and mask files as arrays, of every mode, depth and orientation that is common in practice."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from wavenet_app.core.errors import UserError
from wavenet_app.core.walk import walk

if TYPE_CHECKING:
    from PIL import Image
    from PIL.ImageFile import ImageFile

LOSSY_SUFFIXES = frozenset({".jpg", ".jpeg"})
SIDEWAYS = (5, 6, 7, 8)  # the EXIF orientations that swap width and height

_ORIENTATION_TAG = 0x0112
_DEPTHS = (8, 10, 12, 14, 16)  # bits
_DEPTH_SAMPLE = 16  # images
_BAND_ROWS = 512  # that are converted at a time: Pillow's own copies of a large image would take five times its size
_DARK_BYTE = 64  # high bytes below it hold colours of at most 14 bits, as cameras make them
_DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N")

# What Pillow raises for damaged files, depending on the format.
_DAMAGE = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, OverflowError, MemoryError,
    struct.error, zlib.error,
)  # fmt: skip


@dataclass(frozen=True)
class FileFacts:
    """What the head of an image file says.

    Attributes:
        size: (width, height) as stored, in pixels.
        mode: Pillow's mode, such as "RGB", "P", "L" or "I;16".
        format: Pillow's name, such as "PNG" or "JPEG".
        orientation: EXIF orientation, 1 (upright) to 8.
        pages: pictures in the file, of which the first is used.
    """

    size: tuple[int, int]
    mode: str
    format: str
    orientation: int
    pages: int = 1

    @property
    def is_deep(self) -> bool:
        """Whether the pixels have more than 8 bits."""
        return self.mode in _DEEP_MODES

    @property
    def upright_size(self) -> tuple[int, int]:
        """(width, height) once the orientation is applied."""
        return self.size[::-1] if self.orientation in SIDEWAYS else self.size

    @property
    def is_lossy(self) -> bool:
        """Whether the format changes pixel values, which masks do not survive."""
        return self.format == "JPEG"


@dataclass(frozen=True)
class MaskPixels:
    """A mask as it is stored.

    Attributes:
        values: integers, shape (height, width); for a palette file the indices. None for a mask of colours.
        colours: uint8, shape (height, width, 3): the colours of an RGB or palette file. None for grey files.
    """

    values: NDArray[np.int32] | None
    colours: NDArray[np.uint8] | None


def file_facts(path: Path) -> FileFacts:
    """Returns what the head of an image file says; pixels are not read.

    Raises:
        UserError: it is no image.
    """
    with _opened(path) as image:
        orientation = image.getexif().get(_ORIENTATION_TAG, 1)
        valid = orientation if orientation in range(1, 9) else 1
        pages = getattr(image, "n_frames", 1)
        return FileFacts(image.size, image.mode, image.format or "", valid, pages)


def has_upright_size(path: Path, size: tuple[int, int]) -> bool:
    """Returns whether an image has to be turned by its EXIF orientation to have the size that its annotations state.

    Args:
        path: of the file.
        size: (height, width) of the annotations.

    Raises:
        UserError: it has that size neither with nor without.
    """
    facts = file_facts(path)
    stated = (size[1], size[0])
    if stated not in (facts.size, facts.upright_size):
        raise UserError(
            f"{path} is {facts.size[0]} x {facts.size[1]}, but its annotations say {stated[0]} x {stated[1]}; "
            "take the files that belong together"
        )
    return stated != facts.size


def deep_bits(paths: Sequence[Path]) -> int | None:
    """Returns how many bits the grey levels of some images use, so that all of them are brightened alike.

    Cameras of 10, 12 and 14 bits write files of 16, whose high byte alone would be nearly black.

    Args:
        paths: images that belong together; at most `_DEPTH_SAMPLE` of them are read, spread evenly.

    Returns:
        8, 10, 12, 14 or 16; None if none of those read has more than 8 bits or can be read.
    """
    step = max(1, -(-len(paths) // _DEPTH_SAMPLE))
    greatest: list[int] = []
    for path in paths[step // 2 :: step]:
        try:
            with _opened(path) as image:
                if image.mode in _DEEP_MODES:
                    greatest.append(int(np.asarray(image).max(initial=0)))
        except UserError:
            continue  # named where the image itself is read
    return _bits_of(max(greatest)) if greatest else None


def read_image(path: Path, *, upright: bool = True, bits: int | None = None) -> NDArray[np.uint8]:
    """Returns an image file of any mode as `rgb_of` does, shape (height, width, 3).

    Args:
        path: of the file.
        upright: whether an EXIF orientation is applied, as viewers do.
        bits: that the grey levels of deep images use, as `deep_bits` gives it; None judges by the image alone.

    Raises:
        UserError: the file cannot be read, holds numbers that are no brightness, or colours of less than 15 bits in
            channels of 16.
    """
    from PIL import ImageOps

    with _opened(path) as image:
        deep_colour = any(";16" in str(tile[3]) for tile in image.tile) and image.mode not in _DEEP_MODES
        turned = upright and image.getexif().get(_ORIENTATION_TAG, 1) != 1
        rgb = rgb_of(ImageOps.exif_transpose(image) if turned else image, str(path), bits)
    # Pillow keeps the high byte of each channel
    if deep_colour and 0 < int(rgb.max(initial=0)) < _DARK_BYTE:
        raise UserError(
            f"the colours of {path} fill only {8 + int(rgb.max()).bit_length()} of 16 bits a channel, so it would be "
            "nearly black; save it with 8 bits a channel"
        )
    return rgb


def rgb_of(image: Image.Image, name: str, bits: int | None = None) -> NDArray[np.uint8]:
    """Returns an image of any mode as RGB of 8 bits, shape (height, width, 3).

    Deep images keep the 8 highest of the bits that they use, transparency is dropped, and grey becomes three equal
    channels.

    Args:
        image: of any mode.
        name: what to call it in errors.
        bits: that the grey levels of a deep image use; None judges by its greatest value.

    Raises:
        UserError: it holds numbers that are no brightness.
    """
    if image.mode == "F":
        raise UserError(f"{name} holds floating-point numbers; save it as an 8-bit image")
    rgb = np.empty((image.height, image.width, 3), dtype=np.uint8)
    bands = [slice(top, min(top + _BAND_ROWS, image.height)) for top in range(0, image.height, _BAND_ROWS)]
    if image.mode in _DEEP_MODES:
        deep = np.asarray(image)
        if deep.size and (deep.min() < 0 or deep.max() > 65_535):
            raise UserError(f"{name} holds values beyond 16 bits; save it as an 8-bit image")
        shift = (bits or _bits_of(int(deep.max(initial=0)))) - 8
        for band in bands:
            rgb[band] = np.minimum(deep[band].astype(np.int64) >> shift, 255)[..., None]
        return rgb
    for band in bands:
        part = image.crop((0, band.start, image.width, band.stop))
        if "transparency" in image.info:
            part = part.convert("RGBA")
        rgb[band] = np.asarray(part.convert("RGB"))
    return rgb


def read_mask(path: Path) -> MaskPixels:
    """Returns a mask's pixels as stored: the indices of a palette file, never its colours as brightness.

    Grey files of any depth give values, palette files give values and colours, and RGB files give colours, and values
    too where red, green and blue are the same everywhere.

    Raises:
        UserError: the file cannot be read, or holds no integers.
    """
    with _opened(path) as image:
        if image.mode == "F":
            raise UserError(f"the mask {path} holds floating-point numbers; save class ids as an 8-bit PNG")
        if image.mode == "P":
            return MaskPixels(np.asarray(image).astype(np.int32), np.asarray(image.convert("RGBA").convert("RGB")))
        if image.mode in ("1", "L", *_DEEP_MODES):
            return MaskPixels(np.asarray(image).astype(np.int32), None)
        if image.mode in ("LA", "La"):
            return MaskPixels(np.asarray(image.getchannel(0)).astype(np.int32), None)
        colours = np.asarray(image.convert("RGB"))
        grey = bool((colours == colours[..., :1]).all())
        return MaskPixels(colours[..., 0].astype(np.int32) if grey else None, colours)


def files_below(folder: Path) -> list[Path]:
    """Returns the files of a folder and its sub-folders, through links too, sorted, without hidden ones.

    A link that leads nowhere is among them, so that it is named where it is read.

    Raises:
        UserError: a folder cannot be listed.
    """

    def refuse(unlisted: Path, reason: str) -> None:
        raise UserError(f"{unlisted}: {reason}; give yourself the right to read it, or move it away")

    files = walk(folder, refuse) if folder.is_dir() else ()
    return sorted(path for path in files if path.is_file() or not path.exists())


def _bits_of(greatest: int) -> int:
    """Returns the depth, of those that cameras have, that a greatest grey level fits into.

    >>> _bits_of(200), _bits_of(3_900), _bits_of(40_000)
    (8, 12, 16)
    """
    return next(bits for bits in _DEPTHS if greatest < 1 << bits or bits == _DEPTHS[-1])


@contextmanager
def _opened(path: Path) -> Iterator[ImageFile]:
    from PIL import Image

    try:
        # Pillow warns of large images, which are labelled by windows here, and refuses only twice as large ones
        with (
            warnings.catch_warnings(category=Image.DecompressionBombWarning, action="ignore"),
            Image.open(path) as image,
        ):
            yield image
    except FileNotFoundError:
        raise UserError(f"there is no file {path}") from None
    except (*_DAMAGE, Image.DecompressionBombError) as error:
        raise UserError(f"cannot read the image {path} ({error}); replace or remove it") from None
