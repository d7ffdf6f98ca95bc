"""The compiled kernels of `wavenet_app.network.stack.kernels` as functions whose code is kept; imports no numba."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from wavenet_app.compiling.code_cache import CodeCache
from wavenet_app.compiling.kept_function import KeptFunction

_MODULE = "wavenet_app.network.stack.kernels"
_COMPILING = Path(__file__).parents[2] / "compiling"

# listed by name: code kept for an earlier text must never serve a later one
SOURCES = [Path(__file__).with_name("kernels.py"), *(_COMPILING / name for name in ("vectors.py", "vector_math.py"))]

CACHE = CodeCache("kernels", SOURCES)

gather_taps = KeptFunction(_MODULE, "gather_taps", CACHE)
squash_and_activate = KeptFunction(_MODULE, "squash_and_activate", CACHE)
add_residual = KeptFunction(_MODULE, "add_residual", CACHE)
gate_gradient = KeptFunction(_MODULE, "gate_gradient", CACHE)
stream_gradient = KeptFunction(_MODULE, "stream_gradient", CACHE)


def are_kept(narrow: type[np.generic]) -> bool:
    """Returns whether no kernel needs a compiler.

    Args:
        narrow: type of the arrays that hold the products' operands: float32, or uint16 for bfloat16.
    """
    return all(call.func.is_kept(*call.args) for call in _calls(narrow))


def get_ready(narrow: type[np.generic]) -> None:
    """Loads all kernels, or compiles and keeps them; `narrow` is as in `are_kept`."""
    for call in _calls(narrow):
        call.func.get_ready(*call.args)


def _calls(narrow: type[np.generic]) -> list[Any]:
    """Returns a call of each kernel with arguments of the kinds that training has."""
    row, wide, slim = np.zeros(1, np.float32), np.zeros((1, 1), np.float32), np.zeros((1, 1), narrow)
    return [
        partial(gather_taps, slim, 0, 1, 1, slim, 0),
        partial(squash_and_activate, slim, 0, 0, wide, 1, 0, slim, slim, 0, 0),
        partial(add_residual, wide, 0, 0, slim, row, wide, slim, 0),
        partial(gate_gradient, slim, slim, 0, 0, slim, 0, 0, slim, slim, wide, 1, 0),
        partial(stream_gradient, wide, 0, 0, slim, 0, 0, 1, 1, slim, row),
    ]
