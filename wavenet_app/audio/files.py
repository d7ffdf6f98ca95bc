"""Waveforms as 16-bit samples and WAV files, and file names that can be printed."""

from __future__ import annotations

import io
import os
import re
import wave
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from wavenet_app.core.errors import UserError
from wavenet_app.core.files import replacing


def pcm16(waveform: NDArray[np.floating]) -> NDArray[np.int16]:
    """Returns a waveform in [-1, 1] as 16-bit samples, rounded and clipped.

    >>> pcm16(np.array([-1.0, 0.0, 0.5, 1.0])).tolist()
    [-32768, 0, 16384, 32767]
    """
    return np.clip(np.round(np.asarray(waveform) * 32768.0), -32768, 32767).astype(np.int16)


def from_pcm16(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    """Returns 16-bit samples as a waveform in [-1, 1).

    >>> from_pcm16(np.array([-32768, 0, 16384], np.int16)).tolist()
    [-1.0, 0.0, 0.5]
    """
    return samples.astype(np.float32) / np.float32(32768)


def write_wav(path: Path, waveform: NDArray[np.floating], sample_rate: int) -> None:
    """Writes a mono 16-bit WAV; the file appears whole or not at all.

    Args:
        path: where to; missing folders are made.
        waveform: shape (samples,), clipped to [-1, 1].
        sample_rate: in Hz.

    Raises:
        UserError: the file cannot be written, for example because the disk is full.
        ValueError: the waveform has another shape or is not finite.
    """
    samples = np.asarray(waveform)
    if samples.ndim != 1 or not np.isfinite(samples).all():
        raise ValueError(f"a waveform must be finite and of shape (samples,), not {samples.shape}")
    pcm = pcm16(samples).astype("<i2")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            _write_pcm(file, pcm, sample_rate)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from None


def wav_bytes(waveform: NDArray[np.floating], sample_rate: int) -> bytes:
    """Returns the file that `write_wav` would write, to be put into something else.

    Args:
        waveform: shape (samples,), clipped to [-1, 1].
        sample_rate: in Hz.

    >>> wav_bytes(np.zeros(3), 8_000)[:4]
    b'RIFF'
    """
    buffer = io.BytesIO()
    _write_pcm(buffer, pcm16(waveform).astype("<i2"), sample_rate)
    return buffer.getvalue()


def _write_pcm(file: IO[bytes], pcm: NDArray[np.int16], sample_rate: int) -> None:
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, sample_rate, len(pcm), "NONE", "not compressed"))
        writer.writeframes(pcm.tobytes())


def printable(name: str) -> str:
    r"""Returns a file's name without control characters and bytes that are not UTF-8, which no output could show.

    >>> printable("new\nline \udce9") == "new\ufffdline \ufffd"
    True
    """
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", "\ufffd", os.fsencode(name).decode("utf-8", "replace"))
