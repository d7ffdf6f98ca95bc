"""From one clip's logits to its next code, compiled: what `fast_gen.engines.sampling.pick` defines; imports numba."""

# mypy: ignore-errors
# Types are numba's here: it infers them from the call.

import numpy as np
from numba import njit

from fast_gen.engines.cpu.activation import exp

_LEAST = -708.0  # exp of it is the least float64 of full precision; what is less likely than that cannot be picked


@njit(error_model="numpy")  # which divides without asking whether it is by zero
def pick_code(logits, uniform, temperature, top_k, top_p, least, weights, order):
    """Returns the next code.

    Args:
        logits: float32 (at least quantization_channels,).
        uniform: float32, at least 0 and less than 1.
        temperature: as in `SamplingSettings`, and so are `top_k` and `top_p`.
        top_k: 0 for all.
        top_p: 1 for all.
        least: the least exponent of a weight, as in `SamplingSettings.least_exponent`.
        weights: float64 (quantization_channels,), written over.
        order: int64 (2, quantization_channels), written over.
    """
    codes = len(weights)
    greatest = logits[0]
    for code in range(codes):
        greatest = max(greatest, logits[code])
    if temperature == 0:
        for code in range(codes):
            if logits[code] == greatest:
                return code
        return 0
    summit, floor = np.float64(greatest), max(least, _LEAST)
    for code in range(codes):
        exponent = (np.float64(logits[code]) - summit) / temperature
        weights[code] = exp(max(exponent, _LEAST)) if exponent >= floor else 0.0
    if top_k > 0 or top_p < 1:
        _leave_out(logits, top_k, top_p, weights, order[0], order[1])
    total = 0.0
    for code in range(codes):
        total += weights[code]
        weights[code] = total
    target = np.float64(uniform) * total
    below = 0
    for code in range(codes):
        below += weights[code] <= target
    return min(below, codes - 1)


@njit
def _leave_out(logits, top_k, top_p, weights, keys, ranking):
    """Sets to zero the weights of the codes that top-k and then top-p leave out."""
    codes = len(weights)
    # An integer that is the lower, the greater the logit; of equal ones the lower code first. Floats of one sign are
    # ordered as their bits are, and adding 0 makes -0 a 0.
    for code in range(codes):
        bits = np.int64(np.float32(logits[code] + np.float32(0)).view(np.int32))
        ascending = bits if bits >= 0 else np.int64(-(2**31)) - bits
        keys[code] = code - ascending * codes
    # Counting the lower keys has no branch to guess wrong, and beats sorting by far.
    for code in range(codes):
        rank = 0
        for other in range(codes):
            rank += keys[other] < keys[code]
        ranking[rank] = code
    kept = min(top_k, codes) if top_k > 0 else codes
    total = 0.0
    for rank in range(kept):
        total += weights[ranking[rank]]
    reached = 0.0
    for rank in range(codes):
        code = ranking[rank]
        if rank >= kept or (rank > 0 and reached >= top_p * total):
            kept = min(kept, rank)
            weights[code] = 0
        reached += weights[code]
