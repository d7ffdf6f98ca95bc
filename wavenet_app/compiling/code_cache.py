"""The folder in which the machine code of some functions is kept, so that only the first start compiles them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from pathlib import Path

from wavenet_app.compiling.folder import code_folder
from wavenet_app.compiling.machine_code import MachineCode, compiling_for
from wavenet_app.core.files import replacing

_CHECKSUM_BYTES = 32

_HERE = Path(__file__).parent

_CALLING = tuple(_HERE / name for name in ("argument_table.py", "table_entry.py", "machine_code.py"))
"""The files that say how arguments reach any compiled function."""


class CodeCache:
    """Machine code of functions, found by everything it depends on.

    That is the text of their source files, the kinds of their arguments, the processor, the version of llvmlite and
    numba's settings.

    Args:
        name: what the functions are, in one word.
        sources: the files that they are compiled from; code is kept beside the first one where possible.
    """

    def __init__(self, name: str, sources: Sequence[Path]) -> None:
        self.name, self.sources = name, (*sources, *_CALLING)

    @cached_property
    def folder(self) -> Path | None:
        """The folder, see `code_folder`; $NUMBA_CACHE_DIR is the user's choice. None if nothing can be kept."""
        return code_folder(self.name, self.sources, os.environ.get("NUMBA_CACHE_DIR", ""))

    def find(self, function: str, kinds: str) -> MachineCode | None:
        """Returns the code of a function for arguments of some kinds; None if there is none or it is damaged."""
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
        """Keeps code; does nothing where the folder cannot be written or the disk is full."""
        kept = code.symbol.encode() + b"\n" + code.content
        if self.folder is not None:
            with suppress(OSError), replacing(self._place(self.folder, function, kinds)) as file:
                file.write(hashlib.sha256(kept).digest() + kept)

    @contextmanager
    def alone(self, function: str, kinds: str) -> Iterator[None]:
        """Waits until no other process compiles this function, so that processes that start together compile once."""
        with ExitStack() as stack:
            if self.folder is not None:
                # no fcntl on Windows; a full disk refuses even an empty file
                with suppress(ImportError, OSError):
                    import fcntl

                    lock = stack.enter_context(self._place(self.folder, function, kinds).with_suffix(".lock").open("w"))
                    fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @staticmethod
    def _place(folder: Path, function: str, kinds: str) -> Path:
        what = hashlib.sha256(f"{kinds}\n{compiling_for()}".encode()).hexdigest()[:16]
        return folder / f"{function}-{what}.code"
