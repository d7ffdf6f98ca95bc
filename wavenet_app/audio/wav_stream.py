"""16-bit WAV that grows: a file that is valid after every chunk, a pipe, and a file that takes several runs."""

from __future__ import annotations

import glob
import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from wavenet_app.audio.writing import write_audio_blocks
from wavenet_app.core.errors import UserError

HEADER_BYTES = 44
_BLOCK_SAMPLES = 65_536
UNKNOWN_SIZE = 0xFFFFFFFF  # readers take it for "until the end"; the greatest size that a header can have


def wav_header(sample_rate: int, num_samples: int | None) -> bytes:
    """Returns the 44 bytes before the samples of a mono 16-bit WAV.

    Args:
        sample_rate: in Hz.
        num_samples: None if unknown, as in a pipe, or more than the format can count.
    """
    data_bytes = UNKNOWN_SIZE if num_samples is None else min(2 * num_samples, UNKNOWN_SIZE)
    riff_bytes = min(data_bytes + HEADER_BYTES - 8, UNKNOWN_SIZE)
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, sample_rate, 2 * sample_rate, 2, 16)
    return struct.pack("<4sI4s", b"RIFF", riff_bytes, b"WAVE") + form + struct.pack("<4sI", b"data", data_bytes)


class WavFile:
    """A WAV file that is written chunk by chunk; after each chunk its header has the exact length.

    The samples are written before the header that counts them, so a killed process leaves a valid file. The first chunk
    creates the file or replaces an older one.

    Attributes:
        path: the file.
        sample_rate: in Hz.
        num_samples: how many it holds.
    """

    def __init__(self, path: Path, sample_rate: int) -> None:
        self.path = path
        self.sample_rate = sample_rate
        self.num_samples = 0
        self._file: BinaryIO | None = None

    def write(self, samples: NDArray[np.int16]) -> None:
        """Appends samples.

        Raises:
            UserError: the file cannot be written, for example because the disk is full; it keeps its samples.
        """
        try:
            if self._file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self.path.open("w+b")
                self._file.write(wav_header(self.sample_rate, 0))
            self._file.seek(HEADER_BYTES + 2 * self.num_samples)
            self._file.write(samples.astype("<i2").tobytes())
            self._file.flush()
            self.num_samples += len(samples)
            self._write_header(self._file)
        except OSError as error:
            raise UserError(f"cannot write {self.path}: {error.strerror or error}") from None

    def close(self) -> None:
        """Closes the file; keeps what an interrupted write has put on the disk."""
        if self._file is None:
            return
        file, self._file = self._file, None
        try:
            with file:
                file.flush()
                self.num_samples = max(0, file.seek(0, os.SEEK_END) - HEADER_BYTES) // 2
                self._write_header(file)
        except OSError as error:
            raise UserError(f"cannot write {self.path}: {error.strerror or error}") from None

    def __enter__(self) -> WavFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write_header(self, file: BinaryIO) -> None:
        file.seek(0)
        file.write(wav_header(self.sample_rate, self.num_samples))
        file.flush()


class SamplePipe:
    """Writes a header and then samples to a pipe, each chunk at once.

    Attributes:
        num_samples: how many were written.
    """

    def __init__(self, pipe: BinaryIO, header: bytes) -> None:
        """Takes the pipe and the header, such as `wav_header`; empty for samples alone."""
        self.num_samples = 0
        self._pipe = pipe
        self._header = header

    def write(self, samples: NDArray[np.int16]) -> None:
        """Appends samples.

        Raises:
            BrokenPipeError: the reader has closed its end.
            UserError: it is a file, and its disk is full.
        """
        try:
            self._pipe.write(self._header + samples.astype("<i2").tobytes())
            self._pipe.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise UserError(f"cannot write to standard output: {error.strerror or error}") from None
        self._header = b""
        self.num_samples += len(samples)


class PartialWav:
    """A sound file that may take several runs: until it is complete, it is a WAV under another name.

    Attributes:
        path: the complete file.
        num_samples: how many it holds.
    """

    def __init__(self, path: Path, sample_rate: int, key: str, multiple: int) -> None:
        """Opens the partial file of an earlier run with the same key, or starts a new one.

        Args:
            path: the complete file.
            sample_rate: in Hz.
            key: changes with everything that changes the samples; partial files with another key are deleted.
            multiple: the samples of an earlier run are cut to a multiple of this number.

        Raises:
            UserError: the folder cannot be written.
        """
        self.path = path
        self._sample_rate = sample_rate
        self._partial = path.with_name(f".{path.name}.{key}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            for stale in path.parent.glob(f".{glob.escape(path.name)}.*.part"):
                if stale != self._partial:
                    stale.unlink()
            self._file = self._partial.open("r+b" if self._partial.exists() else "w+b")
            length = max(0, self._file.seek(0, os.SEEK_END) - HEADER_BYTES) // 2
            self.num_samples = length // multiple * multiple
            self._file.truncate(HEADER_BYTES + 2 * self.num_samples if self.num_samples else 0)
            if not self.num_samples:
                self._file.seek(0)
                self._file.write(wav_header(sample_rate, None))
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror or error}") from None

    def last(self, samples: int) -> NDArray[np.int16]:
        """Returns at most this many samples from the end."""
        return self.between(max(0, self.num_samples - samples), self.num_samples)

    def write(self, samples: NDArray[np.int16]) -> None:
        """Appends samples and flushes them to the file.

        Raises:
            UserError: the file cannot be written, for example because the disk is full; it keeps its samples.
        """
        try:
            self._file.seek(HEADER_BYTES + 2 * self.num_samples)
            self._file.write(samples.astype("<i2").tobytes())
            self._file.flush()
        except OSError as error:
            raise UserError(f"cannot write {self.path}: {error.strerror or error}") from None
        self.num_samples += len(samples)

    def between(self, first: int, last: int) -> NDArray[np.int16]:
        """Returns samples first to last, (last - first,), fewer at the end."""
        self._file.seek(HEADER_BYTES + 2 * first)
        return np.frombuffer(self._file.read(2 * (min(last, self.num_samples) - first)), dtype="<i2").astype(np.int16)

    def blocks(self) -> Iterator[NDArray[np.int16]]:
        """Yields all samples in blocks (samples,)."""
        for first in range(0, self.num_samples, _BLOCK_SAMPLES):
            yield self.between(first, first + _BLOCK_SAMPLES)

    def finish_as(self, blocks: Iterable[NDArray[np.int16]]) -> None:
        """Writes the file in the format of its suffix out of samples made of those held, then deletes the partial file.

        Args:
            blocks: as many samples as it holds, or more, of which the rest is cut off.

        Raises:
            UserError: the file cannot be written; the next run can resume from the partial file.
        """

        def wanted() -> Iterator[NDArray[np.int16]]:
            left = self.num_samples
            for block in blocks:
                yield block[:left]
                left -= len(block[:left])

        write_audio_blocks(self.path, wanted(), self._sample_rate)
        self._file.close()
        self._partial.unlink()

    def __enter__(self) -> PartialWav:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the file; the next run can resume a partial file."""
        try:
            self._file.close()
        except OSError as closing:  # what was written before is on the disk
            raise UserError(f"cannot write {self.path}: {closing.strerror or closing}") from None
