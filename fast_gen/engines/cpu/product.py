"""The product of a few rows with a packed matrix, as vector operations that LLVM lowers to any machine; imports numba.

Plain loops would keep the running sums in memory. Here they stay in registers: 64 for each row, and four rows that
share each weight where there are registers enough. An output is the same to the bit however many rows are computed
with it, since its own additions, and their order, do not depend on the others.

Each array of packed weights has one type, and with it go the arithmetic and how `ready_rows` lays out the inputs:

- float32: multiplied and added as they are.
- uint16, the upper half of a float32: made one by a shift or a mask, then the same.
- int8: inputs become bytes too, each row by a scale of its own; the sums are exact integers, until two factors, one
  for the output and one for the row, make them floats again.
"""

# mypy: ignore-errors
# ruff: noqa: ARG001 - numba fixes the arguments of an intrinsic
# Types are numba's here: it infers them from the call.

import llvmlite.binding
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, overload

from fast_gen.engines.cpu.byte_product import HAS_BYTE_PRODUCTS, byte_rows, emit_dot
from fast_gen.engines.cpu.packing import DTYPES, GROUP, LANE_INPUTS, LANES, ROW_HEADER, SCALE_BYTES
from wavenet_app.compiling.vector_math import constant, emit_multiply_add

_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_INT32 = ir.IntType(32)
_INTEGERS = ir.VectorType(_INT32, LANES)
_VECTORS = GROUP // LANES

ROWS_TOGETHER = 4 if llvmlite.binding.get_host_cpu_features().get("avx512f", False) else 1
"""Rows that share a weight in registers: four take 16 registers of 16 floats."""


