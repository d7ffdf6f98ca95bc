"""The integer weights by which codes and components are picked: the same to the bit on every engine. Imports no torch.

Sums of integers do not depend on their order, and the few floating-point operations before are rounded alike
everywhere. So engines whose logits agree pick the same codes, and a GPU needs no double precision.

The weight of a logit is `UNIT` x 2^-y, where y = (greatest logit - logit) / (temperature x log 2):

1. In float32: the difference logit - greatest logit, then its product with `PickNumbers.scale`, cut to an integer, and
   not below -`MOST_HALVINGS` x 2^`FRACTION_BITS`. This is -y in units of 2^-`FRACTION_BITS`. What is not a number
   counts as the least.
2. With h the whole part of y and g the rest, in units of 2^-32: a polynomial of `COEFFICIENTS`, by Horner's rule from
   the last one on, each step coefficient - (sum x g >> 32), and the result >> (h + `GUARD_BITS`).

The weight is at most `UNIT`, never rises with y, and is right to 3 units. Sums of the weights of 1,024 codes times 2^24
stay below 2^63.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

UNIT = 2**28
"""The weight of the greatest logit."""

GUARD_BITS = 2
"""Bits that the polynomial has beyond those of a weight."""

FRACTION_BITS = 24
"""Bits of y after the point."""

MOST_HALVINGS = 29
"""The y from which the weight is zero."""

LOWEST = -float(MOST_HALVINGS << FRACTION_BITS)

COEFFICIENTS = (1073741824, 744261013, 257939199, 59583778, 10287439, 1370293, 117533)
"""Of 2^-g for g from 0 to 1 with alternating signs, in units of 2^-30: the polynomial of least greatest error."""

UNIFORM_BITS = 24
"""Bits of a uniform number."""

SHARE_BITS = 24
"""Bits in which top-p is counted."""

_LEAST_SCALE, _GREATEST_SCALE = 1e-30, 3e38  # a float32 of full precision, so that no product with it is 0 x infinity


class PickNumbers(NamedTuple):
    """Sampling settings as the picks take them.

    Attributes:
        temperature: as a float32.
        scale: of a difference of logits, a float32; 0 at temperature 0, where no other number counts.
        top_k: how many codes are allowed; 0 for all.
        top_p: the share that the allowed codes must reach, in units of 2^-`SHARE_BITS`.
        least: the least weight that is allowed.
        quiet_temperature: takes the place of `temperature` where a clip is quiet.
        quiet_scale: takes the place of `scale` there.
        quiet_samples: how many codes near silence make a clip quiet; see `fast_gen.engines.quiet`.
    """

    temperature: float
    scale: float
    top_k: int
    top_p: int
    least: int
    quiet_temperature: float
    quiet_scale: float
    quiet_samples: int


def pick_temperature(temperature: float) -> float:
    """Returns a temperature as a float32, or the greatest if it is greater."""
    return float(np.float32(min(temperature, _GREATEST_SCALE)))


def pick_share(top_p: float) -> int:
    """Returns the share that the allowed codes must reach, in units of 2^-`SHARE_BITS`."""
    return max(1, round(top_p * 2**SHARE_BITS))


def pick_least(min_p: float) -> int:
    """Returns the least weight that is allowed."""
    return math.ceil(min_p * UNIT)


def pick_scale(temperature: float) -> float:
    """Returns what a difference of logits is multiplied by; 0 at temperature 0."""
    if temperature == 0:
        return 0.0
    scale = 2**FRACTION_BITS / math.log(2) / temperature if temperature > _LEAST_SCALE else _GREATEST_SCALE
    return float(np.float32(min(max(scale, _LEAST_SCALE), _GREATEST_SCALE)))
