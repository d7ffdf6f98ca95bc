"""Where compiled code is kept, so that only the first start waits for the compiler; imports numba."""

import hashlib
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any

import numba
from numba import njit


def cache_folder() -> Path | None:
    """Returns the first folder of these that can be written to; None if there is none.

    $NUMBA_CACHE_DIR; the __pycache__ beside this file; wavegen's folder in the user's cache. Inside it, the folder is
    named after the text of the files that are compiled, as numba itself looks only at the one with the outermost
    function.
    """
    sources = sorted(Path(__file__).parent.glob("numba_*.py"))
    text = b"".join(source.read_bytes() for source in [*sources, Path(__file__).with_name("packing.py")])
    name = f"compiled-{hashlib.sha256(text).hexdigest()[:16]}"
    settings: Any = numba.config
    bases = [Path(settings.CACHE_DIR)] if settings.CACHE_DIR else []
    bases.append(Path(__file__).parent / "__pycache__")
    with suppress(RuntimeError):  # no home
        bases.append(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wavegen")
    for base in bases:
        with suppress(OSError):
            folder = base / name
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
            return folder
    return None


CACHE_FOLDER = cache_folder()
"""Where compiled code is kept; None where it is compiled anew at each start."""


def first_start() -> str | None:
    """Returns a line for the user where the compiler will have to be waited for, else None."""
    if CACHE_FOLDER is None:
        return (
            "compiling the engine, which takes some seconds at each start: no folder to keep the result can be written"
        )
    if not any(CACHE_FOLDER.rglob("*.nbc")):
        return "compiling the engine, which takes some seconds, once on this machine"
    return None


def compiled(function: Callable[..., None]) -> Callable[..., None]:
    """Returns a function compiled at its first call; while it runs, the global interpreter lock is free."""
    settings: Any = numba.config
    before = settings.CACHE_DIR
    settings.CACHE_DIR = str(CACHE_FOLDER or "")  # read by the next line only
    try:
        dispatcher = njit(nogil=True, cache=CACHE_FOLDER is not None)(function)
    finally:
        settings.CACHE_DIR = before

    @wraps(function)
    def call(*arguments: object) -> None:
        try:
            dispatcher(*arguments)
        except OSError:  # the disk is full; what was compiled and could not be kept serves this process
            dispatcher(*arguments)

    return call
