"""Compiled functions kept as machine code, which later starts load without numba, whose import is a second's wait.

The arguments reach such a function as a table of 64-bit words: of each array its address and its shape, of each number
itself. So the code depends on nobody's calling convention but this one, and LLVM, which comes with numba as llvmlite,
can load it alone. It is kept under all that it depends on: the text that it was compiled from, the kinds of its
arguments, the processor, the version of llvmlite and the settings of numba. Where it is not found whole, or cannot be
loaded, it is compiled.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib
import os
import struct
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavenet_app.compiling.folder import code_folder
from wavenet_app.core.files import replacing

_CHECKSUM_BYTES = 32

_NEVER_CALLED = (
    "numba_do_raise",
    "numba_gil_ensure",
    "numba_gil_release",
    "numba_runtime_build_excinfo_struct",
    "numba_unpickle",
)
"""What numba would call of its own library to raise an error, which no kept function does."""


@dataclass(frozen=True)
class MachineCode:
    """What the compiler made of a function.

    Attributes:
        symbol: its name in the object file.
        content: the object file.
    """

    symbol: str
    content: bytes


class CodeShelf:
    """The folder in which the machine code of some functions is kept.

    Args:
        name: what they are, in a word.
        sources: the files that they are compiled from, and that say how arguments are handed over.
    """

    def __init__(self, name: str, sources: Sequence[Path]) -> None:
        self._name, self._sources = name, [*sources, Path(__file__)]

    @cached_property
    def folder(self) -> Path | None:
        """The folder, see `code_folder`; $NUMBA_CACHE_DIR is the wish. None if nothing can be kept."""
        return code_folder(self._name, self._sources, os.environ.get("NUMBA_CACHE_DIR", ""))

    def find(self, function: str, kinds: str) -> MachineCode | None:
        """Returns the code of a function for such arguments; None if it was not kept, or is damaged."""
        if self.folder is None:
            return None
        try:
            content = self._place(self.folder, function, kinds).read_bytes()
        except OSError:
            return None
        checksum, kept = content[:_CHECKSUM_BYTES], content[_CHECKSUM_BYTES:]
        if hashlib.sha256(kept).digest() != checksum:
            return None
        symbol, _, code = kept.partition(b"\n")
        return MachineCode(symbol.decode(), code)

    def keep(self, function: str, kinds: str, code: MachineCode) -> None:
        """Keeps code; where the folder cannot be written or the disk is full, it does nothing."""
        kept = code.symbol.encode() + b"\n" + code.content
        if self.folder is not None:
            with suppress(OSError), replacing(self._place(self.folder, function, kinds)) as file:
                file.write(hashlib.sha256(kept).digest() + kept)

    @staticmethod
    def _place(folder: Path, function: str, kinds: str) -> Path:
        what = hashlib.sha256(f"{kinds}\n{compiling_for()}".encode()).hexdigest()[:16]
        return folder / f"{function}-{what}.code"


class KeptFunction:
    """A function that takes nested tuples of arrays and numbers, compiled for each kind of them once on a machine.

    While it runs, the interpreter lock is free.

    Args:
        module: name of the module that has it, which is imported only to compile it.
        name: what it is called there; it takes a table and makes `table_entry.arguments` of it.
        shelf: where its code is kept.
    """

    def __init__(self, module: str, name: str, shelf: CodeShelf) -> None:
        self.name = name
        self._module, self._shelf = module, shelf
        self._ready: dict[str, Callable[[int], None]] = {}
        self._getting_ready = threading.Lock()

    def __call__(self, *arguments: Any) -> None:
        """Runs it; arrays must be contiguous."""
        kinds, table = as_table(arguments)
        if kinds not in self._ready:
            self.get_ready(*arguments)
        self._ready[kinds](table.ctypes.data)

    def is_kept(self, *arguments: Any) -> bool:
        """Returns whether such arguments need no compiler."""
        kinds, _ = as_table(arguments)
        return kinds in self._ready or self._shelf.find(self.name, kinds) is not None

    def get_ready(self, *arguments: Any) -> None:
        """Loads the code for such arguments, or else compiles and keeps it; does not run it."""
        kinds, _ = as_table(arguments)
        with self._getting_ready:
            if kinds in self._ready:
                return
            kept = self._shelf.find(self.name, kinds)
            if kept is not None:
                with suppress(RuntimeError):
                    self._ready[kinds] = loaded(kept)
                    return
            from wavenet_app.compiling.table_entry import compile_entry

            code, run = compile_entry(getattr(importlib.import_module(self._module), self.name), arguments)
            try:
                self._ready[kinds] = loaded(code)
            except RuntimeError:  # nor could a later start load it
                self._ready[kinds] = run
            else:
                self._shelf.keep(self.name, kinds, code)


def loaded(code: MachineCode) -> Callable[[int], None]:
    """Returns machine code as a function of the address of a table.

    Raises:
        RuntimeError: LLVM cannot load it here.
    """
    from llvmlite import binding

    library = binding.JITLibraryBuilder().add_object_img(code.content).export_symbol(code.symbol).add_current_process()
    end = ctypes.cast(ctypes.pythonapi.Py_FatalError, ctypes.c_void_p).value
    for name in _NEVER_CALLED:
        library.import_symbol(name, end)
    tracker = library.link(_loader(), f"{code.symbol}-{id(code)}")
    _LOADED.append(tracker)  # without which the code would go
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
    """Returns the processor, the version of LLVM's Python library, and what numba is told by the environment."""
    import llvmlite
    from llvmlite import binding

    features = binding.get_host_cpu_features().flatten()
    settings = sorted(f"{name}={value}" for name, value in os.environ.items() if name.startswith("NUMBA_"))
    told = [setting for setting in settings if not setting.startswith("NUMBA_CACHE_DIR=")]
    return "\n".join([binding.get_host_cpu_name(), features, llvmlite.__version__, *told])


def as_table(arguments: tuple[Any, ...]) -> tuple[str, NDArray[np.int64]]:
    """Returns the kinds of arguments, by which their code is found, and the words by which they are handed over.

    Raises:
        ValueError: an array is not contiguous.
    """
    kinds: list[str] = []
    words: list[int] = []

    def add(value: Any) -> None:
        if isinstance(value, tuple):
            kinds.append("(")
            for part in value:
                add(part)
            kinds.append(")")
        elif isinstance(value, np.ndarray):
            if not value.flags.c_contiguous:
                raise ValueError(f"compiled code takes contiguous arrays, not one of strides {value.strides}")
            kinds.append(f"{value.dtype.str}x{value.ndim}")
            words.extend((value.ctypes.data, *value.shape))
        elif isinstance(value, float):
            kinds.append("float")
            words.extend(struct.unpack("q", struct.pack("d", value)))
        else:
            kinds.append("integer")
            words.append(value)

    add(arguments)
    return " ".join(kinds), np.array(words, np.int64)
