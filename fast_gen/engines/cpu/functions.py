"""The compiled functions of the CPU engine, and the line for the user about the wait for the compiler."""

from pathlib import Path

from wavenet_app.compiling.code_cache import CodeCache
from wavenet_app.compiling.kept_function import KeptFunction
from wavenet_app.network.prediction.compiled import SOURCES as PREDICTION_SOURCES

_HERE = Path(__file__).parent
_WAVENET = _HERE.parents[2] / "wavenet_app"

# listed by name: code kept for an earlier text must never serve a later one
SOURCES = [
    *(
        _HERE / name
        for name in (
            "loop.py",
            "product.py",
            "byte_product.py",
            "activation.py",
            "pick_code.py",
            "pick_sample.py",
            "flags.py",
            "packing.py",
            "threads.py",
        )
    ),
    *(
        _HERE.parent / name
        for name in ("gaussian_quantile.py", "pick_weights.py", "quiet.py", "sampling.py", "condition.py", "weights.py")
    ),
    *(_WAVENET / name for name in ("coding.py", "heads.py", "core/dilation.py", "core/errors.py")),
    _WAVENET / "compiling" / "vector_math.py",
    *PREDICTION_SOURCES,
]

CACHE = CodeCache("engine", SOURCES)

append_codes = KeptFunction("fast_gen.engines.cpu.loop", "append_codes", CACHE)
help_along = KeptFunction("fast_gen.engines.cpu.loop", "help_along", CACHE)
prime_clips = KeptFunction("fast_gen.engines.cpu.loop", "prime_clips", CACHE)


def compiling_line(what: str) -> str:
    """Returns a line for the user where the compiler has to be waited for.

    Args:
        what: name of what is compiled.
    """
    if CACHE.folder is None:
        return (
            "compiling the engine, which takes some seconds at each start: no folder to keep the result can be "
            "written; the environment variable NUMBA_CACHE_DIR may name one"
        )
    return f"compiling the engine for {what}, which takes some seconds, once on this machine"
