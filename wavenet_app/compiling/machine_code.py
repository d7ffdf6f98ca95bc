"""Machine code of compiled functions: what the compiler makes, and how LLVM loads it without numba."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

_NEVER_CALLED = (
    "numba_do_raise",
    "numba_gil_ensure",
    "numba_gil_release",
    "numba_runtime_build_excinfo_struct",
    "numba_unpickle",
)
"""Functions of numba's library that raise an error, which no kept function does."""


@dataclass(frozen=True)
class MachineCode:
    """What the compiler makes of a function.

    Attributes:
        symbol: the name of the function in the object file.
        content: the object file.
    """

    symbol: str
    content: bytes


def loaded(code: MachineCode) -> Callable[[int], None]:
    """Returns machine code as a function of the address of a table; the interpreter lock is free while it runs.

    Raises:
        RuntimeError: LLVM cannot load it here.
    """
    from llvmlite import binding

    library = binding.JITLibraryBuilder().add_object_img(code.content).export_symbol(code.symbol).add_current_process()
    end = ctypes.cast(ctypes.pythonapi.Py_FatalError, ctypes.c_void_p).value
    for name in _NEVER_CALLED:
        library.import_symbol(name, end)
    tracker = library.link(_loader(), f"{code.symbol}-{id(code)}")
    _LOADED.append(tracker)  # keeps the code in memory
    return ctypes.CFUNCTYPE(None, ctypes.c_size_t)(tracker[code.symbol])


_LOADED: list[Any] = []


@cache
def _loader() -> Any:
    from llvmlite import binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    return binding.create_lljit_compiler(suppress_errors=True)


@cache
def compiling_for() -> str:
    """Returns the processor, the version of LLVM's Python library, and numba's settings in the environment."""
    import llvmlite
    from llvmlite import binding

    features = binding.get_host_cpu_features().flatten()
    variables = sorted(f"{name}={value}" for name, value in os.environ.items() if name.startswith("NUMBA_"))
    settings = [variable for variable in variables if not variable.startswith("NUMBA_CACHE_DIR=")]
    return "\n".join([binding.get_host_cpu_name(), features, llvmlite.__version__, *settings])
