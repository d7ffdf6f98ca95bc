"""From logits to the next codes on a GPU: what `fast_gen.engines.sampling.pick` defines; imports triton."""

# mypy: ignore-errors
# Types are Triton's here: it infers them from the call.

import triton
import triton.language as tl


@triton.jit
def pick_codes(logits, uniforms, temperature, top_k, top_p, least, GREEDY: tl.constexpr, SELECT: tl.constexpr):
    """Returns one code for each row, int32.

    Args:
        logits: float32 (rows, Q), Q a power of two; minus infinity where there is no code.
        uniforms: float32 (rows,).
        temperature: float64, as in `SamplingSettings`; not 0.
        top_k: int32, Q for all.
        top_p: float64, 1 for all.
        least: float64, the least exponent of a weight; minus infinity for all.
        GREEDY: whether the temperature is 0, so that none of these numbers count.
        SELECT: whether top-k or top-p is set.
    """
    Q: tl.constexpr = logits.shape[1]
    code = tl.arange(0, Q)[None, :]
    greatest = tl.max(logits, axis=1)[:, None]
    if GREEDY:
        picked = tl.min(tl.where(logits == greatest, code, Q - 1), axis=1)
    else:
        summit = greatest.to(tl.float64)
        weights = _weights(logits, summit, temperature, least)
        if SELECT:
            # An integer that is the greater, the greater the logit, and of equal ones the lower the code. Floats of one
            # sign are ordered as their bits are, and adding 0 makes -0 a 0.
            keys = _ascending(logits + 0.0).to(tl.int64) * Q + (Q - 1 - code)
            ranked = tl.sort(keys, dim=1, descending=True)
            ranked_logits = _logit((ranked >> _bits(Q)).to(tl.int32))
            ranked_weights = tl.where(code < top_k, _weights(ranked_logits, summit, temperature, least), 0.0)
            reached = tl.cumsum(ranked_weights, axis=1)
            before_next = reached < top_p * tl.max(reached, axis=1)[:, None]
            # The first is always kept; each other one if the sum before it is less than the share asked for.
            kept = 1 + tl.sum((before_next & (code + 1 < tl.minimum(top_k, Q))).to(tl.int32), axis=1)
            last = tl.sum(tl.where(code == kept[:, None] - 1, ranked, 0), axis=1)
            weights = tl.where(keys >= last[:, None], weights, 0.0)
        cumulative = tl.cumsum(weights, axis=1)
        targets = uniforms.to(tl.float64)[:, None] * tl.max(cumulative, axis=1)[:, None]
        # A parallel sum may round differently at a code of no weight than at the one before; it must not be picked.
        passed = (cumulative > targets) & (weights > 0.0)
        picked = tl.min(tl.where(passed, code, Q - 1), axis=1)
    return picked


@triton.jit
def _weights(logits, summit, temperature, least):
    """Returns float64 weights of float32 logits; `summit` is the greatest."""
    exponents = (logits.to(tl.float64) - summit) / temperature
    return tl.where(exponents < least, 0.0, tl.exp(exponents))


@triton.jit
def _ascending(logits):
    """Returns int32 in the order of float32, of which none is -0."""
    bits = logits.to(tl.int32, bitcast=True)
    return tl.where(bits >= 0, bits, -2147483648 - bits)


@triton.jit
def _logit(ascending):
    """Returns the float32 that `_ascending` has made an int32 of."""
    bits = tl.where(ascending >= 0, ascending, -2147483648 - ascending)
    return bits.to(tl.float32, bitcast=True)


@triton.constexpr_function
def _bits(size):
    return size.bit_length() - 1
