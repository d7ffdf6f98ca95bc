"""The integers that a model's samples are: mu-law codes, or the 16-bit samples themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from wavenet_app import mu_law

MU_LAW_HEAD = "mu-law"

STEP = 2.0**-15
"""From one 16-bit sample to the next, of a waveform in [-1, 1]."""

LEAST_SCALE = STEP / 16
"""What a logistic or Gaussian is wide at the very least: so narrow that one 16-bit sample has all of its probability.

Narrower ones would say no more, and the gradient of a mean is as large as its distribution is narrow (the reason why
Ping et al. 2018, "ClariNet", section 3.1, hold the logarithm of the scale from below).
"""

GREATEST_LOG_SCALE = 3.0
"""Natural logarithm of the greatest scale: all of [-1, 1] lies in a fraction of it."""


@dataclass(frozen=True)
class MuLawCoding:
    """Mu-law codes; see `wavenet_app.mu_law`.

    Attributes:
        size: how many there are.
        lowest: the least; the others follow without a gap.

    >>> MuLawCoding(256).encode(np.array([-1.0, 0.0, 1.0])).tolist()
    [0, 128, 255]
    """

    size: int
    lowest: ClassVar[int] = 0

    @property
    def name(self) -> str:
        """What they are, in words."""
        return f"{self.size} mu-law codes"

    @property
    def silence(self) -> int:
        """The code of zero amplitude, which stands before the first one of every clip."""
        return mu_law.silence_code(self.size)

    def encode(self, waveform: NDArray[np.floating]) -> NDArray[np.int16]:
        """Returns the codes of a waveform of any shape; what lies outside [-1, 1] is clipped."""
        return mu_law.encode(waveform, self.size)

    def decode(self, codes: NDArray[np.integer]) -> NDArray[np.float32]:
        """Returns the waveform that codes stand for."""
        return mu_law.decode(codes, self.size)

    def edges(self) -> NDArray[np.float64]:
        """Returns the waveform values where one code gives way to the next, (size - 1,), rising."""
        return mu_law.decision_edges(self.size)


@dataclass(frozen=True)
class SixteenBitCoding:
    """16-bit samples, as they stand in a WAV file: sample s is the value s x `STEP`.

    Attributes:
        name: what they are, in words.
        size: how many there are.
        lowest: the least; the others follow without a gap.
        silence: the one of zero amplitude, which stands before the first of every clip.

    >>> SixteenBitCoding().encode(np.array([-1.0, 0.5, 1.0])).tolist()
    [-32768, 16384, 32767]
    """

    name: ClassVar[str] = "16-bit samples"
    size: ClassVar[int] = 2**16
    lowest: ClassVar[int] = -(2**15)
    silence: ClassVar[int] = 0

    def encode(self, waveform: NDArray[np.floating]) -> NDArray[np.int16]:
        """Returns the samples of a waveform of any shape; what lies outside [-1, 1] is clipped."""
        scaled = np.round(np.asarray(waveform) / STEP)
        return np.clip(scaled, self.lowest, self.lowest + self.size - 1).astype(np.int16)

    def decode(self, codes: NDArray[np.integer]) -> NDArray[np.float32]:
        """Returns the waveform that samples stand for."""
        return np.asarray(codes).astype(np.float32) * np.float32(STEP)

    def edges(self) -> NDArray[np.float64]:
        """Returns the waveform values where one sample gives way to the next, (size - 1,), rising."""
        return (np.arange(self.lowest + 1, self.lowest + self.size, dtype=np.float64) - 0.5) * STEP


Coding = MuLawCoding | SixteenBitCoding
"""A way to write a waveform as integers, its codes, each of which stands for a stretch of values."""


def coding_of(head: str, quantization_channels: int) -> Coding:
    """Returns the coding of the samples that a head gives probabilities of.

    Args:
        head: as in `ModelConfig`.
        quantization_channels: number of codes, where they are mu-law codes.
    """
    return MuLawCoding(quantization_channels) if head == MU_LAW_HEAD else SixteenBitCoding()


def mean_places(head: str, output_channels: int) -> slice:
    """Returns which outputs are means of a distribution over 16-bit samples; of mu-law codes none are.

    Of a net's last layer they are how far a mean lies above the newest sample, which is added to them. So a net begins
    as a predictor of order 1, and rounding in its layers is small beside a step from sample to sample, not beside the
    whole swing.
    """
    if head == MU_LAW_HEAD:
        return slice(0, 0)
    return slice(output_channels // 3, 2 * output_channels // 3) if head == "logistics" else slice(0, 1)
