"""Detects generated clips that run away to noise or to a hum, or collapse to silence, from the waveform alone.

A model that leaves its training distribution does not return to it, so only the second half of a clip is checked, in
frames of 32 ms:

- **silence**: at least nine tenths of the frames are quieter than -50 dB.
- **noise**: at least nine tenths of the frames are both louder than -30 dB and noise-like, with a spectral
  flatness above 0.1 (white noise 0.56, pink noise about 0.25, voiced speech and strings mostly below 0.05).
- **hum**: at least nine tenths of the frames are louder than -40 dB, and the spectrum stands still: the level of a mel
  band, averaged over `HUM_FRAMES` frames, varies by less than 2.5 dB (standard deviation over time, mean over bands).
  A steady tone, a buzz, and a tone over hiss stay below 1.2 dB. Pieces of 2 s of read speech have at least 6.4 dB,
  plucked strings 5.6 dB.

The levels are RMS relative to full scale, at the gain of the run, which brings the loudest seconds of the corpus to a
peak of 0.9. Applied to real clips, the same definitions show how often they are wrong on that kind of audio: by them,
recordings of rain are noise and a held organ tone is a hum.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wavenet_app.evaluation.sound_frames import flatness, levels, log_mel

Failure = Literal["noise", "hum", "silence"]


class Judgement(NamedTuple):
    """What the clips of a model are like.

    Attributes:
        text: a line for the user.
        usable: whether at least one clip did not fail, or real clips fail alike.
    """

    text: str
    usable: bool


SILENCE_DECIBELS = -50.0
NOISE_DECIBELS = -30.0
NOISE_FLATNESS = 0.1
HUM_DECIBELS = -40.0
HUM_SPREAD = 2.5  # dB
LEAST_BLOCKS = 7  # about half a second, for which a vowel or a string does not last unchanged
HUM_FRAMES = 4  # 64 ms, over which hiss averages out and syllables do not
FRAME_SHARE = 0.9


def failure(waveform: NDArray[np.floating], sample_rate: int) -> Failure | None:
    """Returns how a clip failed by the definitions of this module, or None.

    Args:
        waveform: shape (samples,), at the level that the model was trained on.
        sample_rate: in Hz.

    >>> failure(np.zeros(8_000), 8_000)
    'silence'
    >>> failure(np.random.default_rng(0).normal(0, 0.3, 8_000), 8_000)
    'noise'
    >>> failure(np.sin(np.arange(8_000)), 8_000)
    'hum'
    """
    half = np.asarray(waveform)[len(waveform) // 2 :]
    loudness = levels(half, sample_rate)
    if (loudness < SILENCE_DECIBELS).mean() >= FRAME_SHARE:
        return "silence"
    noise_like = (loudness > NOISE_DECIBELS) & (flatness(half, sample_rate) > NOISE_FLATNESS)
    if noise_like.mean() >= FRAME_SHARE:
        return "noise"
    loud = (loudness > HUM_DECIBELS).mean() >= FRAME_SHARE
    return "hum" if loud and _spread(half, sample_rate) < HUM_SPREAD else None


def _spread(waveform: NDArray[np.floating], sample_rate: int) -> float:
    """Returns how much the spectrum varies over time, in dB; infinity if it is too short to say."""
    powers = 10 ** (log_mel(waveform, sample_rate) / 10)
    blocks = len(powers) // HUM_FRAMES
    if blocks < LEAST_BLOCKS:
        return float("inf")
    smoothed = powers[: blocks * HUM_FRAMES].reshape(blocks, HUM_FRAMES, -1).mean(axis=1)
    return float(np.log10(smoothed).std(axis=0).mean() * 10)
