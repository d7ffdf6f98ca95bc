"""From a distribution to the next 16-bit samples on a GPU, as `fast_gen.engines.sampling.pick_logistics` defines it.

Imports triton.
"""

# mypy: ignore-errors
# Types are Triton's here: it infers them from the call. A number beside a tensor takes the tensor's type, float64 too,
# but as an argument of a function it is a float32; so limits that are no float32 are set by `tl.where`.

import triton
import triton.language as tl

from fast_gen.engines import gaussian_quantile, sampling
from wavenet_app import coding
from wavenet_app.heads import Rule

_LOGISTICS = tl.constexpr(int(Rule.LOGISTICS))
_STEP = tl.constexpr(coding.STEP)
_LEAST_SCALE = tl.constexpr(coding.LEAST_SCALE)
_GREATEST_LOG_SCALE = tl.constexpr(coding.GREATEST_LOG_SCALE)
_LOWEST = tl.constexpr(coding.SixteenBitCoding.lowest)
_HIGHEST = tl.constexpr(coding.SixteenBitCoding.lowest + coding.SixteenBitCoding.size - 1)
_HALF_UNIFORM = tl.constexpr(sampling.HALF_UNIFORM)
_LEAST_REMAINDER = tl.constexpr(sampling.LEAST_REMAINDER)
_MIDDLE = tl.constexpr(gaussian_quantile.MIDDLE)
_FLANK = tl.constexpr(gaussian_quantile.FLANK)


@triton.jit
def from_newest(outputs, newest, FIRST_MEAN: tl.constexpr, AFTER_MEANS: tl.constexpr):
    """Returns outputs with the newest samples added to the means.

    Args:
        outputs: float32 (rows, Q), of the last layer.
        newest: int32 (rows,).
        FIRST_MEAN: the first output that is a mean, see `wavenet_app.heads.Head.means`.
        AFTER_MEANS: the output after the last mean, where the logarithms of the scales begin.
    """
    place = tl.arange(0, outputs.shape[1])[None, :]
    is_mean = (place >= FIRST_MEAN) & (place < AFTER_MEANS)
    return tl.where(is_mean, outputs + newest.to(tl.float32)[:, None] * _STEP, outputs)


@triton.jit
def pick_samples(
    outputs,
    uniforms,
    temperature,
    RULE: tl.constexpr,
    FIRST_MEAN: tl.constexpr,
    AFTER_MEANS: tl.constexpr,
    GREEDY: tl.constexpr,
):
    """Returns one 16-bit sample for each row, int32.

    Args:
        outputs: float32 (rows, Q), as `from_newest` returns them.
        uniforms: float32 (rows,).
        temperature: float64, as in `SamplingSettings`; not 0.
        RULE: number of `Rule.LOGISTICS` or `Rule.GAUSSIAN`.
        FIRST_MEAN: as in `from_newest`, and so is AFTER_MEANS.
        GREEDY: whether the temperature is 0, so that neither it nor a uniform number counts.
    """
    component = tl.zeros([outputs.shape[0]], tl.int32)
    share = uniforms.to(tl.float64) + _HALF_UNIFORM
    if RULE == _LOGISTICS:
        component, share = _components(outputs, share, temperature, AFTER_MEANS - FIRST_MEAN, GREEDY)
    value = _column(outputs, FIRST_MEAN + component).to(tl.float64)
    if not GREEDY:
        log_scale = _column(outputs, AFTER_MEANS + component).to(tl.float64)
        scale = temperature * (tl.exp(tl.minimum(log_scale, _GREATEST_LOG_SCALE)) + _LEAST_SCALE)
        if RULE == _LOGISTICS:
            value += scale * (tl.log(share) - tl.log(1 - share))
        else:
            value += scale * _gaussian_quantile(share)
    sample = tl.floor(value / _STEP + 0.5)
    return tl.minimum(tl.maximum(sample, _LOWEST), _HIGHEST).to(tl.int32)


@triton.jit
def _components(outputs, shares, temperature, COUNT: tl.constexpr, GREEDY: tl.constexpr):
    """Returns a component of each row's mixture, int32 (rows,), and what is left of its uniform number."""
    place = tl.arange(0, outputs.shape[1])[None, :]
    logits = tl.where(place < COUNT, outputs, float("-inf"))
    greatest = tl.max(logits, axis=1)[:, None]
    if GREEDY:
        component = tl.min(tl.where(logits == greatest, place, COUNT - 1), axis=1)
    else:
        weights = tl.exp((logits.to(tl.float64) - greatest.to(tl.float64)) / temperature)
        cumulative = tl.cumsum(weights, axis=1)
        targets = shares * tl.max(cumulative, axis=1)
        # A parallel sum may round differently at a component of no weight, by which nothing can be divided.
        passed = (cumulative > targets[:, None]) & (weights > 0.0)
        component = tl.min(tl.where(passed, place, COUNT - 1), axis=1)
        weight = _column(weights, component)
        shares = (targets - (_column(cumulative, component) - weight)) / weight
        shares = tl.where(shares < _LEAST_REMAINDER, _LEAST_REMAINDER, shares)
        shares = tl.where(shares > 1 - _LEAST_REMAINDER, 1 - _LEAST_REMAINDER, shares)
    return component, shares


@triton.jit
def _column(values, places):
    """Returns the number at a place of each row; both are rows first."""
    own = tl.arange(0, values.shape[1])[None, :] == places[:, None]
    return tl.sum(tl.where(own, values, 0.0), axis=1)


@triton.jit
def _gaussian_quantile(share):
    """Returns the value below which a standard Gaussian has a share, of at least 2^-25: the far tail is not needed."""
    offset = share - 0.5
    middle = offset * _ratio(0.180625 - offset * offset, _MIDDLE)
    depth = tl.sqrt(-tl.log(tl.where(offset < 0, share, 1 - share)))
    flank = _ratio(depth - 1.6, _FLANK)
    return tl.where(tl.abs(offset) <= 0.425, middle, tl.where(offset < 0, -flank, flank))


@triton.jit
def _ratio(x, COEFFICIENTS: tl.constexpr):
    """Returns the quotient of two polynomials."""
    above = tl.zeros_like(x)
    below = tl.zeros_like(x)
    for power in tl.static_range(7, -1, -1):
        above = above * x + COEFFICIENTS[0][power]
        below = below * x + COEFFICIENTS[1][power]
    return above / below
