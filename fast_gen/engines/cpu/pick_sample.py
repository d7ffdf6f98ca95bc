"""From one clip's outputs to its next 16-bit sample, compiled: what `fast_gen.engines.sampling.pick_logistics` defines.

Imports numba.
"""

# mypy: ignore-errors
# Types are numba's here: it infers them from the call.

import math

import numpy as np
from numba import njit

from fast_gen.engines.gaussian_quantile import FLANK, MIDDLE, TAIL
from fast_gen.engines.sampling import HALF_UNIFORM, LEAST_REMAINDER
from wavenet_app.coding import GREATEST_LOG_SCALE, LEAST_SCALE, STEP, SixteenBitCoding

_LOWEST = SixteenBitCoding.lowest
_HIGHEST = SixteenBitCoding.lowest + SixteenBitCoding.size - 1


@njit(error_model="numpy")
def pick_sample(outputs, is_mixture, uniform, temperature, weights):
    """Returns the next sample.

    Args:
        outputs: float32 (at least output_channels,).
        is_mixture: whether they are a mixture of logistics, else of one Gaussian.
        uniform: float32, at least 0 and less than 1.
        temperature: as in `SamplingSettings`.
        weights: float64 (output_channels,), written over.
    """
    place = np.float64(uniform) + HALF_UNIFORM
    if is_mixture:
        count = len(weights) // 3
        component, place = _component(outputs, count, place, temperature, weights)
        mean, log_scale = outputs[count + component], outputs[2 * count + component]
        quantile = math.log(place) - math.log1p(-place)
    else:
        mean, log_scale = outputs[0], outputs[1]
        quantile = _gaussian_quantile(place)
    scale = temperature * (LEAST_SCALE + math.exp(min(np.float64(log_scale), GREATEST_LOG_SCALE)))
    sample = math.floor((np.float64(mean) + scale * quantile) / STEP + 0.5)
    return int(min(max(sample, _LOWEST), _HIGHEST))


@njit(error_model="numpy")
def _component(logits, count, place, temperature, weights):
    """Returns a component of a mixture, and what is left of the uniform number."""
    greatest = logits[0]
    for component in range(count):
        greatest = max(greatest, logits[component])
    if temperature == 0:
        for component in range(count):
            if logits[component] == greatest:
                return component, place
        return 0, place
    total = 0.0
    for component in range(count):
        weights[component] = math.exp((np.float64(logits[component]) - np.float64(greatest)) / temperature)
        total += weights[component]
    target, before = place * total, 0.0
    for component in range(count):
        if component + 1 == count or before + weights[component] > target:
            left = (target - before) / weights[component]
            return component, min(max(left, LEAST_REMAINDER), 1 - LEAST_REMAINDER)
        before += weights[component]
    return 0, place


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
