"""The integers that a model's samples are: mu-law codes, or the 16-bit samples themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

STEP = 2.0**-15
"""From one 16-bit sample to the next, of a waveform in [-1, 1]."""

LEAST_SCALE = STEP / 16
"""Least scale of a logistic or Gaussian: so narrow that one 16-bit sample has all of the probability.

A narrower one would add nothing, and the gradient of a mean grows as its distribution narrows (Ping et al. 2018,
"ClariNet", section 3.1, bound the logarithm of the scale from below for this reason).
"""

GREATEST_LOG_SCALE = 3.0
"""Natural logarithm of the greatest scale: all of [-1, 1] lies in a fraction of it."""


@dataclass(frozen=True)
class MuLawCoding:
    """Mu-law codes: evenly spaced steps of a companded waveform, fine around zero and coarse towards full scale.

    The curve is f(x) = sign(x) ln(1 + mu |x|) / ln(1 + mu) with mu = size - 1, and f is rounded to the nearest of
    `size` levels that are evenly spaced over [-1, 1]. Source: ITU-T G.711; van den Oord et al. 2016, section 2.2.

    Attributes:
        size: number of codes.
        lowest: the least code; the others follow without a gap.

    >>> MuLawCoding(256).encode(np.array([-1.0, 0.0, 1.0])).tolist()
    [0, 128, 255]
    >>> MuLawCoding(256).decode(np.array([0, 255])).tolist()
    [-1.0, 1.0]
    """

    size: int = 256
    lowest: ClassVar[int] = 0

    @property
    def name(self) -> str:
        """What they are, in words."""
        return f"{self.size} mu-law codes"

    @property
    def silence(self) -> int:
        """The code of zero amplitude, which precedes every clip."""
        return self.size // 2

    def encode(self, waveform: NDArray[np.floating]) -> NDArray[np.int16]:
        """Returns the codes of a waveform of any shape; values outside [-1, 1] are clipped."""
        mu = self.size - 1
        clipped = np.clip(np.asarray(waveform, dtype=np.float32), -1.0, 1.0)
        companded = np.sign(clipped) * np.log1p(mu * np.abs(clipped)) / np.float32(np.log1p(mu))
        return np.floor((companded + 1) * np.float32(0.5 * mu) + np.float32(0.5)).astype(np.int16)

    def decode(self, codes: NDArray[np.integer]) -> NDArray[np.float32]:
        """Returns the waveform of codes, in [-1, 1], the shape of `codes`."""
        return self.values()[np.asarray(codes)]

    def values(self) -> NDArray[np.float32]:
        """Returns the value of every code: x = sign(f) ((1 + mu)^|f| - 1) / mu, shape (size,), rising."""
        return self._expanded(np.arange(self.size, dtype=np.float64)).astype(np.float32)

    def edges(self) -> NDArray[np.float64]:
        """Returns the waveform values between neighbouring codes, (size - 1,), rising.

        Code c covers edges[c - 1] to edges[c]; the outermost codes reach to minus and plus infinity.
        """
        return self._expanded(np.arange(self.size - 1, dtype=np.float64) + 0.5)

    def _expanded(self, levels: NDArray[np.float64]) -> NDArray[np.float64]:
        mu = self.size - 1
        companded = 2 * levels / mu - 1
        return np.sign(companded) * np.expm1(np.abs(companded) * np.log1p(mu)) / mu


@dataclass(frozen=True)
class SixteenBitCoding:
    """16-bit samples, as in a WAV file: sample s is the value s x `STEP`.

    Attributes:
        name: what they are, in words.
        size: number of samples.
        lowest: the least sample; the others follow without a gap.
        silence: the sample of zero amplitude, which precedes every clip.

    >>> SixteenBitCoding().encode(np.array([-1.0, 0.5, 1.0])).tolist()
    [-32768, 16384, 32767]
    """

    name: ClassVar[str] = "16-bit samples"
    size: ClassVar[int] = 2**16
    lowest: ClassVar[int] = -(2**15)
    silence: ClassVar[int] = 0

    def encode(self, waveform: NDArray[np.floating]) -> NDArray[np.int16]:
        """Returns the samples of a waveform of any shape; values outside [-1, 1] are clipped."""
        scaled = np.round(np.asarray(waveform) / STEP)
        return np.clip(scaled, self.lowest, self.lowest + self.size - 1).astype(np.int16)

    def decode(self, codes: NDArray[np.integer]) -> NDArray[np.float32]:
        """Returns the waveform of samples."""
        return np.asarray(codes).astype(np.float32) * np.float32(STEP)

    def edges(self) -> NDArray[np.float64]:
        """Returns the waveform values between neighbouring samples, (size - 1,), rising."""
        return (np.arange(self.lowest + 1, self.lowest + self.size, dtype=np.float64) - 0.5) * STEP


Coding = MuLawCoding | SixteenBitCoding
"""A way to write a waveform as integers, its codes, each for a range of values."""
