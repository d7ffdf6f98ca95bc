"""From logits to the next codes on a GPU: what `fast_gen.engines.sampling.pick` defines; imports triton.

All in integers and single precision: a consumer's GPU has few units of double precision.
"""

# mypy: ignore-errors
# Types are Triton's here: it infers them from the call.

import triton
import triton.language as tl

from fast_gen.engines import pick_weights

_C0, _C1, _C2, _C3, _C4, _C5, _C6 = (tl.constexpr(coefficient) for coefficient in pick_weights.COEFFICIENTS)
_FRACTION_BITS = tl.constexpr(pick_weights.FRACTION_BITS)
_REST_BITS = tl.constexpr(32 - pick_weights.FRACTION_BITS)
_GUARD_BITS = tl.constexpr(pick_weights.GUARD_BITS)
_LOWEST = tl.constexpr(pick_weights.LOWEST)
_SHARE_BITS = tl.constexpr(pick_weights.SHARE_BITS)
_UNIFORM_BITS = tl.constexpr(pick_weights.UNIFORM_BITS)
_UNIFORMS = tl.constexpr(float(2**pick_weights.UNIFORM_BITS))
_UNIT = tl.constexpr(pick_weights.UNIT)
_WEIGHT_BITS = tl.constexpr(pick_weights.UNIT.bit_length())


@triton.jit
def integer_weights(logits, scales):
    """Returns int32 weights (rows, Q) as `fast_gen.engines.pick_weights` defines them.

    Args:
        logits: float32 (rows, Q); minus infinity where there is none.
        scales: float32 (rows,), as in `PickNumbers`.
    """
    scaled = (logits - tl.max(logits, axis=1)[:, None]) * scales[:, None]
    scaled = tl.where(scaled > _LOWEST, scaled, _LOWEST)  # what is not a number fails the comparison
    halvings = (-scaled.to(tl.int32)).to(tl.uint32)
    rest = halvings << _REST_BITS
    total = tl.full(logits.shape, _C6, tl.uint32)
    total = tl.full(logits.shape, _C5, tl.uint32) - tl.umulhi(total, rest)
    total = tl.full(logits.shape, _C4, tl.uint32) - tl.umulhi(total, rest)
    total = tl.full(logits.shape, _C3, tl.uint32) - tl.umulhi(total, rest)
    total = tl.full(logits.shape, _C2, tl.uint32) - tl.umulhi(total, rest)
    total = tl.full(logits.shape, _C1, tl.uint32) - tl.umulhi(total, rest)
    total = tl.full(logits.shape, _C0, tl.uint32) - tl.umulhi(total, rest)
    return (total >> ((halvings >> _FRACTION_BITS) + _GUARD_BITS)).to(tl.int32)


@triton.jit
def pick_codes(
    logits, uniforms, scales, top_k, top_p, least, CODES: tl.constexpr, GREEDY: tl.constexpr, SELECT: tl.constexpr
):
    """Returns one code for each row, int32.

    Args:
        logits: float32 (rows, Q), Q a power of two; minus infinity where there is no code.
        uniforms: float32 (rows,).
        scales: float32 (rows,), as in `PickNumbers`; not 0.
        top_k: int32, at least CODES for all.
        top_p: int32, as in `PickNumbers`.
        least: int32, as in `PickNumbers`.
        CODES: the number of codes.
        GREEDY: whether the temperature is 0, so that none of these numbers count.
        SELECT: whether top-k or top-p is set.
    """
    Q: tl.constexpr = logits.shape[1]
    code = tl.arange(0, Q)[None, :]
    if GREEDY:
        greatest = tl.max(logits, axis=1)[:, None]
        picked = tl.min(tl.where(logits == greatest, code, CODES - 1), axis=1)
    else:
        weights = integer_weights(logits, scales)
        weights = tl.where(weights >= least, weights, 0)
        if SELECT:
            weights = _keep_count(weights, top_k)
            weights = _keep_share(weights, top_p)
        cumulative = tl.cumsum(weights.to(tl.int64), axis=1)
        totals = tl.sum(weights.to(tl.int64), axis=1)
        targets = ((uniforms * _UNIFORMS).to(tl.int64) * totals) >> _UNIFORM_BITS
        # A code that does not exist weighs nothing; the sum rises above the target before it if any logit is a number.
        picked = tl.min(tl.where(cumulative > targets[:, None], code, CODES - 1), axis=1)
        picked = tl.minimum(picked, CODES - 1)
    return picked


@triton.jit
def _keep_count(weights, count):
    """Sets all but the `count` greatest weights of a row to zero; of equal ones the first are kept."""
    # The greatest weight that at least this number of codes reach, bit by bit from above; 0 if there are fewer codes.
    least = tl.zeros([weights.shape[0]], tl.int32)
    for place in range(_WEIGHT_BITS):
        higher = least | (_UNIT >> place)
        reaching = tl.sum((weights >= higher[:, None]).to(tl.int32), axis=1)
        least = tl.where(reaching >= count, higher, least)
    equal = weights == least[:, None]
    left = count - tl.sum((weights > least[:, None]).to(tl.int32), axis=1)
    order = tl.cumsum(equal.to(tl.int32), axis=1)
    return tl.where((weights > least[:, None]) | (equal & (order <= left[:, None])), weights, 0)


@triton.jit
def _keep_share(weights, share):
    """Sets all but the greatest weights of a row to zero, and keeps as many as reach a share of the total."""
    wide = weights.to(tl.int64)
    needed = tl.sum(wide, axis=1) * share
    # The greatest weight of which those that have at least that much reach the share.
    least = tl.zeros([weights.shape[0]], tl.int32)
    for place in range(_WEIGHT_BITS):
        higher = least | (_UNIT >> place)
        reached = tl.sum(tl.where(weights >= higher[:, None], wide, 0), axis=1)
        least = tl.where((reached << _SHARE_BITS) >= needed, higher, least)
    equal = weights == least[:, None]
    before = tl.sum(tl.where(weights > least[:, None], wide, 0), axis=1)
    earlier = (tl.cumsum(equal.to(tl.int32), axis=1) - 1).to(tl.int64) * least.to(tl.int64)[:, None]
    kept = equal & (((before[:, None] + earlier) << _SHARE_BITS) < needed[:, None])
    return tl.where((weights > least[:, None]) | kept, weights, 0)
