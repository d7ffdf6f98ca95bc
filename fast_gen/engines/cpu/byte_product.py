"""Rows of floats as bytes, and the exact product of bytes; imports numba.

A row is divided by its greatest magnitude / 127 and rounded, and 128 is added, so that its bytes have no sign: that is
what processors multiply with signed weights. What the 128 add to each sum, 128 x the sum of the output's weights, is
the same for every row, and is subtracted afterwards.
"""

# mypy: ignore-errors
# ruff: noqa: ARG001 - numba fixes the arguments of an intrinsic
# Types are numba's here: it infers them from the call.

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from fast_gen.engines.cpu.packing import BYTE_LIMIT, BYTE_OFFSET, LANES, ROW_HEADER
from wavenet_app.compiling.vector_math import constant, emit_multiply_add

HAS_BYTE_PRODUCTS = bool(llvmlite.binding.get_host_cpu_features().get("avx512vnni", False))
"""Whether this processor multiplies and adds four bytes at once, 16 times; if not, pairs of 16 bits are used."""

_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_INTEGERS = ir.VectorType(ir.IntType(32), LANES)
_HALVES = ir.VectorType(ir.IntType(16), 2 * LANES)
_ROUNDER = 1.5 * 2.0**23  # a float32 so large that it has no fraction: adding it rounds


def emit_dot(builder, total, x, weights, byte_products):
    """Emits total + the four products in each lane: x has bytes without a sign, `weights` with one. It is exact."""
    if byte_products:
        function_type = ir.FunctionType(_INTEGERS, [_INTEGERS] * 3)
        function = cgutils.get_or_insert_function(builder.module, function_type, "llvm.x86.avx512.vpdpbusd.512")
        return builder.call(function, (total, x, weights))
    eight = constant(_HALVES, 8)
    x, weights = builder.bitcast(x, _HALVES), builder.bitcast(weights, _HALVES)
    low = _emit_pairs(
        builder, builder.and_(x, constant(_HALVES, 255)), builder.ashr(builder.shl(weights, eight), eight)
    )
    high = _emit_pairs(builder, builder.lshr(x, eight), builder.ashr(weights, eight))
    return builder.add(total, builder.add(low, high))


def _emit_pairs(builder, a, b):
    """Emits the sum of two products of 16 bits for each lane, in the form in which LLVM knows it as one instruction."""
    undefined = ir.Constant(_HALVES, ir.Undefined)
    products = []
    for odd in (0, 1):
        places = ir.Constant(_INTEGERS, [2 * lane + odd for lane in range(LANES)])
        factors = [builder.sext(builder.shuffle_vector(side, undefined, places), _INTEGERS) for side in (a, b)]
        products.append(builder.mul(*factors))
    return builder.add(*products)


def _emit_place(builder, start, offset, kind):
    return builder.inttoptr(builder.add(start, offset), kind.as_pointer())


@intrinsic
def _greatest_magnitude(typing, x, inputs):
    """Returns the greatest magnitude of a row of floats, given its address."""

    def generate(context, builder, signature, arguments):
        start, inputs = arguments
        function_type = ir.FunctionType(_FLOATS, [_FLOATS])
        magnitude = cgutils.get_or_insert_function(builder.module, function_type, "llvm.fabs.v16f32")

        def larger(a, b):
            return builder.select(builder.fcmp_ordered(">", a, b), a, b)

        greatest = cgutils.alloca_once_value(builder, constant(_FLOATS, 0.0))
        lanes = ir.Constant(inputs.type, LANES)
        with cgutils.for_range_slice(builder, ir.Constant(inputs.type, 0), inputs, lanes) as (offset, _):
            byte = builder.mul(offset, ir.Constant(inputs.type, 4))
            values = builder.load(_emit_place(builder, start, byte, _FLOATS), align=4)
            builder.store(larger(builder.call(magnitude, [values]), builder.load(greatest)), greatest)
        vector = builder.load(greatest)
        undefined = ir.Constant(_FLOATS, ir.Undefined)
        half = LANES // 2
        while half:
            places = ir.Constant(_INTEGERS, [(lane + half) % LANES for lane in range(LANES)])
            vector = larger(vector, builder.shuffle_vector(vector, undefined, places))
            half //= 2
        return builder.extract_element(vector, ir.Constant(ir.IntType(32), 0))

    return types.float32(types.intp, types.intp), generate


@intrinsic
def _write_bytes(typing, x, inputs, place, factor):
    """Writes round(x * factor) + 128 of a row of floats, given addresses."""

    def generate(context, builder, signature, arguments):
        start, inputs, place, factor = arguments
        undefined = ir.Constant(_FLOATS, ir.Undefined)
        factors = builder.insert_element(undefined, factor, ir.Constant(ir.IntType(32), 0))
        factors = builder.shuffle_vector(factors, undefined, constant(_INTEGERS, 0))
        rounder = constant(_FLOATS, _ROUNDER + BYTE_OFFSET)
        lanes, bytes_ = ir.Constant(inputs.type, LANES), ir.VectorType(ir.IntType(8), LANES)
        with cgutils.for_range_slice(builder, ir.Constant(inputs.type, 0), inputs, lanes) as (offset, _):
            byte = builder.mul(offset, ir.Constant(inputs.type, 4))
            values = builder.load(_emit_place(builder, start, byte, _FLOATS), align=4)
            rounded = builder.bitcast(emit_multiply_add(builder, values, factors, rounder), _INTEGERS)
            builder.store(builder.trunc(rounded, bytes_), _emit_place(builder, place, offset, bytes_), align=1)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp, types.float32), generate


@intrinsic
def _write_float(typing, place, value):
    """Writes a float32 at an address."""

    def generate(context, builder, signature, arguments):
        builder.store(arguments[1], builder.inttoptr(arguments[0], ir.FloatType().as_pointer()))
        return context.get_dummy_value()

    return types.void(types.intp, types.float32), generate


@njit(error_model="numpy")
def byte_rows(x, inputs, rows, greatest, place):
    """Writes rows of floats as bytes, each after its scale; takes and returns what `ready_rows` does."""
    x_start, x_stride = x
    stride = ROW_HEADER + inputs
    for row in range(rows):
        x_row, row_place = x_start + row * x_stride, place + row * stride
        largest = np.float32(greatest)
        if greatest == 0:
            largest = max(_greatest_magnitude(x_row, inputs), np.float32(1e-30))  # so that the scale has an inverse
        _write_float(row_place, largest / np.float32(BYTE_LIMIT))
        _write_bytes(x_row, inputs, row_place + ROW_HEADER, np.float32(BYTE_LIMIT) / largest)
    return place + ROW_HEADER, stride
