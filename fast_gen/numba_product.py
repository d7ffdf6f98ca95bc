"""The product of a few rows with a packed matrix, as vector operations that LLVM lowers to any machine; imports numba.

Plain loops would keep the running sums in memory. Here they stay in registers: 64 for each row, and four rows that
share each weight where there are registers enough. An output is the same to the bit however many rows are computed
with it, since its own additions, and their order, do not depend on the others.
"""

# mypy: ignore-errors
# ruff: noqa: ARG001 - numba fixes the arguments of an intrinsic
# Types are numba's here: it infers them from the call.

import llvmlite.binding
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from fast_gen.numba_math import emit_multiply_add
from fast_gen.packing import GROUP, LANES

_VECTOR = ir.VectorType(ir.FloatType(), LANES)
_VECTORS = GROUP // LANES

ROWS_TOGETHER = 4 if llvmlite.binding.get_host_cpu_features().get("avx512f", False) else 1
"""Rows that share a weight in registers: four take 16 registers of 16 floats."""


@intrinsic
def address(typing, array, element):
    """Returns the address of an element of a contiguous float32 array, counted through all axes."""

    def generate(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.ptrtoint(builder.gep(data, [arguments[1]]), arguments[1].type)

    return types.intp(array, types.intp), generate


def _block(rows: int, width: int):
    """Returns a function that adds products to one block of `width` outputs of so many rows.

    It takes addresses of float32, and counts of them: weights; groups of 64 weights; x, x_stride, y, y_stride, where
    a row begins a stride after the one before. With less than 64 outputs there are two or four running sums for each
    output, which take turns with the inputs.
    """

    @intrinsic
    def add_block(typing, weights, groups, x, x_stride, y, y_stride):
        def generate(context, builder, signature, arguments):
            # One compiled body for all callers: seven inlined ones would take the compiler half a minute.
            builder.function.attributes.add("noinline")

            def load_vector(start, offset):
                place = builder.gep(start, [ir.Constant(index, offset)])
                return builder.load(builder.bitcast(place, _VECTOR.as_pointer()), align=4)

            def splat(value):
                vector = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), value, ir.Constant(int32, 0))
                zeros = ir.Constant(ir.VectorType(int32, LANES), [0] * LANES)
                return builder.shuffle_vector(vector, ir.Constant(_VECTOR, ir.Undefined), zeros)

            index, int32 = arguments[1].type, ir.IntType(32)
            inputs = GROUP // width  # inputs whose weights are in one group
            per_input = width // LANES
            floats = ir.FloatType().as_pointer()
            weight_start, x_start, y_start = (builder.inttoptr(arguments[place], floats) for place in (0, 2, 4))
            group_count, x_stride, y_stride = arguments[1], arguments[3], arguments[5]
            x_rows = [builder.gep(x_start, [builder.mul(x_stride, ir.Constant(index, row))]) for row in range(rows)]
            y_rows = [builder.gep(y_start, [builder.mul(y_stride, ir.Constant(index, row))]) for row in range(rows)]
            zero = ir.Constant(_VECTOR, [0.0] * LANES)
            firsts = [
                load_vector(y_rows[row], LANES * vector) if vector < per_input else zero
                for row in range(rows)
                for vector in range(_VECTORS)
            ]

            before = builder.block
            body = builder.append_basic_block("groups")
            after = builder.append_basic_block("sums")
            builder.branch(body)
            builder.position_at_end(body)
            count = builder.phi(index)
            sums = [builder.phi(_VECTOR) for _ in firsts]
            group_weights = builder.gep(weight_start, [builder.mul(count, ir.Constant(index, GROUP))])
            vectors = [load_vector(group_weights, LANES * vector) for vector in range(_VECTORS)]
            first_input = builder.mul(count, ir.Constant(index, inputs))
            results = []
            for row in range(rows):
                values = [
                    splat(builder.load(builder.gep(x_rows[row], [builder.add(first_input, ir.Constant(index, place))])))
                    for place in range(inputs)
                ]
                for vector in range(_VECTORS):
                    terms = [vectors[vector], values[vector // per_input], sums[row * _VECTORS + vector]]
                    results.append(emit_multiply_add(builder, *terms))
            following = builder.add(count, ir.Constant(index, 1))
            more = builder.icmp_signed("<", following, group_count)
            builder.cbranch(more, builder.block, after)
            count.add_incoming(ir.Constant(index, 0), before)
            count.add_incoming(following, body)
            for total, first, result in zip(sums, firsts, results, strict=True):
                total.add_incoming(first, before)
                total.add_incoming(result, body)

            builder.position_at_end(after)
            for row in range(rows):
                chains = results[row * _VECTORS : (row + 1) * _VECTORS]
                while len(chains) > per_input:
                    half = len(chains) // 2
                    chains = [builder.fadd(chains[place], chains[place + half]) for place in range(half)]
                for vector, chain in enumerate(chains):
                    place = builder.gep(y_rows[row], [ir.Constant(index, LANES * vector)])
                    builder.store(chain, builder.bitcast(place, _VECTOR.as_pointer()), align=4)
            return context.get_dummy_value()

        return types.void(*[types.intp] * 6), generate

    return add_block


_one_by_64, _one_by_32, _one_by_16 = (_block(1, width) for width in (64, 32, 16))
_few_by_64, _few_by_32, _few_by_16 = (_block(ROWS_TOGETHER, width) for width in (64, 32, 16))


@njit
def add_product(weights, inputs, outputs, x, x_stride, y, y_stride, rows):
    """Adds x @ matrix to y.

    Args:
        weights: address of a matrix as `packed_matrix` lays it out.
        inputs: padded number of inputs.
        outputs: padded number of outputs.
        x: address of the first row of inputs.
        x_stride: from one row to the next.
        y: address of the first row of outputs.
        y_stride: from one row to the next.
        rows: their number.

    Returns:
        The address of the next matrix.
    """
    width = 64 if outputs % 64 == 0 else 32 if outputs % 32 == 0 else 16
    groups = inputs * width // 64
    for block in range(outputs // width):
        w, y_block = weights + 4 * block * inputs * width, y + 4 * block * width
        row = 0
        while row < rows:
            together = rows - row >= ROWS_TOGETHER
            x_row, y_row = x + 4 * row * x_stride, y_block + 4 * row * y_stride
            if width == 64:
                if together:
                    _few_by_64(w, groups, x_row, x_stride, y_row, y_stride)
                else:
                    _one_by_64(w, groups, x_row, x_stride, y_row, y_stride)
            elif width == 32:
                if together:
                    _few_by_32(w, groups, x_row, x_stride, y_row, y_stride)
                else:
                    _one_by_32(w, groups, x_row, x_stride, y_row, y_stride)
            elif together:
                _few_by_16(w, groups, x_row, x_stride, y_row, y_stride)
            else:
                _one_by_16(w, groups, x_row, x_stride, y_row, y_stride)
            row += ROWS_TOGETHER if together else 1
    return weights + 4 * inputs * outputs
