"""The one mono signal of a sound file that everything measures and learns: the mean of its channels, or one of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from wavenet_app.audio.decoding import SoundReader

# Channels whose mean has less than this share of the power that independent channels would leave in it cancel out.
# For two channels it is a correlation below -0.8.
CANCELLED_SHARE = 0.2
# The first seconds of sound decide, so that a long file is not decoded twice.
DECIDING_SECONDS = 20.0
_QUIET = 1e-4  # root mean square of a block that counts as sound

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class MonoMix:
    """How the channels of a file become one.

    Attributes:
        channel: the one that is taken, counted from 0; None for the mean of all.
        remark: why, as the end of a sentence about the file; empty for the mean.
    """

    channel: int | None = None
    remark: str = ""

    def __call__(self, block: Samples) -> Samples:
        """Returns the mono signal, (samples,), of a block of shape (samples, channels)."""
        if block.shape[1] == 1:
            return block[:, 0]
        mono: Samples = block.mean(axis=1) if self.channel is None else block[:, self.channel]
        return mono


def mono_mix(path: Path) -> MonoMix:
    """Returns how the channels of a file become one.

    In a recording whose channels have opposite phase, the mean holds only what a lossy codec left of their difference.
    So the loudest channel is taken there. The first twenty seconds of sound decide.

    Raises:
        UnreadableAudioError: nothing can be read, or there are NaN or infinite samples.
    """
    with SoundReader(path) as reader:
        channels, rate = reader.info.channels, reader.info.sample_rate
        if channels == 1:
            return MonoMix()
        powers, mean_power, sounding = np.zeros(channels), 0.0, 0
        for block in reader.blocks():
            of_block = np.square(block, dtype=np.float64).sum(axis=0)
            powers += of_block
            mean_power += float(np.square(block.mean(axis=1, dtype=np.float64)).sum())
            sounding += len(block) if of_block.max() > _QUIET**2 * len(block) else 0
            if sounding >= DECIDING_SECONDS * rate:
                break
    independent = float(powers.sum()) / channels**2
    if mean_power >= CANCELLED_SHARE * independent:
        return MonoMix()
    # The mean of all pairs' covariances over the mean of all channels' powers.
    correlation = (mean_power / independent - 1) / (channels - 1)
    channel = int(np.argmax(powers))
    return MonoMix(
        channel,
        f"has channels that cancel out (correlation {correlation:.2f}); channel {channel + 1} is used instead of their "
        "mean",
    )


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
    mix = mono_mix(path)
    with SoundReader(path) as reader:
        rate = reader.info.sample_rate
        resampler = None if rate == sample_rate else soxr.ResampleStream(rate, sample_rate, 1, dtype="float32")
        for block in reader.blocks():
            mono = mix(block)
            yield mono if resampler is None else resampler.resample_chunk(mono)
        if resampler is not None:
            yield resampler.resample_chunk(np.zeros(0, dtype=np.float32), last=True)
        remarks = [reader.damage, reader.remark, mix.remark]
    for remark in filter(None, remarks):
        if on_remark is None:
            warnings.warn(f"{path} {remark}", stacklevel=2)
        else:
            on_remark(remark)
