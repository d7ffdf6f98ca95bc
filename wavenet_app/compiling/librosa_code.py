"""librosa's compiled functions, made by one process at a time.

numba keeps their machine code beside librosa. Processes that compile at the same time can leave parts that do not fit
together, and every later process that uses them crashes. Some functions are compiled when librosa's modules are
imported, others at their first call. So each process imports librosa here, and compiles while no other one does.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np

from wavenet_app.compiling.code_cache import CodeCache

_SAMPLES = 2048


@cache
def compiled_librosa() -> ModuleType:
    """Returns librosa, after its transforms have run once in this process."""
    with _alone():
        import librosa

        librosa.istft(librosa.stft(np.zeros(_SAMPLES)))
    return librosa


@cache
def librosa_with_pitch() -> ModuleType:
    """Returns librosa, after its transforms and its pitch tracker have run once in this process."""
    librosa = compiled_librosa()
    with _alone():
        librosa.pyin(np.zeros(_SAMPLES), fmin=60.0, fmax=400.0, sr=8000)
    return librosa


def _alone() -> AbstractContextManager[None]:
    """Waits until no other process compiles a function of librosa."""
    return CodeCache("librosa", [Path(__file__)]).alone("librosa", "")
