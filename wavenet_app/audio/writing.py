"""Mono waveforms to sound files: atomic, in any of `formats.FORMATS`, and in memory that does not grow with length."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import numpy as np
import soundfile
from numpy.typing import NDArray

from wavenet_app.audio.files import pcm16
from wavenet_app.audio.formats import WAV, AudioFormat, format_of
from wavenet_app.core.errors import UserError
from wavenet_app.core.files import replacing

# libsndfile's Vorbis encoder puts a whole write on the stack, and crashes on a long one.
_SAMPLES_AT_ONCE = 16_384

Pcm = NDArray[np.int16]


def write_audio(path: Path, waveform: NDArray[np.floating], sample_rate: int) -> None:
    """Writes a mono file in the format of its suffix; the file appears whole or not at all.

    Args:
        path: the file; missing folders are made.
        waveform: shape (samples,), clipped to [-1, 1].
        sample_rate: in Hz.

    Raises:
        UserError: no format has this suffix, or the file cannot be written, for example because the disk is full.
        ValueError: the waveform has another shape or is not finite.
    """
    samples = np.asarray(waveform)
    if samples.ndim != 1 or not np.isfinite(samples).all():
        raise ValueError(f"a waveform must be finite and of shape (samples,), not {samples.shape}")
    write_audio_blocks(path, [pcm16(samples)], sample_rate)


def write_audio_blocks(path: Path, blocks: Iterable[Pcm], sample_rate: int) -> None:
    """Writes consecutive 16-bit blocks (samples,) as `write_audio` writes a waveform, in constant memory.

    Raises:
        UserError: no format has this suffix, or the file cannot be written; an old file of that name is still there.
    """
    audio_format = format_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            _encode(file, blocks, sample_rate, audio_format)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from None
    except soundfile.LibsndfileError as error:
        reason = str(error.error_string).strip().rstrip(".").removeprefix("Error : ")
        raise UserError(f"cannot write {path} at {sample_rate} Hz ({reason}); choose another format") from None


def wav_blocks(path: Path) -> Iterator[Pcm]:
    """Yields the samples of a mono 16-bit WAV in blocks (samples,)."""
    with soundfile.SoundFile(os.fsencode(path)) as file:
        yield from file.blocks(_SAMPLES_AT_ONCE, dtype="int16")


def wav_bytes(waveform: NDArray[np.floating], sample_rate: int) -> bytes:
    """Returns the content of the WAV that `write_audio` writes.

    Args:
        waveform: shape (samples,), clipped to [-1, 1].
        sample_rate: in Hz.

    >>> wav_bytes(np.zeros(3), 8_000)[:4]
    b'RIFF'
    """
    buffer = io.BytesIO()
    _encode(buffer, [pcm16(waveform)], sample_rate, WAV)
    return buffer.getvalue()


class _Sink:
    """A file for libsndfile, which cannot pass on an exception: it keeps the first error of a write."""

    def __init__(self, file: IO[bytes]) -> None:
        self.error: OSError | None = None
        self.seek, self.tell = file.seek, file.tell
        self._file = file

    def write(self, content: bytes) -> int:
        try:
            return self._file.write(content)
        except OSError as error:
            self.error = self.error or error
            return len(content)

    def read(self, _size: int) -> bytes:
        return b""

    def check(self) -> None:
        if self.error is not None:
            raise self.error


def _encode(file: IO[bytes], blocks: Iterable[Pcm], sample_rate: int, audio_format: AudioFormat) -> None:
    sink = _Sink(file)
    with soundfile.SoundFile(
        sink, "w", sample_rate, channels=1, format=audio_format.container, subtype=audio_format.subtype
    ) as encoder:
        for block in blocks:
            for start in range(0, len(block), _SAMPLES_AT_ONCE):
                encoder.write(block[start : start + _SAMPLES_AT_ONCE])
                sink.check()
    sink.check()
