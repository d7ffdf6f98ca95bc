"""From one clip's outputs to its next 16-bit sample, compiled: what `fast_gen.sampling.pick_sample` defines.

Imports numba.
"""

# mypy: ignore-errors
# Types are numba's here: it infers them from the call.

import math

import numpy as np
from numba import njit

from fast_gen.sampling import HALF_UNIFORM, LEAST_REMAINDER
from wavenet_app.coding import GREATEST_LOG_SCALE, LEAST_SCALE, STEP, SixteenBitCoding

_LOWEST = SixteenBitCoding.lowest
_HIGHEST = SixteenBitCoding.lowest + SixteenBitCoding.size - 1

# Wichura 1988, "Algorithm AS 241", routine PPND16: coefficients of numerator and denominator, the constant one first,
# for the middle of the Gaussian, its flanks and its tails.
_MIDDLE = (
    (3.3871328727963666080, 133.14166789178437745, 1971.5909503065514427, 13731.693765509461125, 45921.953931549871457,
     67265.770927008700853, 33430.575583588128105, 2509.0809287301226727),
    (1.0, 42.313330701600911252, 687.18700749205790830, 5394.1960214247511077, 21213.794301586595867,
     39307.895800092710610, 28729.085735721942674, 5226.4952788528545610),
)  # fmt: skip
_FLANK = (
    (1.42343711074968357734, 4.63033784615654529590, 5.76949722146069140550, 3.64784832476320460504,
     1.27045825245236838258, 0.241780725177450611770, 0.0227238449892691845833, 7.74545014278341407640e-4),
    (1.0, 2.05319162663775882187, 1.67638483018380384940, 0.689767334985100004550, 0.148103976427480074590,
     0.0151986665636164571966, 5.47593808499534494600e-4, 1.05075007164441684324e-9),
)  # fmt: skip
_TAIL = (
    (6.65790464350110377720, 5.46378491116411436990, 1.78482653991729133580, 0.296560571828504891230,
     0.0265321895265761230930, 0.00124266094738807843860, 2.71155556874348757815e-5, 2.01033439929228813265e-7),
    (1.0, 0.599832206555887937690, 0.136929880922735805310, 0.0148753612908506148525, 7.86869131145613259100e-4,
     1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15),
)  # fmt: skip


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
        return offset * _ratio(_MIDDLE, 0.180625 - offset * offset)
    depth = math.sqrt(-math.log(place if offset < 0 else 1 - place))
    value = _ratio(_FLANK, depth - 1.6) if depth <= 5 else _ratio(_TAIL, depth - 5)
    return -value if offset < 0 else value


@njit(error_model="numpy")
def _ratio(coefficients, x):
    """Returns the quotient of two polynomials."""
    above, below = 0.0, 0.0
    for power in range(7, -1, -1):
        above = above * x + coefficients[0][power]
        below = below * x + coefficients[1][power]
    return above / below
