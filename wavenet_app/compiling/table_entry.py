"""Functions compiled so that the address of a table of their arguments is all they take; imports numba."""

# mypy: ignore-errors
# ruff: noqa: ARG001 - numba fixes the arguments of an intrinsic
# Types are numba's here: it infers them from the call.

import ctypes
from itertools import count

import numpy as np
from llvmlite import ir
from numba import cfunc, from_dtype, types
from numba.extending import intrinsic, models, register_model
from numba.np.arrayobj import populate_array

from wavenet_app.compiling.machine_code import MachineCode

_WORD = ir.IntType(64)


_KEPT_ALIVE = []


class TableType(types.Type):
    """The table of a tuple of arguments, given as its address.

    Args:
        kind: numba's type of the tuple.
    """

    def __init__(self, kind) -> None:
        super().__init__(f"table of {kind}")
        self.kind = kind


@register_model(TableType)
class TableModel(models.PrimitiveModel):
    """An address."""

    def __init__(self, manager, table_type) -> None:
        super().__init__(manager, table_type, _WORD)


def compile_entry(function, call):
    """Compiles a function of one table, for all calls with arguments of the same kinds as these.

    Returns:
        Its `MachineCode`, free of anything of numba's; and itself, which takes the address of a table.
    """
    # No division that raises and no array that is counted: they would call Python's and numba's own libraries, which
    # must be found again wherever the code is loaded.
    entry = cfunc(types.void(TableType(_kind(call))), error_model="numpy", _nrt=False)(function)
    _KEPT_ALIVE.append(entry)
    run = ctypes.CFUNCTYPE(None, ctypes.c_size_t)(entry.address)
    return MachineCode(entry.native_name, entry._library._get_compiled_object()), run


def _kind(value):
    """Returns numba's type of an argument; all arrays can be written to."""
    if isinstance(value, tuple):
        named = type(value) if hasattr(value, "_fields") else None
        return types.BaseTuple.from_types([_kind(part) for part in value], named)
    if isinstance(value, np.ndarray):
        return types.Array(from_dtype(value.dtype), value.ndim, "C")
    return types.float64 if isinstance(value, float) else types.int64


@intrinsic
def arguments(typing, table):
    """Returns the tuple that a table was made of; only for compiled code."""

    def generate(context, builder, signature, arguments):
        words = builder.inttoptr(arguments[0], _WORD.as_pointer())
        places = count()

        def word():
            return builder.load(builder.gep(words, [ir.Constant(_WORD, next(places))]))

        def array(kind):
            element = context.get_data_type(kind.dtype)
            data = builder.inttoptr(word(), element.as_pointer())
            shape = [word() for _ in range(kind.ndim)]
            size = context.get_abi_sizeof(element)
            strides = [ir.Constant(_WORD, size)]
            for length in reversed(shape[1:]):
                strides.insert(0, builder.mul(strides[0], length))
            made = context.make_array(kind)(context, builder)
            populate_array(made, data=data, shape=shape, strides=strides, itemsize=size, meminfo=None)
            return made._getvalue()

        def value(kind):
            if isinstance(kind, types.BaseTuple):
                return context.make_tuple(builder, kind, [value(part) for part in kind])
            if isinstance(kind, types.Array):
                return array(kind)
            return word() if kind == types.int64 else builder.bitcast(word(), ir.DoubleType())

        return value(signature.return_type)

    return table.kind(table), generate
