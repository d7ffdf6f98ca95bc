"""Compiled functions whose machine code is kept: a later start runs them without importing numba, which takes a second.

LLVM, which comes with numba as llvmlite, loads the code alone. Code that is not found whole, or that LLVM refuses, is
compiled.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from wavenet_app.compiling.argument_table import as_table
from wavenet_app.compiling.code_cache import CodeCache
from wavenet_app.compiling.machine_code import loaded


class KeptFunction:
    """A function of arrays and numbers, compiled once on a machine for each kind of them.

    The interpreter lock is free while it runs.

    Args:
        module: name of the module that defines it, which is imported only to compile it.
        name: its name there; it takes a table and reads it with `table_entry.arguments`.
        cache: where its code is kept.
    """

    def __init__(self, module: str, name: str, cache: CodeCache) -> None:
        self.name = name
        self._module, self._cache = module, cache
        self._ready: dict[str, Callable[[int], None]] = {}
        self._getting_ready = threading.Lock()

    def __call__(self, *arguments: Any) -> None:
        """Runs the function; arrays must be contiguous, and tuples of arguments may be nested."""
        kinds, table = as_table(arguments)
        if kinds not in self._ready:
            self.get_ready(*arguments)
        self._ready[kinds](table.buffer_info()[0])

    def is_kept(self, *arguments: Any) -> bool:
        """Returns whether arguments of these kinds need no compiler."""
        kinds, _ = as_table(arguments)
        return kinds in self._ready or self._cache.find(self.name, kinds) is not None

    def get_ready(self, *arguments: Any) -> None:
        """Loads the code for arguments of these kinds, or else compiles and keeps it; does not run it."""
        kinds, _ = as_table(arguments)
        with self._getting_ready:
            if kinds in self._ready or self._load(kinds):
                return
            with self._cache.alone(self.name, kinds):
                if not self._load(kinds):  # another process may have compiled it
                    self._compile(kinds, arguments)

    def _load(self, kinds: str) -> bool:
        """Loads kept code; returns whether it could."""
        kept = self._cache.find(self.name, kinds)
        if kept is not None:
            with suppress(RuntimeError):
                self._ready[kinds] = loaded(kept)
                return True
        return False

    def _compile(self, kinds: str, arguments: tuple[Any, ...]) -> None:
        from wavenet_app.compiling.table_entry import compile_entry

        code, run = compile_entry(getattr(importlib.import_module(self._module), self.name), arguments)
        try:
            self._ready[kinds] = loaded(code)
        except RuntimeError:  # a later start could not load it either
            self._ready[kinds] = run
        else:
            self._cache.keep(self.name, kinds, code)
