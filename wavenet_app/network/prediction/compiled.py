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
from wavenet_app.network.prediction.rows import size_rows, value_rows

if TYPE_CHECKING:
    from wavenet_app.config import PredictionConfig

_HERE = Path(__file__).parent

# listed by name: code kept for an earlier text must never serve a later one
SOURCES = [*(_HERE / name for name in ("kernel.py", "predictor.py", "rows.py", "packed.py"))]

CACHE = CodeCache("prediction", SOURCES)

predict_rows = KeptFunction("wavenet_app.network.prediction.kernel", "predict_rows", CACHE)


def predicted_rows(config: PredictionConfig, waveform: NDArray[np.floating]) -> tuple[Rows, Rows]:
    """Returns what a net reads of the prediction after each sample; compiled where numba can be imported.

    Args:
        config: of the predictor.
        waveform: (batch, time), in [-1, 1]; before the first sample there is silence.

    Returns:
        Rows of predicted values and of residual sizes, each int64 (batch, time); place t is about sample t + 1.
    """
    samples = np.ascontiguousarray(waveform, np.float64)
    values, sizes = np.zeros(samples.shape, np.int64), np.zeros(samples.shape, np.int64)
    state = first_predictor_state(config, len(samples))
    try:
        predict_rows(packed_predictor(config), state, samples, values, sizes)
    except ImportError:
        return reference_rows(config, samples)
    return values, sizes


def reference_rows(config: PredictionConfig, samples: Floats) -> tuple[Rows, Rows]:
    """Returns what `predicted_rows` does, by the reference."""
    values, sizes = np.zeros(samples.shape, np.int64), np.zeros(samples.shape, np.int64)
    predictor = Predictor(config, len(samples))
    for time in range(samples.shape[1]):
        predictor.append(samples[:, time])
        values[:, time], sizes[:, time] = value_rows(predictor.prediction), size_rows(predictor.size)
    return values, sizes
