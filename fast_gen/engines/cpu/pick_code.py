"""From one clip's logits to its next code, compiled: what `fast_gen.engines.sampling.pick` defines; imports numba."""

# mypy: ignore-errors
# Types are numba's here: it infers them from the call.

import numpy as np
from numba import njit

from fast_gen.engines.pick_weights import (
    COEFFICIENTS,
    FRACTION_BITS,
    GUARD_BITS,
    LOWEST,
    SHARE_BITS,
    UNIFORM_BITS,
    UNIT,
)

_LOWEST = np.float32(LOWEST)
_C0, _C1, _C2, _C3, _C4, _C5, _C6 = (np.uint64(coefficient) for coefficient in COEFFICIENTS)
_WORD = np.uint64(32)
_WEIGHT_BITS = UNIT.bit_length()


@njit
def greatest_logit(logits, count):
    """Returns the greatest of the first logits; none may be greater than what is not a number."""
    # Integers in the order of the floats, whose maximum the compiler takes many at a time.
    greatest = np.int32(-(2**31))
    for code in range(count):
        greatest = max(greatest, _ordered(np.float32(logits[code]).view(np.int32)))
    return np.int32(_ordered(greatest)).view(np.float32)


@njit
def _ordered(bits):
    """Returns the bits of a float32 as an integer of the same order, and back."""
    return np.int32(bits ^ ((bits >> np.int32(31)) & np.int32(2**31 - 1)))


@njit(error_model="numpy")
def first_greatest(logits, count):
    """Returns the place of the greatest of the first logits, the first of equal ones; 0 if none is a number."""
    greatest = greatest_logit(logits, count)
    for code in range(count):
        if logits[code] == greatest:
            return code
    return 0


@njit(error_model="numpy")
def set_weights(logits, scale, weights):
    """Writes the integer weight of each logit; see `fast_gen.engines.pick_weights`.

    Args:
        logits: float32 (at least as many as weights,).
        scale: float32, as in `PickNumbers`.
        weights: int64, written over.
    """
    greatest = greatest_logit(logits, len(weights))
    for place in range(len(weights)):
        scaled = (logits[place] - greatest) * scale
        halvings = np.uint32(np.int32(-(scaled if scaled > _LOWEST else _LOWEST)))
        rest = np.uint64(np.uint32(halvings << np.uint32(32 - FRACTION_BITS)))
        # Both factors of each product lie below 2^32, which a processor multiplies faster than any two of 64 bits.
        total = _C5 - ((_C6 * rest) >> _WORD)
        total = _C4 - ((total * rest) >> _WORD)
        total = _C3 - ((total * rest) >> _WORD)
        total = _C2 - ((total * rest) >> _WORD)
        total = _C1 - ((total * rest) >> _WORD)
        total = _C0 - ((total * rest) >> _WORD)
        weights[place] = total >> np.uint64((halvings >> np.uint32(FRACTION_BITS)) + np.uint32(GUARD_BITS))


@njit(error_model="numpy")  # which divides without asking whether it is by zero
def pick_code(logits, uniform, scale, top_k, top_p, least, weights):
    """Returns the next code.

    Args:
        logits: float32 (at least quantization_channels,).
        uniform: float32, at least 0 and less than 1.
        scale: float32, as in `PickNumbers`, and so are the next three.
        top_k: 0 for all.
        top_p: 2^`SHARE_BITS` for all.
        least: 0 for all.
        weights: int64 (quantization_channels,), written over.
    """
    codes = len(weights)
    if scale == 0:
        return first_greatest(logits, codes)
    set_weights(logits, scale, weights)
    if least > 0:
        for code in range(codes):
            weights[code] = weights[code] if weights[code] >= least else 0
    if top_k > 0:
        _keep_count(weights, top_k)
    if top_p < 1 << SHARE_BITS:
        _keep_share(weights, top_p)
    total = 0
    for code in range(codes):
        total += weights[code]
    target = (np.int64(uniform * np.float32(1 << UNIFORM_BITS)) * total) >> UNIFORM_BITS
    reached, below = 0, 0
    for code in range(codes):
        reached += weights[code]
        below += reached <= target
    return min(below, codes - 1)


@njit
def _keep_count(weights, count):
    """Sets all but the greatest weights to zero; of equal ones the first are kept."""
    codes = len(weights)
    if count >= codes:
        return
    # The greatest weight that at least this number of codes reach, bit by bit from above.
    least = 0
    for bit in range(_WEIGHT_BITS - 1, -1, -1):
        higher = least | (1 << bit)
        reaching = 0
        for code in range(codes):
            reaching += weights[code] >= higher
        if reaching >= count:
            least = higher
    for code in range(codes):
        count -= weights[code] > least
    for code in range(codes):
        equal = weights[code] == least
        weights[code] = weights[code] if weights[code] > least or (equal and count > 0) else 0
        count -= equal


@njit
def _keep_share(weights, share):
    """Sets all but the greatest weights to zero, and keeps as many as reach a share of the total."""
    codes = len(weights)
    total = 0
    for code in range(codes):
        total += weights[code]
    needed = share * total
    # The greatest weight of which those that have at least that much reach the share.
    least = 0
    for bit in range(_WEIGHT_BITS - 1, -1, -1):
        higher = least | (1 << bit)
        reached = 0
        for code in range(codes):
            reached += weights[code] if weights[code] >= higher else 0
        if reached << SHARE_BITS >= needed:
            least = higher
    reached = 0
    for code in range(codes):
        reached += weights[code] if weights[code] > least else 0
    for code in range(codes):
        equal = weights[code] == least
        kept = weights[code] > least or (equal and reached << SHARE_BITS < needed)
        reached += least if equal else 0
        weights[code] = weights[code] if kept else 0
