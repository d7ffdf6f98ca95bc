"""How mel frames of other programs are made, and what their values say about it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from wavenet_app.core.errors import UserError

Values = NDArray[np.floating]

LN10 = math.log(10)
LEAST = 1e-20
"""Stands for the logarithm of 0; the floor of a model is far above it."""

VALUES: dict[str, tuple[str, Callable[[Values], Values]]] = {
    "ln": ("natural logarithms of magnitudes", lambda values: values),
    "ln-power": ("natural logarithms of powers", lambda values: values / 2),
    "log10": ("base-10 logarithms of magnitudes", lambda values: values * LN10),
    "log10-power": ("base-10 logarithms of powers", lambda values: values * LN10 / 2),
    "db": ("decibels", lambda values: values * LN10 / 20),
    "magnitude": ("magnitudes", lambda values: np.log(np.maximum(values, LEAST))),
    "power": ("powers", lambda values: np.log(np.maximum(values, LEAST)) / 2),
}
"""Name -> what the values are, and the function that makes them natural logarithms of magnitudes."""


@dataclass(frozen=True)
class Making:
    """How frames were made. None: not known.

    Attributes:
        values: a name of `VALUES`.
        sample_rate: in Hz.
        hop: samples from frame to frame.
        window: samples of a frame's Fourier transform.
        fmin: lower edge of the lowest band, in Hz.
        fmax: upper edge of the highest band, in Hz.
        scale: of the bands, "htk" or "slaney".
        norm: of the weights of a band, "none" or "slaney" (divided by the band's width).
        centred: whether frame f is centred on sample f x hop instead of half a hop later.
    """

    values: str | None = None
    sample_rate: int | None = None
    hop: int | None = None
    window: int | None = None
    fmin: float | None = None
    fmax: float | None = None
    scale: str | None = None
    norm: str | None = None
    centred: bool | None = None

    def or_else(self, other: Making) -> Making:
        """Returns these settings, and those of `other` where these are not known."""
        known = {
            field.name: value for field in fields(self) if (value := getattr(self, field.name)) is not None
        }  # fmt: skip
        return replace(other, **known)


_OF_22_KHZ = Making("ln", 22_050, 256, 1_024, 0.0, 8_000.0, "slaney", "slaney", centred=False)
MAKERS = {
    "hifi-gan": _OF_22_KHZ,
    "tacotron2": replace(_OF_22_KHZ, centred=True),
    "librosa": Making("power", scale="slaney", norm="slaney", centred=True),
    "torchaudio": Making("power", scale="htk", norm="none", centred=True),
}
"""Program -> how it makes frames: NVIDIA's and HiFi-GAN's published settings, and the defaults of the libraries."""


@dataclass(frozen=True)
class Normalisation:
    """Values that stand for decibels: `low` for `decibels_at_low`, `high` for `decibels_at_high`, evenly between."""

    low: float
    high: float
    decibels_at_low: float
    decibels_at_high: float

    @classmethod
    def parse(cls, text: str) -> Normalisation:
        """Reads "LOW,HIGH,DB,DB".

        Raises:
            UserError: it is something else.

        >>> Normalisation.parse("-4,4,-80,20").decibels_at_low
        -80.0
        """
        try:
            numbers = [float(part) for part in text.split(",")]
        except ValueError:
            numbers = []
        if len(numbers) != 4 or not np.isfinite(numbers).all() or numbers[0] >= numbers[1]:
            raise UserError(
                f"--normalised {text} must be LOW,HIGH,DB,DB with LOW below HIGH, such as -4,4,-80,20: "
                "-4 stands for -80 dB and 4 for 20 dB"
            )
        return cls(*numbers)

    def undone(self, values: Values) -> Values:
        """Returns the decibels of values."""
        slope = (self.decibels_at_high - self.decibels_at_low) / (self.high - self.low)
        return (values - self.low) * slope + self.decibels_at_low


_FLOORS = (
    (math.log(1e-5), "ln", "ln 1e-5"),
    (math.log(1e-10), "ln-power", "ln 1e-10"),
    (-5.0, "log10", "log10 1e-5"),
    (-10.0, "log10-power", "log10 1e-10"),
)
"""Least value of silence -> what it says, and why."""
_NEAR = 0.01
_TOP_DB = 80.0
_MOST_OF_LOGARITHMS = 40.0


def likely_values(lowest: float, highest: float) -> tuple[str, str] | None:
    """Returns which of `VALUES` numbers from `lowest` to `highest` likely are, and why; None if they do not say.

    >>> likely_values(-5.0, 1.3)
    ('log10', 'the least value -5 is log10 1e-5')
    >>> likely_values(0.0, 31.0) is None
    True
    """
    if abs(highest - lowest - _TOP_DB) < _NEAR and lowest < 0:
        return "db", "the values span 80 dB, as librosa's power_to_db leaves them"
    for floor, values, written in _FLOORS:
        if abs(lowest - floor) < _NEAR:
            return values, f"the least value {lowest:.4g} is {written}"
    if lowest < -_MOST_OF_LOGARITHMS:
        return "db", f"the least value {lowest:.4g} is too low for logarithms"
    return None
