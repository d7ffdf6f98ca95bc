"""The CPU engine compiled by a process of its own, while this one imports torch and reads the checkpoint."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from fast_gen.engines.cpu.engine import is_compiled
from fast_gen.engines.cpu.functions import CACHE, compiling_line


@contextmanager
def compiling_ahead(precision: str, threads: int, say: Callable[[str], None]) -> Iterator[None]:
    """A block beside which the engine is compiled, if it has to be and the result can be kept; ends when both have.

    If that process fails, this one compiles the engine when it needs it. The same happens where in less than float32
    a model turns out to have another head than mu-law, which only its checkpoint says.

    Args:
        precision: of the engine's weights.
        threads: as the engine will take.
        say: receives a line that says what is waited for.
    """
    child = None
    with suppress(ImportError, OSError):
        if CACHE.folder is not None and not is_compiled(precision, threads):
            compile_it = (
                f"from fast_gen.engines.cpu.engine import compile_ahead; compile_ahead({precision!r}, {threads})"
            )
            child = subprocess.Popen(
                [sys.executable, "-c", compile_it],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
    if child is None:
        yield
        return
    say(compiling_line(precision))
    try:
        yield
        child.wait()
    finally:
        child.kill()
        child.wait()
