"""The compiled predictor as a function whose code is kept; imports neither numba nor torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from wavenet_app.compiling.code_cache import CodeCache
from wavenet_app.compiling.kept_function import KeptFunction
from wavenet_app.network.prediction.packed import Floats, Rows, first_predictor_state, packed_predictor
from wavenet_app.network.prediction.predictor import Predictor

if TYPE_CHECKING:
    from wavenet_app.config import PredictionConfig

_HERE = Path(__file__).parent

# listed by name: code kept for an earlier text must never serve a later one
SOURCES = [
    *(_HERE / name for name in ("kernel.py", "predictor.py", "rows.py", "packed.py")),
    _HERE.parents[1] / "coding.py",
]

CACHE = CodeCache("prediction", SOURCES)

predict_rows = KeptFunction("wavenet_app.network.prediction.kernel", "predict_rows", CACHE)


def predicted_rows(config: PredictionConfig, waveform: NDArray[np.floating]) -> Rows:
    """Returns what a net reads of the prediction after each sample; compiled where numba can be imported.

    Args:
        config: of the predictor.
        waveform: (batch, time), in [-1, 1]; before the first sample there is silence.

    Returns:
        Rows of predicted values, of residual sizes and of innovations, int64 (3, batch, time); place t is about the
        value of sample t + 1, and about the size and the innovation after sample t.
    """
    samples = np.ascontiguousarray(waveform, np.float64)
    rows = np.zeros((3, *samples.shape), np.int64)
    try:
        predict_rows(packed_predictor(config), first_predictor_state(config, len(samples)), samples, *rows)
    except ImportError:
        return reference_rows(config, samples)
    return rows


def reference_rows(config: PredictionConfig, samples: Floats) -> Rows:
    """Returns what `predicted_rows` does, by the reference."""
    rows = np.zeros((3, *samples.shape), np.int64)
    predictor = Predictor(config, len(samples))
    for time in range(samples.shape[1]):
        predictor.append(samples[:, time])
        rows[:, :, time] = predictor.rows()
    return rows
