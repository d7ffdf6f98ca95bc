"""Where compiled code is kept, so that only the first start waits for the compiler; imports numba."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache, wraps
from pathlib import Path
from typing import Any

import numba
from numba import njit

_PREFIX = "compiled-"


@cache
def cache_folder() -> Path | None:
    """Returns the first folder of these that can be written to, and makes it; None if there is none.

    $NUMBA_CACHE_DIR; the __pycache__ beside this file; wavegen's folder in the user's cache. Inside it, the folder is
    named after the text of the files that are compiled, as numba itself looks only at the one with the outermost
    function. When it is made, those of earlier versions beside it are removed.
    """
    sources = sorted(Path(__file__).parent.glob("numba_*.py"))
    text = b"".join(source.read_bytes() for source in [*sources, Path(__file__).with_name("packing.py")])
    name = f"{_PREFIX}{hashlib.sha256(text).hexdigest()[:16]}"
    settings: Any = numba.config
    bases = [Path(settings.CACHE_DIR)] if settings.CACHE_DIR else []
    bases.append(Path(__file__).parent / "__pycache__")
    with suppress(RuntimeError):  # no home
        bases.append(Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wavegen")
    for base in bases:
        with suppress(OSError):
            folder = base / name
            is_new = not folder.exists()
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
            if is_new:
                for other in base.glob(f"{_PREFIX}*"):
                    if other != folder:
                        shutil.rmtree(other, ignore_errors=True)
            return folder
    return None


def first_start(what: str) -> str | None:
    """Returns a line for the user where the compiler will have to be waited for, else None.

    Args:
        what: name of what is compiled, which `remember` was told when that was done.
    """
    folder = cache_folder()
    if folder is None:
        return (
            "compiling the engine, which takes some seconds at each start: no folder to keep the result can be written"
        )
    if not _mark(folder, what).exists():
        return f"compiling the engine for {what}, which takes some seconds, once on this machine"
    return None


def remember(what: str) -> None:
    """Notes that something is compiled and kept."""
    folder = cache_folder()
    if folder is not None and any(folder.rglob("*.nbc")):
        with suppress(OSError):
            _mark(folder, what).touch()


def _mark(folder: Path, what: str) -> Path:
    return folder / f"{what}.done"


def compiled(*, allocates: bool) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Returns a decorator: the function is compiled at its first call; while it runs, the interpreter lock is free.

    Args:
        allocates: whether it makes arrays. If not, references to those that it is given are not counted either, which
            would take a loop over many small steps longer than the steps.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @cache
        def dispatcher() -> Callable[..., None]:
            folder = cache_folder()
            settings: Any = numba.config
            before = settings.CACHE_DIR
            settings.CACHE_DIR = str(folder or "")  # read by the next line only
            options: Any = {"nogil": True, "cache": folder is not None, "_nrt": allocates}
            try:
                made: Callable[..., None] = njit(**options)(function)
            finally:
                settings.CACHE_DIR = before
            return made

        @wraps(function)
        def call(*arguments: object) -> None:
            try:
                dispatcher()(*arguments)
            except OSError:  # the disk is full; what was compiled and could not be kept serves this process
                dispatcher()(*arguments)

        return call

    return decorate
