"""The compiled functions of the CPU engine, and what to tell the user of the wait for the compiler."""

from pathlib import Path

from wavenet_app.compiling.machine_code import CodeShelf, KeptFunction

_HERE = Path(__file__).parent
_TOP = _HERE.parents[2]

# listed by name: code kept for an earlier text must never be taken for that of a later one
SOURCES = [
    *(
        _HERE / f"{name}.py"
        for name in (
            "loop",
            "product",
            "byte_product",
            "activation",
            "pick_code",
            "pick_sample",
            "flags",
            "packing",
            "threads",
        )
    ),
    *(_HERE.parent / f"{name}.py" for name in ("gaussian_quantile", "sampling")),
    *(
        _TOP / "wavenet_app" / name
        for name in ("coding.py", "heads.py", "compiling/table_entry.py", "compiling/vector_math.py")
    ),
]

SHELF = CodeShelf("engine", SOURCES)

append_codes = KeptFunction("fast_gen.engines.cpu.loop", "append_codes", SHELF)
help_along = KeptFunction("fast_gen.engines.cpu.loop", "help_along", SHELF)
prime_clips = KeptFunction("fast_gen.engines.cpu.loop", "prime_clips", SHELF)


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
