"""The levels of a corpus's files: one that is far off would set the gain of all, so that the others become silence."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

# Float files may exceed 1 a little; beyond four times full scale, they are in another scale.
GREATEST_PEAK = 4.0
# Above the middle file: 20 dB for a file beyond full scale by that much, 40 dB for any other.
FAR_BEYOND, FAR_ABOVE, FAR_BELOW = 10.0, 100.0, 1e-3
# More files than this share are no exception.
EXCEPTIONAL_SHARE = 0.1
# Bits below the sign of the integers that a float file may hold by mistake.
INTEGER_BITS = (15, 23, 31)
# A file in the scale of integers uses its range as other recordings do: its peak lies at most so far below full scale.
LEAST_INTEGER_PEAK = 2.0**-6
ALIKE = 30.0


@dataclass(frozen=True)
class Level:
    """What becomes of a file because of its level.

    Attributes:
        bits: the waveform is divided by 2^bits.
        reason: why the file is left out; empty where it is used.
        remark: what the user should know, as the end of a sentence about the file; may be empty.
    """

    bits: int = 0
    reason: str = ""
    remark: str = ""


def robust_peak(peaks: Sequence[float]) -> float:
    """Returns the peak that at most one in a thousand seconds exceeds, and of eight seconds or more at least one does.

    So a single pop does not set the level of a whole corpus. Silent seconds do not count.

    Args:
        peaks: peak of each second of audio; at least one is above zero.

    >>> robust_peak([0.2] * 60 + [0.0] * 60 + [1.0])
    0.2
    >>> robust_peak([0.1, 0.5])
    0.5
    """
    ordered = sorted(peak for peak in peaks if peak > 0)
    outliers = math.ceil(len(ordered) / 1000) if len(ordered) >= 8 else 0
    return ordered[-1 - outliers]


def judge_levels(peaks: Sequence[float], usual: float | None = None) -> list[Level]:
    """Returns what becomes of each file.

    Args:
        peaks: `robust_peak` of each file, above zero.
        usual: peak to compare with; None for that of the middle file, among those that are not far beyond full scale.

    >>> [level.bits for level in judge_levels([0.5, 0.3, 16_384.0])]
    [0, 0, 15]
    >>> judge_levels([0.5, 0.3, 300.0])[2].reason
    'peaks at 300, 60 dB above the usual 0.3; scale it to [-1, 1]'
    """
    if not peaks:
        return []
    if usual is None:
        usual = statistics.median_low([peak for peak in peaks if peak <= GREATEST_PEAK] or peaks)
    loud = sum(FAR_ABOVE * usual < peak <= GREATEST_PEAK for peak in peaks)
    return [_judged(peak, usual, exceptional=loud <= EXCEPTIONAL_SHARE * len(peaks)) for peak in peaks]


def _judged(peak: float, usual: float, *, exceptional: bool) -> Level:
    decibels = 20 * math.log10(peak / usual)
    above = f"peaks at {peak:,.3g}, {decibels:.0f} dB above the usual {usual:.2g}"
    if peak > GREATEST_PEAK and peak > FAR_BEYOND * usual:
        for bits in INTEGER_BITS:
            scaled = peak / 2**bits
            if LEAST_INTEGER_PEAK <= scaled <= 1.001 and 1 / ALIKE <= scaled / usual <= ALIKE:
                scale = f"is in the scale of {bits + 1}-bit integers (its peak is {peak:,.0f})"
                return Level(bits=bits, remark=f"{scale}; it is divided by {2**bits:,}")
        return Level(reason=f"{above}; scale it to [-1, 1]")
    if peak <= GREATEST_PEAK and peak > FAR_ABOVE * usual and exceptional:
        return Level(reason=f"{above}; bring it to the level of the others")
    if peak < FAR_BELOW * usual:
        return Level(remark=f"is {-decibels:.0f} dB below the usual peak of {usual:.2g}, next to silence")
    return Level()
