"""Counters by which two threads that share a sample wait for each other, without a lock; imports numba.

Each counter is written by one thread only and lies in a cache line of its own. A thread that waits asks again and
again, as the other is done within microseconds, and now and then offers its core to others: they may need it, the
other thread among them.
"""

# mypy: ignore-errors
# ruff: noqa: ARG001 - numba fixes the arguments of an intrinsic
# Types are numba's here: it infers them from the call.

from llvmlite import ir
from llvmlite.binding import get_default_triple
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from fast_gen.engines.cpu.threads import STOP

SPINS = 200
"""How often a counter is read, for some 4 microseconds, before the core is offered to others each time.

That is longer than a layer takes. Where both threads have come to share a core, it is what each turn wastes.
"""

_IS_X86 = get_default_triple().startswith(("x86_64", "i686"))
_offer_core = types.ExternalFunction("sched_yield", types.int32())


@intrinsic
def _read(typing, flags, place):
    """Returns a counter; what its writer wrote before is seen afterwards."""

    def generate(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return builder.load_atomic(builder.gep(data, [arguments[1]]), "acquire", 8)

    return types.int64(flags, types.intp), generate


@intrinsic
def publish(typing, flags, place, value):
    """Sets a counter; what was written before is seen by all that read it."""

    def generate(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        builder.store_atomic(arguments[2], builder.gep(data, [arguments[1]]), "release", 8)
        return context.get_dummy_value()

    return types.void(flags, types.intp, types.int64), generate


@intrinsic
def _pause(typing):
    """Hints to the processor that this loop waits, where it has such an instruction."""

    def generate(context, builder, signature, arguments):
        if _IS_X86:
            function_type = ir.FunctionType(ir.VoidType(), [])
            builder.call(cgutils.get_or_insert_function(builder.module, function_type, "llvm.x86.sse2.pause"), [])
        return context.get_dummy_value()

    return types.void(), generate


@njit
def wait_for(flags, place, value):
    """Waits until a counter has reached a value; returns False if the other thread gave up."""
    spins = 0
    while _read(flags, place) < value:
        if _read(flags, STOP) != 0:
            return False
        if spins < SPINS:
            spins += 1
            _pause()
        else:
            _offer_core()
    return True
