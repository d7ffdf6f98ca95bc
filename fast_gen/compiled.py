"""Where the compiled engine is kept, so that only the first start waits for the compiler; imports numba."""

from pathlib import Path

from wavenet_app import vector_math
from wavenet_app.compiled import CodeCache

_HERE = Path(__file__)

CACHE = CodeCache(
    "engine", [*sorted(_HERE.parent.glob("numba_*.py")), _HERE.with_name("packing.py"), Path(vector_math.__file__)]
)


def first_start(what: str) -> str | None:
    """Returns a line for the user where the compiler will have to be waited for, else None.

    Args:
        what: name of what is compiled, which `CACHE.remember` was told when that was done.
    """
    if CACHE.folder is None:
        return (
            "compiling the engine, which takes some seconds at each start: no folder to keep the result can be written"
        )
    if not CACHE.keeps(what):
        return f"compiling the engine for {what}, which takes some seconds, once on this machine"
    return None
