"""Waveforms to integer codes and back, by the mu-law companding curve."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def encode(waveform: NDArray[np.floating], channels: int = 256) -> NDArray[np.int16]:
    """Returns the mu-law codes of a waveform.

    The curve is f(x) = sign(x) ln(1 + mu |x|) / ln(1 + mu) with mu = channels - 1, and f is rounded to the nearest of
    `channels` levels that are evenly spaced over [-1, 1]. Source: ITU-T G.711; van den Oord et al. 2016, section 2.2.

    Args:
        waveform: any shape, in [-1, 1]; values outside are clipped.
        channels: number of codes.

    Returns:
        Codes from 0 to channels - 1, the shape of `waveform`.

    >>> encode(np.array([-1.0, 0.0, 1.0]))
    array([  0, 128, 255], dtype=int16)
    """
    mu = channels - 1
    clipped = np.clip(np.asarray(waveform, dtype=np.float32), -1.0, 1.0)
    companded = np.sign(clipped) * np.log1p(mu * np.abs(clipped)) / np.float32(np.log1p(mu))
    return np.floor((companded + 1) * np.float32(0.5 * mu) + np.float32(0.5)).astype(np.int16)


def decode(codes: NDArray[np.integer], channels: int = 256) -> NDArray[np.float32]:
    """Returns the waveform that codes stand for, in [-1, 1], the shape of `codes`.

    >>> decode(np.array([0, 255])).tolist()
    [-1.0, 1.0]
    """
    return decode_table(channels)[np.asarray(codes)]


def decode_table(channels: int = 256) -> NDArray[np.float32]:
    """Returns the value of every code: x = sign(f) ((1 + mu)^|f| - 1) / mu, shape (channels,), rising."""
    mu = channels - 1
    companded = 2 * np.arange(channels, dtype=np.float64) / mu - 1
    return (np.sign(companded) * np.expm1(np.abs(companded) * np.log1p(mu)) / mu).astype(np.float32)


def decision_edges(channels: int = 256) -> NDArray[np.float64]:
    """Returns the waveform values where one code gives way to the next, shape (channels - 1,), rising.

    Code c covers edges[c - 1] to edges[c]; the outermost codes reach to minus and plus infinity.
    """
    mu = channels - 1
    companded = 2 * (np.arange(channels - 1, dtype=np.float64) + 0.5) / mu - 1
    return np.sign(companded) * np.expm1(np.abs(companded) * np.log1p(mu)) / mu


def silence_code(channels: int = 256) -> int:
    """Returns the code of zero amplitude, which stands before the first sample of every clip."""
    return channels // 2
