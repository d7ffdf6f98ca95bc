"""Levels: recordings are brought to the level of the training, and what is written back to that of the recordings."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wavenet_app.config import RunConfig
from wavenet_app.corpus.corpus import TARGET_PEAK, robust_peak

# Outside these, a recording's loudest seconds at the gain of the run have a peak that the model was not trained on.
# The voices of one corpus may differ by far more than the clips of one voice.
LEAST_PEAK, LEAST_PEAK_OF_VOICES, GREATEST_PEAK = 0.1, 0.01, 1.0


def matched_gain(peaks: Iterable[float], config: RunConfig) -> tuple[float, str | None]:
    """Returns the factor on a recording, and a note for the user or None.

    The factor is the gain of the run if that brings the recording to a level of the training.

    Args:
        peaks: of each second of the recording, before any gain; silence is at any level.
        config: of the model's run.

    >>> config = RunConfig()
    >>> matched_gain([0.2, 0.3], config)
    (1.0, None)
    >>> matched_gain([0.009], config)[1]
    'its level is not that of the training, so it is scaled by 100'
    """
    gain = config.audio.gain
    least = LEAST_PEAK_OF_VOICES if config.model.speakers else LEAST_PEAK
    audible = [peak for peak in peaks if peak]
    loud = gain * robust_peak(audible) if audible else TARGET_PEAK
    if least <= loud <= GREATEST_PEAK:
        return gain, None
    gain *= TARGET_PEAK / loud
    return gain, f"its level is not that of the training, so it is scaled by {gain:.3g}"


@dataclass(frozen=True)
class OutputLevel:
    """The level at which generated audio is written.

    Attributes:
        factor: on a waveform at the level of the training.
        remark: what the line about the file says of it; None where there is nothing to say.
    """

    factor: float
    remark: str | None

    def of(self, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns a waveform at the level of the training, (samples,), at this level."""
        return waveform * np.float32(self.factor)


def output_level(gain: float, peak: float | None = None) -> OutputLevel:
    """Returns the level of the recordings that a model was trained on, or the nearest at which nothing clips.

    Args:
        gain: `config.audio.gain` of the checkpoint, the factor that training put on the recordings.
        peak: the greatest magnitude of the waveform at the level of the training; None if it is not known yet, so it
            may be 1.

    >>> output_level(4.0).factor
    0.25
    >>> output_level(0.5, peak=0.8)
    OutputLevel(factor=1.25, remark='4.1 dB below the level of the recordings, to avoid clipping')
    """
    wanted = 1 / gain
    highest = 1 / (1.0 if peak is None else max(peak, 1e-9))
    factor = min(wanted, highest)
    missing = 20 * math.log10(wanted / factor)
    if missing >= 0.05:  # the least that one digit shows
        return OutputLevel(factor, f"{missing:.1f} dB below the level of the recordings, to avoid clipping")
    return OutputLevel(factor, None if gain == 1 else "at the level of the recordings")


def second_peaks(blocks: Iterable[NDArray[np.float32]], sample_rate: int) -> Iterator[float]:
    """Yields the peak of each second of a waveform in blocks (samples,); the last second may be shorter.

    >>> list(second_peaks([np.float32([0.5, 0.1]), np.float32([0.2])], 2))
    [0.5, 0.20000000298023224]
    """
    peak, left = 0.0, sample_rate
    for block in blocks:
        while len(block):
            part, block = block[:left], block[left:]
            peak = max(peak, float(np.abs(part).max()))
            left -= len(part)
            if not left:
                yield peak
                peak, left = 0.0, sample_rate
    yield peak
