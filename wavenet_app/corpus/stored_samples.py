"""Samples of the audio cache, read with a checksum for each block, so that a damaged entry never reaches a model."""

from __future__ import annotations

import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wavenet_app.core.array_file import DamagedArrayError, read_array
from wavenet_app.core.errors import UserError

BLOCK_SAMPLES = 2**17
"""Samples that share a checksum: few checksums for a long corpus, and little to read for a short window."""

_CHECKSUM_BYTES = 4


class BlockChecksums:
    """The CRC-32 of each block of int16 samples that are added piece by piece."""

    def __init__(self) -> None:
        self._finished: list[bytes] = []
        self._current, self._filled = 0, 0

    def add(self, data: bytes) -> None:
        """Adds the bytes of further samples."""
        view = memoryview(data)
        while len(view):
            part = view[: 2 * BLOCK_SAMPLES - self._filled]
            self._current, self._filled = zlib.crc32(part, self._current), self._filled + len(part)
            view = view[len(part) :]
            if self._filled == 2 * BLOCK_SAMPLES:
                self._finished.append(self._current.to_bytes(_CHECKSUM_BYTES))
                self._current, self._filled = 0, 0

    def bytes(self) -> bytes:
        """Returns the checksums of all blocks, four bytes each."""
        last = [self._current.to_bytes(_CHECKSUM_BYTES)] if self._filled else []
        return b"".join([*self._finished, *last])


def read_samples(path: Path, start: int, stop: int, checksums: bytes) -> NDArray[np.int16]:
    """Returns samples start to stop of an entry of the cache, shape (stop - start,), as a read-only memory map.

    Args:
        path: the `.npy` file.
        start: first sample.
        stop: one past the last.
        checksums: of all blocks, as `BlockChecksums` gives them; empty for an entry from before there were any.

    Raises:
        UserError: the file has gone or is damaged; the entry is dropped, so that the next start decodes it again.
    """
    try:
        stored: NDArray[np.int16] = read_array(path)
    except FileNotFoundError:
        raise _lost(path, "has been removed") from None
    except (OSError, DamagedArrayError):
        raise _lost(path, "cannot be read") from None
    for block in range(start // BLOCK_SAMPLES, -(-stop // BLOCK_SAMPLES) if checksums else 0):
        expected = checksums[_CHECKSUM_BYTES * block : _CHECKSUM_BYTES * (block + 1)]
        found = zlib.crc32(stored[block * BLOCK_SAMPLES : (block + 1) * BLOCK_SAMPLES].data)
        if found.to_bytes(_CHECKSUM_BYTES) != expected:
            raise _lost(path, "is damaged")
    return stored[start:stop]


def _lost(path: Path, problem: str) -> UserError:
    with suppress(OSError):
        path.with_suffix(".json").unlink(missing_ok=True)
    return UserError(
        f"the decoded audio {path} {problem}; start the same command again, a training with --resume: "
        "the file is then decoded again"
    )
