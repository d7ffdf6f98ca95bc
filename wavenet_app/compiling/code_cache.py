"""Where compiled code is kept, so that only the first start waits for the compiler; imports numba."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cache, cached_property, wraps
from pathlib import Path
from typing import Any

import numba
from numba import njit

from wavenet_app.compiling.folder import code_folder

# The folder is told to numba by a setting of the whole process: of two threads at once, one would keep its code in the
# other's folder or, between the other's telling and taking back, in the current one.
_DECLARING = threading.Lock()


class CodeCache:
    """A folder for the compiled code of some source files, named after their text.

    Numba itself would look only at the file with the outermost function, not at those that it calls.

    Args:
        name: what is compiled, in a word.
        sources: the files that are compiled together; code is kept beside the first, where that is possible.
    """

    def __init__(self, name: str, sources: Sequence[Path]) -> None:
        self.name, self.sources = name, sources

    @cached_property
    def folder(self) -> Path | None:
        """Where code is kept, see `code_folder`; None if it cannot be."""
        settings: Any = numba.config
        return code_folder(self.name, self.sources, settings.CACHE_DIR)

    def compiled(self, *, allocates: bool) -> Callable[[Callable[..., None]], Callable[..., None]]:
        """Returns a decorator: the function is compiled at its first call; while it runs, the interpreter lock is free.

        Args:
            allocates: whether it makes arrays. If not, references to those that it is given are not counted either,
                which would take a loop over many small steps longer than the steps.
        """

        def decorate(function: Callable[..., None]) -> Callable[..., None]:
            @cache
            def dispatcher() -> Callable[..., None]:
                return self._dispatcher(function, allocates)

            @wraps(function)
            def call(*arguments: object) -> None:
                try:
                    dispatcher()(*arguments)
                except OSError:  # the disk is full; what was compiled and could not be kept serves this process
                    dispatcher()(*arguments)

            return call

        return decorate

    def _dispatcher(self, function: Callable[..., None], allocates: bool) -> Callable[..., None]:
        settings: Any = numba.config
        options: Any = {"nogil": True, "cache": self.folder is not None, "_nrt": allocates}
        with _DECLARING:
            before = settings.CACHE_DIR
            settings.CACHE_DIR = str(self.folder or "")  # read where the function is declared, and only there
            try:
                made: Any = njit(**options)(function)
            finally:
                settings.CACHE_DIR = before
        find_or_compile = made.compile

        def find_or_compile_alone(signature: object) -> object:
            with self.alone():
                return find_or_compile(signature)

        made.compile = find_or_compile_alone
        return made

    def keeps(self, what: str) -> bool:
        """Returns whether `remember` was told that this is compiled, by any process of any time."""
        return self.folder is not None and (self.folder / f"{what}.done").exists()

    def remember(self, what: str) -> None:
        """Notes that something is compiled and kept."""
        if self.folder is not None and any(self.folder.rglob("*.nbc")):
            with suppress(OSError):
                (self.folder / f"{what}.done").touch()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Waits until no other process compiles into the folder or reads what is being kept there.

        Numba lets two processes give one file name to two results, so that the wrong one may be loaded.
        """
        with ExitStack() as stack:
            if self.folder is not None:
                # no fcntl on Windows; a full disk refuses even an empty file
                with suppress(ImportError, OSError):
                    import fcntl

                    lock = stack.enter_context((self.folder / "lock").open("w"))
                    fcntl.flock(lock, fcntl.LOCK_EX)
            yield
