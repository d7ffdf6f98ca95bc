"""How arguments reach compiled code: as a table of 64-bit words.

A table holds the address and the shape of each array, and each number itself. So compiled code depends on no calling
convention but this one. `wavenet_app.compiling.table_entry.arguments` reads a table in compiled code.
"""

from __future__ import annotations

import ctypes
import struct
from array import array
from functools import cache
from typing import Any

import numpy as np


def as_table(arguments: tuple[Any, ...]) -> tuple[str, array[int]]:
    """Returns the kinds of nested tuples of arrays and numbers, by which their code is found, and their table.

    Raises:
        ValueError: an array is not contiguous.
    """
    kinds: list[str] = []
    words: list[int] = []
    _add(arguments, kinds, words)
    return " ".join(kinds), array("q", words)


def _add(values: tuple[Any, ...], kinds: list[str], words: list[int]) -> None:
    kinds.append("(")
    for value in values:
        if isinstance(value, np.ndarray):
            if not value.flags.c_contiguous:
                raise ValueError(f"compiled code takes contiguous arrays, not one of strides {value.strides}")
            kinds.append(_kind(value.dtype, value.ndim))
            words.append(_address(value))
            words += value.shape
        elif isinstance(value, tuple):
            _add(value, kinds, words)
        elif isinstance(value, float):
            kinds.append("float")
            words += struct.unpack("q", struct.pack("d", value))
        else:
            kinds.append("integer")
            words.append(value)
    kinds.append(")")


@cache
def _kind(dtype: np.dtype[Any], axes: int) -> str:
    return f"{dtype.str}x{axes}"


def _address(values: Any) -> int:
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(values))  # much faster than `values.ctypes.data`
    except (TypeError, ValueError):  # read-only or empty
        return int(values.ctypes.data)
