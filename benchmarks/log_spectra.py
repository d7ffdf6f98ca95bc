"""The log-spectral distance of `wavenet_app.evaluation.pair_metrics` in two steps, for benchmarks that need both."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wavenet_app.evaluation.pair_metrics import MIN_POWER
from wavenet_app.evaluation.sound_frames import frame_lengths, power_spectra

Sound = NDArray[np.float32]
Levels = NDArray[np.float64]


def decibels(waveform: Sound, rate: int) -> Levels:
    """Returns the levels (frames, frequencies) that the distance compares."""
    length, hop = frame_lengths(rate)
    return 10 * np.log10(np.maximum(power_spectra(waveform, length, hop, length), MIN_POWER))


def distance(one: Levels, other: Levels) -> float:
    """Returns the log-spectral distance in dB."""
    return float(np.sqrt(((one - other) ** 2).mean(axis=1)).mean())
