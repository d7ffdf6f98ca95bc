"""Masks of SBD: MATLAB files, read within a stated size."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wavenet_app.core.errors import UserError

GREATEST_BYTES = 2**26
"""Of the content of a file, unpacked; masks of SBD have less than a hundredth of it."""

_HEADER_BYTES = 128
_COMPRESSED = 15  # the type of an element that is packed by zlib
_CHUNK = 2**16  # bytes


def read_sbd_mask(path: Path) -> NDArray[np.uint8]:
    """Returns the classes of an SBD file, shape (height, width).

    Raises:
        UserError: the file cannot be read, or unpacks to more than `GREATEST_BYTES`.
    """
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        _refuse_large(path)
        content = loadmat(path, simplify_cells=True)
        mask = np.asarray(content["GTcls"]["Segmentation"], dtype=np.uint8)
        if mask.ndim != 2:
            raise ValueError(f"its mask has {mask.ndim} axes")
    except (
        OSError, KeyError, IndexError, ValueError, TypeError, EOFError, OverflowError, MemoryError, NotImplementedError,
        MatReadError, zlib.error, struct.error, NameError, AttributeError,  # scipy's slips on unknown kinds of arrays
    ) as error:  # fmt: skip
        raise UserError(f"cannot read the SBD mask {path} ({error}); unpack SBD again") from None
    return mask


def _refuse_large(path: Path) -> None:
    """Raises a ValueError if the elements of a MATLAB 5 file unpack to too much; they are unpacked, but not kept.

    Source: MATLAB's "MAT-File Format", chapter 1: a header of 128 bytes, then elements of type, size and content.
    """
    if path.stat().st_size > GREATEST_BYTES:
        raise ValueError(f"it has more than {GREATEST_BYTES >> 20} MiB")
    total = 0
    with path.open("rb") as file:
        order = "<" if file.read(_HEADER_BYTES)[126:] == b"IM" else ">"
        while len(tag := file.read(8)) == 8:
            kind, size = struct.unpack(f"{order}II", tag)
            if kind != _COMPRESSED:
                file.seek(size, 1)
                continue
            unpacker = zlib.decompressobj()
            packed = file.read(size)
            while packed and not unpacker.eof:
                total += len(unpacker.decompress(packed, _CHUNK))
                packed = unpacker.unconsumed_tail
                if total > GREATEST_BYTES:
                    raise ValueError(f"it unpacks to more than {GREATEST_BYTES >> 20} MiB")