@intrinsic
def address(typing, array, element):
    """Returns the address of an element of a contiguous array, counted through all axes."""

    def generate(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.ptrtoint(builder.gep(data, [arguments[1]]), arguments[1].type)

    return types.intp(array, types.intp), generate


def _emit_weights(builder, precision, lanes):
    """Emits what the inputs of a lane are multiplied with, one vector after the other."""
    if precision == "bfloat16":
        first = builder.shl(lanes, constant(_INTEGERS, 16))
        second = builder.and_(lanes, constant(_INTEGERS, 0xFFFF0000))
        return [builder.bitcast(bits, _FLOATS) for bits in (first, second)]
    return [builder.bitcast(lanes, _FLOATS) if precision == "float32" else lanes]


def _block(precision, rows, width):
    """Returns a function that adds products to one block of `width` outputs, for a number of rows.

    All that it takes are addresses and, in bytes, the distance from one row to the next: weights; groups of 64 lanes;
    x, x_stride, y, y_stride; for int8 the scales of the outputs and how far behind them their offsets lie. With less
    than 64 outputs there are two or four running sums for each output, which take turns with the lanes of inputs.
    """

    @intrinsic
    def add_block(typing, weights, groups, x, x_stride, y, y_stride, scales, offsets):
        def generate(context, builder, signature, arguments):
            # One compiled body for all callers: seven inlined ones would take the compiler half a minute.
            builder.function.attributes.add("noinline")
            index = arguments[0].type
            weights, groups, x, x_stride, y, y_stride, scales, offsets = arguments
            exact = precision == "int8"
            kind = _INTEGERS if exact else _FLOATS

            def number(value):
                return ir.Constant(index, value)

            def load(start, offset, what):
                place = builder.inttoptr(builder.add(start, number(offset)), what.as_pointer())
                return builder.load(place, align=4)

            def store(value, start, offset):
                place = builder.inttoptr(builder.add(start, number(offset)), value.type.as_pointer())
                builder.store(value, place, align=4)

            def splat(value):
                undefined = ir.Constant(ir.VectorType(value.type, LANES), ir.Undefined)
                vector = builder.insert_element(undefined, value, ir.Constant(_INT32, 0))
                return builder.shuffle_vector(vector, undefined, constant(_INTEGERS, 0))

            lanes = GROUP // width  # lanes of inputs whose weights are in one group
            per_lane = width // LANES
            parts = 2 if precision == "bfloat16" else 1  # vectors that one of packed weights makes
            x_rows = [builder.add(x, builder.mul(x_stride, number(row))) for row in range(rows)]
            y_rows = [builder.add(y, builder.mul(y_stride, number(row))) for row in range(rows)]
            zero = constant(kind, 0)
            firsts = [
                load(y_rows[row], 4 * LANES * vector, kind) if vector < per_lane and not exact else zero
                for row in range(rows)
                for vector in range(_VECTORS)
            ]

            before = builder.block
            body = builder.append_basic_block("groups")
            after = builder.append_basic_block("sums")
            builder.branch(body)
            builder.position_at_end(body)
            count = builder.phi(index)
            sums = [builder.phi(kind) for _ in firsts]
            group_weights = builder.add(weights, builder.mul(count, number(4 * GROUP)))
            vectors = [
                _emit_weights(builder, precision, load(group_weights, 4 * LANES * vector, _INTEGERS))
                for vector in range(_VECTORS)
            ]
            first_input = builder.mul(count, number(4 * lanes * parts))
            results = []
            for row in range(rows):
                start = builder.add(x_rows[row], first_input)
                values = [splat(load(start, 4 * place, kind.element)) for place in range(lanes * parts)]
                for vector in range(_VECTORS):
                    total = sums[row * _VECTORS + vector]
                    for part, weight in enumerate(vectors[vector]):
                        value = values[vector // per_lane * parts + part]
                        if exact:
                            total = emit_dot(builder, total, value, weight, HAS_BYTE_PRODUCTS)
                        else:
                            total = emit_multiply_add(builder, weight, value, total)
                    results.append(total)
            following = builder.add(count, number(1))
            builder.cbranch(builder.icmp_signed("<", following, groups), body, after)
            count.add_incoming(number(0), before)
            count.add_incoming(following, body)
            for total, first, result in zip(sums, firsts, results, strict=True):
                total.add_incoming(first, before)
                total.add_incoming(result, body)

            builder.position_at_end(after)
            add = builder.add if exact else builder.fadd
            for row in range(rows):
                chains = results[row * _VECTORS : (row + 1) * _VECTORS]
                while len(chains) > per_lane:
                    half = len(chains) // 2
                    chains = [add(chains[place], chains[place + half]) for place in range(half)]
                for vector, chain in enumerate(chains):
                    offset = 4 * LANES * vector
                    if exact:
                        chain = builder.sub(chain, load(builder.add(scales, offsets), offset, _INTEGERS))
                        row_scale = splat(load(x_rows[row], -ROW_HEADER, ir.FloatType()))
                        factor = builder.fmul(load(scales, offset, _FLOATS), row_scale)
                        target = load(y_rows[row], offset, _FLOATS)
                        chain = emit_multiply_add(builder, builder.sitofp(chain, _FLOATS), factor, target)
                    store(chain, y_rows[row], offset)
            return context.get_dummy_value()

        return types.void(*[types.intp] * 8), generate

    return add_block


def _product(precision):
    """Returns `add_product` of a precision, without the array that tells it apart."""
    one_by_64, one_by_32, one_by_16 = (_block(precision, 1, width) for width in (64, 32, 16))
    few_by_64, few_by_32, few_by_16 = (_block(precision, ROWS_TOGETHER, width) for width in (64, 32, 16))
    lane_inputs = LANE_INPUTS[precision]

    @njit
    def product(weights, inputs, outputs, first, last, x, y, rows):
        (x_start, x_stride), (y_start, y_stride) = x, y
        width = 64 if outputs % 64 == 0 else 32 if outputs % 32 == 0 else 16
        lanes = inputs // lane_inputs
        groups = lanes * width // 64
        for block in range(first, last):
            w, y_block = weights + 4 * block * lanes * width, y_start + 4 * block * width
            scales, offsets = weights + 4 * lanes * outputs + 4 * block * width, 4 * outputs
            row = 0
            while row < rows:
                together = rows - row >= ROWS_TOGETHER
                x_row, y_row = x_start + row * x_stride, y_block + row * y_stride
                if width == 64:
                    if together:
                        few_by_64(w, groups, x_row, x_stride, y_row, y_stride, scales, offsets)
                    else:
                        one_by_64(w, groups, x_row, x_stride, y_row, y_stride, scales, offsets)
                elif width == 32:
                    if together:
                        few_by_32(w, groups, x_row, x_stride, y_row, y_stride, scales, offsets)
                    else:
                        one_by_32(w, groups, x_row, x_stride, y_row, y_stride, scales, offsets)
                elif together:
                    few_by_16(w, groups, x_row, x_stride, y_row, y_stride, scales, offsets)
                else:
                    one_by_16(w, groups, x_row, x_stride, y_row, y_stride, scales, offsets)
                row += ROWS_TOGETHER if together else 1

    return product


_PRODUCTS = {dtype: _product(precision) for precision, dtype in DTYPES.items()}


def add_product(packed, weights, inputs, outputs, first, last, x, y, rows):
    """Adds x @ matrix to y, for some blocks of the outputs; only for compiled code.

    Args:
        packed: any array of packed weights of the matrix's precision.
        weights: address of a matrix as `packed_matrix` lays it out.
        inputs: padded number of inputs.
        outputs: padded number of outputs.
        first: the first block; each has `block_width(outputs)` outputs.
        last: the one after the last block.
        x: address of the first row of inputs as `ready_rows` returns it, and bytes from one row to the next.
        y: address of the first row of outputs, float32, and bytes from one row to the next.
        rows: their number.
    """
    raise NotImplementedError


@overload(add_product)
def _add_product_of_precision(packed, weights, inputs, outputs, first, last, x, y, rows):
    product = _PRODUCTS[packed.dtype.name]

    def add(packed, weights, inputs, outputs, first, last, x, y, rows):
        product(weights, inputs, outputs, first, last, x, y, rows)

    return add


def ready_rows(packed, x, inputs, rows, greatest, place):
    """Returns rows as a product takes them: address of the first, and bytes from one to the next; for compiled code.

    Args:
        packed: any array of packed weights of the precision.
        x: address of the first row, float32, and bytes from one row to the next.
        inputs: padded number of inputs.
        rows: their number.
        greatest: magnitude that no number exceeds; 0 if that is to be found out for each row.
        place: address of at least `ready_bytes` per row, for precisions that need them.
    """
    raise NotImplementedError


@overload(ready_rows)
def _ready_rows_of_precision(packed, x, inputs, rows, greatest, place):
    if packed.dtype.name == "int8":

        def ready(packed, x, inputs, rows, greatest, place):
            return byte_rows(x, inputs, rows, greatest, place)
    else:

        def ready(packed, x, inputs, rows, greatest, place):
            return x

    return ready


def matrix_bytes(packed, inputs, outputs):
    """Returns the bytes of one packed matrix; only for compiled code."""
    raise NotImplementedError


@overload(matrix_bytes)
def _matrix_bytes_of_precision(packed, inputs, outputs):
    precision = next(precision for precision, dtype in DTYPES.items() if dtype == packed.dtype.name)
    lane_inputs, scale_bytes = LANE_INPUTS[precision], SCALE_BYTES[precision]

    def count(packed, inputs, outputs):
        return 4 * (inputs // lane_inputs) * outputs + scale_bytes * outputs

    return count
