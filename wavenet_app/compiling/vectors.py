"""Sixteen float32 side by side as a type of numba's: load, arithmetic, exp, store; imports numba.

Left to itself LLVM must prove, before each short row of channels, that no array overlaps another, and takes the rows
of several arrays one by one where it cannot. With a vector as a type, a kernel says itself what is done at once, and
the order of every addition. Arrays hold float32, or bfloat16 as the uint16 that is its upper half.
"""

# mypy: ignore-errors
# ruff: noqa: ARG001 - numba fixes the arguments of an intrinsic
# Types are numba's here: it infers them from the call.

import operator

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

from wavenet_app.compiling.vector_math import constant, emit_exp, emit_multiply_add

LANES = 16
"""Numbers in a vector: a register of AVX-512, two of AVX2, four of NEON."""

_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_WORDS = ir.VectorType(ir.IntType(32), LANES)
_BOUND = 42.0


class VectorType(types.Type):
    """Numba's name for a vector."""

    def __init__(self) -> None:
        super().__init__("float32_vector")


@register_model(VectorType)
class VectorModel(models.PrimitiveModel):
    """A vector is LLVM's own."""

    def __init__(self, dmm, fe_type) -> None:
        super().__init__(dmm, fe_type, _FLOATS)


vector = VectorType()

_INSTRUCTIONS = {
    operator.add: "fadd",
    operator.iadd: "fadd",
    operator.sub: "fsub",
    operator.mul: "fmul",
    operator.truediv: "fdiv",
}

for _operator, _instruction in _INSTRUCTIONS.items():

    @infer_global(_operator)
    class _OfVectors(ConcreteTemplate):
        cases = (signature(vector, vector, vector),)

    @lower_builtin(_operator, vector, vector)
    def _lower(context, builder, sig, arguments, instruction=_instruction):
        return getattr(builder, instruction)(*arguments)


