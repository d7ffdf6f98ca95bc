"""The compiled functions of the CPU engine, and what to tell the user of the wait for the compiler."""

from pathlib import Path

from wavenet_app.compiling.machine_code import CodeShelf, KeptFunction

_HERE = Path(__file__).parent

SHELF = CodeShelf(
    "engine",
    [
        *sorted(_HERE.glob("numba_*.py")),
        *(_HERE / name for name in ("gaussian_quantile.py", "packing.py", "sampling.py", "together.py")),
        *(_HERE.parent / "wavenet_app" / name for name in ("coding.py", "vector_math.py")),
    ],
)

append_codes = KeptFunction("fast_gen.numba_loop", "append_codes", SHELF)
help_along = KeptFunction("fast_gen.numba_loop", "help_along", SHELF)
prime_clips = KeptFunction("fast_gen.numba_loop", "prime_clips", SHELF)


def compiling_line(what: str) -> str:
    """Returns a line for the user where the compiler has to be waited for.

    Args:
        what: name of what is compiled.
    """
    if SHELF.folder is None:
        return (
            "compiling the engine, which takes some seconds at each start: no folder to keep the result can be "
            "written; the environment variable NUMBA_CACHE_DIR may name one"
        )
    return f"compiling the engine for {what}, which takes some seconds, once on this machine"
