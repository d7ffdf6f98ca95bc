"""The one mono signal of a sound file that everything measures and learns: the mean of its channels."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from wavenet_app.audio.decoding import SoundReader

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class MonoMix:
    """How the channels of a file become one."""

    def __call__(self, block: Samples) -> Samples:
        """Returns the mono signal, (samples,), of a block of shape (samples, channels)."""
        mono: Samples = block[:, 0] if block.shape[1] == 1 else block.mean(axis=1)
        return mono


def read_audio(path: Path, sample_rate: int, on_remark: Callable[[str], None] | None = None) -> Samples:
    """Returns a file's mono signal, resampled (soxr, high quality), shape (samples,).

    Integer formats are scaled to [-1, 1); float formats are taken as they are.

    Args:
        path: the file; its content, not its suffix, says the format.
        sample_rate: of the result, in Hz.
        on_remark: called with what the user should know of a file that can be read; None issues a warning.

    Raises:
        UnreadableAudioError: nothing can be read, or there are NaN or infinite samples.
    """
    blocks = list(read_blocks(path, sample_rate, on_remark))
    return np.concatenate(blocks) if blocks else np.zeros(0, dtype=np.float32)


def read_blocks(path: Path, sample_rate: int, on_remark: Callable[[str], None] | None = None) -> Iterator[Samples]:
    """Yields what `read_audio` returns in consecutive blocks, shape (samples,) each, in constant memory.

    A damaged file is yielded as far as it can be decoded.

    Raises:
        UnreadableAudioError: nothing can be read, or there are NaN or infinite samples.
    """
    mix = MonoMix()
    with SoundReader(path) as reader:
        rate = reader.info.sample_rate
        resampler = None if rate == sample_rate else soxr.ResampleStream(rate, sample_rate, 1, dtype="float32")
        for block in reader.blocks():
            mono = mix(block)
            yield mono if resampler is None else resampler.resample_chunk(mono)
        if resampler is not None:
            yield resampler.resample_chunk(np.zeros(0, dtype=np.float32), last=True)
        remarks = [reader.damage, reader.remark]
    for remark in filter(None, remarks):
        if on_remark is None:
            warnings.warn(f"{path} {remark}", stacklevel=2)
        else:
            on_remark(remark)
