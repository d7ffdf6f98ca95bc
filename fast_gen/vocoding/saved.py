"""Saved mel frames of any program: read from a file, and turned to (frames, bands)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavenet_app.audio.files import printable
from wavenet_app.core.array_file import DamagedArrayError, read_array, read_arrays
from wavenet_app.core.errors import UserError
from wavenet_app.core.tensor_file import read_tensors

MEL_SUFFIXES = (".npy", ".npz", ".pt")
FRAMES_AT_ONCE = 4096
_USUAL_BANDS = (80, 128, 100, 64, 40, 96, 160, 256, 512)
"""What other programs make, the most common first."""
_MOST_BANDS = 1_024


class OtherFramesError(UserError):
    """Frames were made with other settings than the model's."""


def load_array(path: Path) -> NDArray[Any]:
    """Returns the array of a file: memory-mapped from .npy, the only one or the one named mel of .npz, a tensor of .pt.

    Raises:
        UserError: the file cannot be read, or holds something else.
    """
    name = printable(str(path))
    if not path.is_file():
        raise UserError(f"there is no file {name}")
    suffix = path.suffix.lower()
    if suffix not in MEL_SUFFIXES:
        raise UserError(f"{name} is no file of mel frames; they are read from {', '.join(MEL_SUFFIXES)}")
    if suffix in (".npy", ".npz"):
        return _load_numpy(path, name)
    import torch

    loaded = read_tensors(path)
    if not isinstance(loaded, torch.Tensor):
        raise UserError(f"{name} holds a {type(loaded).__name__} instead of a tensor of mel frames")
    if not loaded.is_floating_point():
        raise UserError(
            f"{name} holds {str(loaded.dtype).removeprefix('torch.')} numbers; the model takes floating-point frames"
        )
    return loaded.detach().float().numpy()


def _load_numpy(path: Path, name: str) -> NDArray[Any]:
    try:
        if path.suffix.lower() == ".npy":
            return read_array(path)
        arrays = read_arrays(path)
    except OSError as error:
        raise UserError(f"cannot read {name}: {error.strerror}") from None
    except DamagedArrayError:
        raise UserError(f"{name} cannot be read as mel frames: it is not an array of numbers, or cut short") from None
    if "mel" in arrays:
        return arrays["mel"]
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    raise UserError(f"{name} holds {len(arrays)} arrays and none named mel: {', '.join(sorted(arrays)) or 'nothing'}")


def arranged_frames(array: NDArray[Any], bands: int, name: str, warn: Callable[[str], None]) -> NDArray[np.floating]:
    """Returns frames (frames, bands) from those, (bands, frames), or either in a batch of one.

    Args:
        array: the frames.
        bands: of a frame.
        name: what to call the array in errors.
        warn: receives what the user should know, as the end of a sentence about the array.

    Raises:
        OtherFramesError: it holds frames of another number of bands.
        UserError: it holds no frames.
    """
    if array.ndim == 3 and len(array) == 1:
        array = array[0]
    if array.ndim != 2 or bands not in array.shape or not np.issubdtype(array.dtype, np.floating):
        kind = OtherFramesError if array.ndim == 2 and np.issubdtype(array.dtype, np.floating) else UserError
        raise kind(
            f"{name} holds {array.dtype} numbers of the shape {array.shape}; the model takes "
            f"floating-point frames of {bands} bands: ({bands}, frames) or (frames, {bands})"
        )
    if array.shape == (bands, bands):
        warn("is as long as it has bands; it is taken as (frames, bands), not as (bands, frames)")
    array = array if array.shape[1] == bands else array.T
    if not len(array):
        raise UserError(f"{name} holds no frames")
    return array


def likely_bands(shape: tuple[int, ...]) -> int | None:
    """Returns which length of a two-dimensional array, or of a batch of one, is that of a frame; None if none can be.

    >>> likely_bands((128, 900)), likely_bands((90, 100)), likely_bands((1, 500, 60))
    (128, 100, 60)
    """
    lengths = [length for length in shape[-2:] if 0 < length <= _MOST_BANDS]
    if len(shape) not in (2, 3) or (len(shape) == 3 and shape[0] != 1) or 0 in shape:
        return None
    return next((bands for bands in _USUAL_BANDS if bands in lengths), min(lengths, default=None))


def check_finite(name: str, frames: NDArray[np.floating], first: int = 0) -> None:
    """Raises UserError where frames (frames, bands), counted from `first`, hold NaN or infinity."""
    finite = np.isfinite(frames).all(axis=1)
    if not finite.all():
        raise UserError(f"{name} holds NaN or infinite values, the first in frame {first + int(np.argmin(finite))}")