@intrinsic
def splat(typing, value):
    """Returns a vector whose lanes all hold the same float32."""

    def generate(context, builder, sig, arguments):
        number = context.cast(builder, arguments[0], sig.args[0], types.float32)
        first = builder.insert_element(ir.Constant(_FLOATS, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(_WORDS, [0] * LANES)
        return builder.shuffle_vector(first, ir.Constant(_FLOATS, ir.Undefined), zeros)

    return vector(value), generate


@intrinsic
def multiply_add(typing, a, b, c):
    """Returns a x b + c, rounded once where the machine can."""

    def generate(context, builder, sig, arguments):
        return emit_multiply_add(builder, *arguments)

    return vector(vector, vector, vector), generate


@intrinsic
def exp_minus(typing, x):
    """Returns exp(-x), and that of the nearest bound where x lies beyond ±42; nan where x is.

    The bound is where the product of two such numbers still is a float32, and a sigmoid off by less than 1e-18.
    """

    def generate(context, builder, sig, arguments):
        (x,) = arguments
        for comparison, bound in ((">", _BOUND), ("<", -_BOUND)):
            limit = constant(_FLOATS, bound)
            x = builder.select(builder.fcmp_ordered(comparison, x, limit), limit, x)
        return emit_exp(builder, builder.fneg(x))

    return vector(vector), generate


@intrinsic
def load(typing, array, place, count):
    """Returns some numbers from a place of a contiguous array on, counted through all axes, as float32.

    Args:
        typing: given by numba.
        array: of float32, or uint16 that stands for bfloat16.
        place: of the first one.
        count: how many there are; with less than `LANES` the other lanes are zero, with more the rest is ignored.
    """

    def generate(context, builder, sig, arguments):
        return _widened(builder, _read(context, builder, sig, arguments))

    return vector(array, types.intp, types.intp), generate


@intrinsic
def store(typing, array, place, count, value):
    """Writes the first lanes of a vector where `load` would read them, rounded to the nearest, ties to even."""

    def generate(context, builder, sig, arguments):
        _write(context, builder, sig, arguments, _narrowed(builder, arguments[3], sig.args[0]))
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, vector), generate


@intrinsic
def rounded(typing, array, value):
    """Returns what `load` would read after `store` wrote a vector into an array of this type."""

    def generate(context, builder, sig, arguments):
        return _widened(builder, _narrowed(builder, arguments[1], sig.args[0]))

    return vector(array, vector), generate


@intrinsic
def copy(typing, target, target_place, source, source_place, count):
    """Copies what `load` would read to where `store` would write; both arrays are of one type."""

    def generate(context, builder, sig, arguments):
        numbers = _read(context, builder, _Part(sig.args[2:5]), arguments[2:5])
        _write(context, builder, sig, [*arguments[:2], arguments[4]], numbers)
        return context.get_dummy_value()

    return types.void(target, types.intp, target, types.intp, types.intp), generate


class _Part:
    """Some of a signature's arguments."""

    def __init__(self, args) -> None:
        self.args = args


def _raw(context, array):
    """Returns the vector of LLVM's that holds what is in an array."""
    return ir.VectorType(context.get_data_type(array.dtype), LANES)


def _address(context, builder, sig, arguments):
    data = context.make_array(sig.args[0])(context, builder, arguments[0]).data
    return builder.gep(data, [arguments[1]])


def _is_whole(builder, count):
    return builder.icmp_signed(">=", count, ir.Constant(count.type, LANES))


def _read(context, builder, sig, arguments):
    kind = _raw(context, sig.args[0])
    start, count = _address(context, builder, sig, arguments), arguments[2]
    size = context.get_abi_sizeof(kind.element)
    # the rest of a row goes by way of a copy, for no machine but the largest reads a part of a vector
    whole = cgutils.alloca_once(builder, kind)
    with builder.if_else(_is_whole(builder, count), likely=True) as (all_of_it, the_rest):
        with all_of_it:
            direct = builder.load(builder.bitcast(start, kind.as_pointer()), align=size)
            after_direct = builder.block
        with the_rest:
            builder.store(ir.Constant(kind, None), whole)
            cgutils.raw_memcpy(builder, builder.bitcast(whole, start.type), start, count, size)
            rest = builder.load(whole)
            after_rest = builder.block
    numbers = builder.phi(kind)
    numbers.add_incoming(direct, after_direct)
    numbers.add_incoming(rest, after_rest)
    return numbers


def _write(context, builder, sig, arguments, numbers) -> None:
    start, count = _address(context, builder, sig, arguments), arguments[2]
    size = context.get_abi_sizeof(numbers.type.element)
    whole = cgutils.alloca_once(builder, numbers.type)
    with builder.if_else(_is_whole(builder, count), likely=True) as (all_of_it, the_rest):
        with all_of_it:
            builder.store(numbers, builder.bitcast(start, numbers.type.as_pointer()), align=size)
        with the_rest:
            builder.store(numbers, whole)
            cgutils.raw_memcpy(builder, start, builder.bitcast(whole, start.type), count, size)


def _widened(builder, numbers):
    if numbers.type == _FLOATS:
        return numbers
    words = builder.shl(builder.zext(numbers, _WORDS), constant(_WORDS, 16))
    return builder.bitcast(words, _FLOATS)


def _narrowed(builder, value, array):
    if array.dtype == types.float32:
        return value
    words = builder.bitcast(value, _WORDS)
    sixteen, one = constant(_WORDS, 16), constant(_WORDS, 1)
    odd = builder.and_(builder.lshr(words, sixteen), one)
    upper = builder.lshr(builder.add(words, builder.add(odd, constant(_WORDS, 0x7FFF))), sixteen)
    # rounding would carry a nan into infinity or zero
    upper = builder.select(builder.fcmp_unordered("uno", value, value), constant(_WORDS, 0x7FC0), upper)
    return builder.trunc(upper, ir.VectorType(ir.IntType(16), LANES))
