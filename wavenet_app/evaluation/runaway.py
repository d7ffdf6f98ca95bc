"""Detects generated clips that run away to noise or collapse to silence, from the waveform alone.

A model that leaves its training distribution does not return to it, so only the second half of a clip is checked, in
frames of 32 ms:

- **silence**: at least nine tenths of the frames are quieter than -50 dB.
- **noise**: at least nine tenths of the frames are both louder than -30 dB and noise-like, with a spectral
  flatness above 0.1 (white noise 0.56, pink noise about 0.25, voiced speech and strings mostly below 0.05).

The levels are RMS relative to full scale, at the gain of the run, which brings the loudest seconds of the corpus to a
peak of 0.9. Applied to real clips, the same definitions show how often they are wrong on that kind of audio: by them,
recordings of rain are noise.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wavenet_app.evaluation.sound_frames import flatness, levels

Failure = Literal["noise", "silence"]


class Judgement(NamedTuple):
    """What the clips of a model are like.

    Attributes:
        text: a line for the user.
        usable: whether at least one clip is neither noise nor silence.
    """

    text: str
    usable: bool


SILENCE_DECIBELS = -50.0
NOISE_DECIBELS = -30.0
NOISE_FLATNESS = 0.1
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
    >>> failure(np.sin(np.arange(8_000)), 8_000) is None
    True
    """
    half = np.asarray(waveform)[len(waveform) // 2 :]
    loudness = levels(half, sample_rate)
    if (loudness < SILENCE_DECIBELS).mean() >= FRAME_SHARE:
        return "silence"
    noise_like = (loudness > NOISE_DECIBELS) & (flatness(half, sample_rate) > NOISE_FLATNESS)
    return "noise" if noise_like.mean() >= FRAME_SHARE else None
