"""What a net reads of linear prediction: table rows for predicted value, residual size and last innovation.

All are found by comparing with rising limits in float64, so every engine finds the same row.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from wavenet_app.coding import MuLawCoding

VALUES = 256
"""Rows of the table of predicted values: mu-law codes, whatever the codes of the model are."""

SIZES = 64
"""Rows of the table of residual sizes."""

SIZES_PER_OCTAVE = 4
SMALLEST_SIZE = 2.0**-14
"""Sizes below it share the first row, about a third of a step of 16-bit samples."""

INNOVATIONS = 64
"""Rows of the table of innovations: how far the newest sample is from its prediction, in sizes of the residual."""

INNOVATIONS_PER_NATURAL = 8
"""Rows for a factor of e in a large innovation; small ones have 1/16 of a size each."""

Floats = NDArray[np.float64]


@cache
def value_limits() -> Floats:
    """Returns the values between neighbouring rows of predicted values, (VALUES - 1,), rising."""
    limits = MuLawCoding(VALUES).edges()
    limits.setflags(write=False)
    return limits


@cache
def size_limits() -> Floats:
    """Returns the sizes between neighbouring rows of residual sizes, (SIZES - 1,), rising."""
    limits = SMALLEST_SIZE * 2.0 ** (np.arange(1, SIZES) / SIZES_PER_OCTAVE)
    limits.setflags(write=False)
    return limits


@cache
def innovation_limits() -> Floats:
    """Returns the innovations between neighbouring rows, (INNOVATIONS - 1,), rising: small ones evenly, large ones not.

    >>> innovation_limits()[[0, 31, 32, 62]].round(4).tolist()
    [-12.0405, 0.0, 0.0627, 12.0405]
    """
    steps = np.arange(1, INNOVATIONS) - INNOVATIONS // 2
    limits = np.sinh(steps / INNOVATIONS_PER_NATURAL) / 2
    limits.setflags(write=False)
    return limits


def value_rows(predictions: Floats) -> NDArray[np.int64]:
    """Returns the row of each predicted value, in the shape of `predictions`.

    >>> value_rows(np.array([-2.0, 0.0001, 2.0])).tolist()
    [0, 128, 255]
    """
    return np.searchsorted(value_limits(), predictions, side="right")


def size_rows(sizes: Floats) -> NDArray[np.int64]:
    """Returns the row of each residual size, in the shape of `sizes`.

    >>> size_rows(np.array([0.0, 2.0**-13, 1.0, 100.0])).tolist()
    [0, 4, 56, 63]
    """
    return np.searchsorted(size_limits(), sizes, side="right")


def innovation_rows(innovations: Floats) -> NDArray[np.int64]:
    """Returns the row of each innovation, in the shape of `innovations`.

    >>> innovation_rows(np.array([-100.0, -0.01, 0.0, 1.0, 100.0])).tolist()
    [0, 31, 32, 43, 63]
    """
    return np.searchsorted(innovation_limits(), innovations, side="right")
