"""The gated activation as an operation that LLVM lowers to vectors, of stated greatest error; imports numba."""

# mypy: ignore-errors
# ruff: noqa: ARG001 - numba fixes the arguments of an intrinsic
# Types are numba's here: it infers them from the call.

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fast_gen.engines.cpu.packing import LANES
from wavenet_app.compiling.vector_math import constant, emit_exp

ACTIVATION_ERROR = 3e-7
"""Greatest error of tanh x sigmoid, whose values lie between -1 and 1."""

_BOUND = 40.0  # tanh and sigmoid are done long before, and exp of it, squared, is still a float32


def emit_gated(builder: ir.IRBuilder, filtered: ir.Value, gate: ir.Value) -> ir.Value:
    """Emits tanh(filtered) x sigmoid(gate) of float32 scalars or vectors.

    With a = exp(-2 filtered) and b = exp(-gate) it is (1 - a) / ((1 + a) (1 + b)): one division.
    """
    one = constant(gate.type, 1.0)

    def exp_minus(x: ir.Value) -> ir.Value:
        for comparison, bound in ((">", _BOUND), ("<", -_BOUND)):
            limit = constant(x.type, bound)
            x = builder.select(builder.fcmp_ordered(comparison, x, limit), limit, x)
        return emit_exp(builder, builder.fneg(x))

    a = exp_minus(builder.fadd(filtered, filtered))
    b = exp_minus(gate)
    return builder.fdiv(builder.fsub(one, a), builder.fmul(builder.fadd(one, a), builder.fadd(one, b)))


@intrinsic
def activate(typing, gates, gates_at, width, activated, activated_at):
    """Writes tanh(filter) x sigmoid(gate) of one row: `width` filters, after which come as many gates.

    Args:
        typing: given by numba.
        gates: contiguous float32 array.
        gates_at: where in it the filters begin.
        width: their number, a multiple of `LANES`.
        activated: contiguous float32 array.
        activated_at: where in it to write.
    """
    index = types.intp
    vector = ir.VectorType(ir.FloatType(), LANES)

    def generate(context, builder, signature, arguments):
        def pointer(number):
            array = context.make_array(signature.args[number])(context, builder, arguments[number])
            return builder.gep(array.data, [arguments[number + 1]])

        def place(start, offset):
            return builder.bitcast(builder.gep(start, [offset]), vector.as_pointer())

        width = arguments[2]
        filters, target = pointer(0), pointer(3)
        lanes = ir.Constant(width.type, LANES)
        with cgutils.for_range_slice(builder, ir.Constant(width.type, 0), width, lanes) as (offset, _):
            filtered = builder.load(place(filters, offset), align=4)
            gate = builder.load(place(filters, builder.add(offset, width)), align=4)
            builder.store(emit_gated(builder, filtered, gate), place(target, offset), align=4)
        return context.get_dummy_value()

    return types.void(gates, index, index, activated, index), generate
