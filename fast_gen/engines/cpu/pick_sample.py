"""From one clip's outputs to its next 16-bit sample, compiled: what `fast_gen.engines.sampling.pick_logistics` defines.

Imports numba.
"""

# mypy: ignore-errors
# Types are numba's here: it infers them from the call.

import math

import numpy as np
from numba import njit

from fast_gen.engines.cpu.pick_code import first_greatest, set_weights
from fast_gen.engines.gaussian_quantile import FLANK, MIDDLE, TAIL
from fast_gen.engines.pick_weights import UNIFORM_BITS
from fast_gen.engines.sampling import HALF_UNIFORM, LEAST_REMAINDER
from wavenet_app.coding import GREATEST_LOG_SCALE, LEAST_SCALE, STEP, SixteenBitCoding

_LOWEST = SixteenBitCoding.lowest
_HIGHEST = SixteenBitCoding.lowest + SixteenBitCoding.size - 1


@njit(error_model="numpy")
def pick_sample(outputs, is_mixture, uniform, temperature, scale, weights):
    """Returns the next sample.

    Args:
        outputs: float32 (at least output_channels,).
        is_mixture: whether they are a mixture of logistics, else of one Gaussian.
        uniform: float32, at least 0 and less than 1.
        temperature: as in `SamplingSettings`.
        scale: float32, as in `PickNumbers`.
        weights: int64 (output_channels,), written over.
    """
    place = np.float64(uniform) + HALF_UNIFORM
    if is_mixture:
        count = len(weights) // 3
        component, place = _component(outputs, uniform, scale, weights[:count])
        mean, log_scale = outputs[count + component], outputs[2 * count + component]
        quantile = math.log(place) - math.log1p(-place)
    else:
        mean, log_scale = outputs[0], outputs[1]
        quantile = _gaussian_quantile(place)
    width = temperature * (LEAST_SCALE + math.exp(min(np.float64(log_scale), GREATEST_LOG_SCALE)))
    sample = math.floor((np.float64(mean) + width * quantile) / STEP + 0.5)
    return int(min(max(sample, _LOWEST), _HIGHEST))


@njit(error_model="numpy")
def _component(logits, uniform, scale, weights):
    """Returns a component of a mixture, and what is left of the uniform number."""
    count = len(weights)
    if scale == 0:
        return first_greatest(logits, count), np.float64(uniform) + HALF_UNIFORM
    set_weights(logits, scale, weights)
    total = 0
    for component in range(count):
        total += weights[component]
    # in units of HALF_UNIFORM, and so is all that follows
    left = (2 * np.int64(uniform * np.float32(1 << UNIFORM_BITS)) + 1) * total
    component = 0
    while component + 1 < count and weights[component] << (UNIFORM_BITS + 1) <= left:
        left -= weights[component] << (UNIFORM_BITS + 1)
        component += 1
    remainder = np.float64(left) / np.float64(weights[component] << (UNIFORM_BITS + 1))
    return component, min(max(remainder, LEAST_REMAINDER), 1 - LEAST_REMAINDER)


@njit(error_model="numpy")
def _gaussian_quantile(place):
    """Returns the value below which a standard Gaussian has a share `place`, to 1e-15."""
    offset = place - 0.5
    if abs(offset) <= 0.425:
        return offset * _ratio(MIDDLE, 0.180625 - offset * offset)
    depth = math.sqrt(-math.log(place if offset < 0 else 1 - place))
    value = _ratio(FLANK, depth - 1.6) if depth <= 5 else _ratio(TAIL, depth - 5)
    return -value if offset < 0 else value


@njit(error_model="numpy")
def _ratio(coefficients, x):
    """Returns the quotient of two polynomials."""
    above, below = 0.0, 0.0
    for power in range(7, -1, -1):
        above = above * x + coefficients[0][power]
        below = below * x + coefficients[1][power]
    return above / below
