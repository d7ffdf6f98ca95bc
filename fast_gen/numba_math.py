"""tanh, sigmoid and exp that a compiler can vectorise, of stated greatest error; imports numba.

A call of the C library takes 20 ns for each element, which would be a third of the time of a sample. Here exp(x) is
2^n x exp(r) with |r| <= ln(2) / 2 and a Taylor polynomial for exp(r); n is found by adding a constant so large that
the sum has no fraction left, which leaves n in the low bits of the sum (Cody and Waite 1980, "Software Manual for the
Elementary Functions", chapter 6, has the reduction).
"""

import math

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic


@intrinsic  # type: ignore[misc]
def multiply_add(typing, a, b, c):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201, ARG001
    """Returns a x b + c of three floats, rounded once where the machine can do so."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, ARG001
        kind = arguments[0].type
        function = builder.module.declare_intrinsic("llvm.fmuladd", (kind,), ir.FunctionType(kind, [kind] * 3))
        return builder.call(function, arguments)

    return a(a, a, a), generate


_LOG2_E32, _LOG2_E64 = np.float32(math.log2(math.e)), math.log2(math.e)
_ROUNDER32, _ROUNDER64 = np.float32(1.5 * 2**23), 1.5 * 2**52
# ln(2) in two parts, the first of so few digits that n times it is exact
_LN2_HIGH32 = np.float32(round(math.log(2) * 2**15) / 2**15)
_LN2_LOW32 = np.float32(math.log(2) - float(_LN2_HIGH32))
_LN2_HIGH64 = round(math.log(2) * 2**40) / 2**40
_LN2_LOW64 = 6.931471805599453094172321e-1 - _LN2_HIGH64
