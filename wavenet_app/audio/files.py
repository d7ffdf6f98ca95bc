"""Waveforms as 16-bit samples, and file names that can be printed."""

from __future__ import annotations

import os
import re

import numpy as np
from numpy.typing import NDArray


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


def printable(name: str) -> str:
    r"""Returns a file's name with control characters and bytes that are not UTF-8 replaced.

    >>> printable("new\nline \udce9") == "new\ufffdline \ufffd"
    True
    """
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", "\ufffd", os.fsencode(name).decode("utf-8", "replace"))
