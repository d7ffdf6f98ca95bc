"""librosa's compiled functions, made by one process at a time."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np

from wavenet_app.compiling.code_cache import CodeCache


@cache
def librosa_with_pitch() -> ModuleType:
    """Returns librosa, after its pitch tracker has run once in this process.

    numba keeps the tracker's machine code beside librosa. Processes that compile it at the same time can leave parts
    that do not fit together, and every later process that uses them crashes. So one process at a time compiles.
    """
    import librosa

    with CodeCache("librosa", [Path(__file__)]).alone("pyin", ""):
        librosa.pyin(np.zeros(2048), fmin=60.0, fmax=400.0, sr=8000)
    return librosa
