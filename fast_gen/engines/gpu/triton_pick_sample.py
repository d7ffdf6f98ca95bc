"""From a distribution to the next 16-bit samples on a GPU, as `fast_gen.engines.sampling.pick_logistics` defines it.

Imports triton.
"""

# mypy: ignore-errors
# Types are Triton's here: it infers them from the call. A number beside a tensor takes the tensor's type, float64 too,
# but as an argument of a function it is a float32; so limits that are no float32 are set by `tl.where`.

import triton
import triton.language as tl

from fast_gen.engines import gaussian_quantile, pick_weights, sampling
from fast_gen.engines.gpu.triton_pick_code import integer_weights
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
_UNIFORMS = tl.constexpr(float(2**pick_weights.UNIFORM_BITS))
_PLACE_BITS = tl.constexpr(pick_weights.UNIFORM_BITS + 1)
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
    temperatures,
    scales,
    RULE: tl.constexpr,
    FIRST_MEAN: tl.constexpr,
    AFTER_MEANS: tl.constexpr,
    GREEDY: tl.constexpr,
):
    """Returns one 16-bit sample for each row, int32.

    Args:
        outputs: float32 (rows, Q), as `from_newest` returns them.
        uniforms: float32 (rows,).
        temperatures: float32 (rows,), as in `PickNumbers`; not 0.
        scales: float32 (rows,), as in `PickNumbers`.
        RULE: number of `Rule.LOGISTICS` or `Rule.GAUSSIAN`.
        FIRST_MEAN: as in `from_newest`, and so is AFTER_MEANS.
        GREEDY: whether the temperature is 0, so that neither it nor a uniform number counts.
    """
    component = tl.zeros([outputs.shape[0]], tl.int32)
    share = uniforms.to(tl.float64) + _HALF_UNIFORM
    if RULE == _LOGISTICS:
        component, share = _components(outputs, uniforms, scales, AFTER_MEANS - FIRST_MEAN, GREEDY)
    value = _column(outputs, FIRST_MEAN + component).to(tl.float64)
    if not GREEDY:
        log_scale = _column(outputs, AFTER_MEANS + component).to(tl.float64)
        width = temperatures.to(tl.float64) * (tl.exp(tl.minimum(log_scale, _GREATEST_LOG_SCALE)) + _LEAST_SCALE)
        if RULE == _LOGISTICS:
            value += width * (tl.log(share) - tl.log(1 - share))
        else:
            value += width * _gaussian_quantile(share)
    sample = tl.floor(value / _STEP + 0.5)
    return tl.minimum(tl.maximum(sample, _LOWEST), _HIGHEST).to(tl.int32)


@triton.jit
def _components(outputs, uniforms, scales, COUNT: tl.constexpr, GREEDY: tl.constexpr):
    """Returns a component of each row's mixture, int32 (rows,), and what is left of its uniform number, float64."""
    place = tl.arange(0, outputs.shape[1])[None, :]
    logits = tl.where(place < COUNT, outputs, float("-inf"))
    share = uniforms.to(tl.float64)
    if GREEDY:
        greatest = tl.max(logits, axis=1)[:, None]
        component = tl.min(tl.where(logits == greatest, place, COUNT - 1), axis=1)
    else:
        weights = integer_weights(logits, scales).to(tl.int64)
        # in units of HALF_UNIFORM, and so is all that follows
        targets = (2 * (uniforms * _UNIFORMS).to(tl.int64) + 1) * tl.sum(weights, axis=1)
        weights = weights << _PLACE_BITS
        sums = tl.cumsum(weights, axis=1)
        component = tl.min(tl.where(sums > targets[:, None], place, COUNT - 1), axis=1)
        weight = _column(weights, component)
        left = targets - (_column(sums, component) - weight)
        share = left.to(tl.float64) / weight.to(tl.float64)
        share = tl.where(share < _LEAST_REMAINDER, _LEAST_REMAINDER, share)
        share = tl.where(share > 1 - _LEAST_REMAINDER, 1 - _LEAST_REMAINDER, share)
    return component, share


@triton.jit
def _column(values, places):
    """Returns the number at a place of each row; both are rows first."""
    own = tl.arange(0, values.shape[1])[None, :] == places[:, None]
    return tl.sum(tl.where(own, values, 0), axis=1)


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
