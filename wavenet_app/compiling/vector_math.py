"""Multiply-add and exp as operations that LLVM lowers to vectors of any machine, of stated greatest error.

A call of the C library takes some 20 ns for each element. Here exp(x) = 2^n x exp(r) with |r| <= ln(2) / 2, and a
Taylor polynomial for exp(r). n is found by adding a constant so large that the sum has no fraction left, and n in its
lowest bits (Cody and Waite 1980, "Software Manual for the Elementary Functions", chapter 6). Imports llvmlite, which
comes with numba.
"""

# mypy: ignore-errors

import math
from dataclasses import dataclass

from llvmlite import ir
from numba.core import cgutils

EXP_ERRORS = {"float32": 2e-7, "float64": 5e-16}
"""Greatest relative error of exp."""

_LOG2_E = math.log2(math.e)


@dataclass(frozen=True)
class _Kind:
    """What exp needs to know of a floating type.

    Attributes:
        bits: width of the type.
        fraction: bits of its significand that are stored.
        bias: of its exponent.
        degree: of the polynomial.
        high: ln(2) in so few digits that n times it is exact.
        low: the rest of ln(2).
    """

    bits: int
    fraction: int
    bias: int
    degree: int
    high: float
    low: float


_KINDS = {
    "float": _Kind(32, 23, 127, 7, 22713 / 2**15, 1.4286068203094173e-06),
    "double": _Kind(64, 52, 1023, 13, 762123384786 / 2**40, -1.7239444525614835e-13),
}


def constant(kind: ir.Type, value: float) -> ir.Constant:
    """Returns a number as a constant of a scalar or vector type."""
    if isinstance(kind, ir.VectorType):
        return ir.Constant(kind, [value] * kind.count)
    return ir.Constant(kind, value)


def emit_multiply_add(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
    """Emits a x b + c, rounded once where the machine can, of scalars or vectors."""
    kind = a.type
    element = kind.element if isinstance(kind, ir.VectorType) else kind
    name = f"{f'v{kind.count}' if kind is not element else ''}f{_KINDS[str(element)].bits}"
    function_type = ir.FunctionType(kind, [kind] * 3)
    function = cgutils.get_or_insert_function(builder.module, function_type, f"llvm.fmuladd.{name}")
    return builder.call(function, (a, b, c))


def emit_exp(builder: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """Emits exp(x) of scalars or vectors, for -87 <= x <= 88 in float32 and -708 <= x <= 709 in float64."""
    element = x.type.element if isinstance(x.type, ir.VectorType) else x.type
    kind = _KINDS[str(element)]
    integer: ir.Type = ir.IntType(kind.bits)
    if element is not x.type:
        integer = ir.VectorType(integer, x.type.count)
    rounder = constant(x.type, 1.5 * 2.0**kind.fraction)
    shifted = emit_multiply_add(builder, x, constant(x.type, _LOG2_E), rounder)
    minus_n = builder.fsub(rounder, shifted)
    r = emit_multiply_add(builder, minus_n, constant(x.type, kind.high), x)
    r = emit_multiply_add(builder, minus_n, constant(x.type, kind.low), r)
    total = constant(x.type, 1 / math.factorial(kind.degree))
    for power in range(kind.degree - 1, -1, -1):
        total = emit_multiply_add(builder, total, r, constant(x.type, 1 / math.factorial(power)))
    exponent = builder.add(builder.bitcast(shifted, integer), constant(integer, kind.bias))
    two_to_n = builder.bitcast(builder.shl(exponent, constant(integer, kind.fraction)), x.type)
    return builder.fmul(total, two_to_n)
