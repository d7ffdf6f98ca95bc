"""The predictor's settings and state as the arrays that compiled code takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wavenet_app.network.prediction.predictor import analysis_window
from wavenet_app.network.prediction.rows import innovation_limits, size_limits, value_limits

if TYPE_CHECKING:
    from wavenet_app.config import PredictionConfig

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


class PackedPredictor(NamedTuple):
    """What compiled code reads of the settings.

    Attributes:
        window: (window,), weights of the newest samples.
        decay: (1,), of the running mean.
        value_limits: between rows of predicted values.
        size_limits: between rows of residual sizes.
        innovation_limits: between rows of innovations.
        hop: samples from one solution to the next; 0 where the model has no prediction.
    """

    window: Floats
    decay: Floats
    value_limits: Floats
    size_limits: Floats
    innovation_limits: Floats
    hop: int


class PredictorState(NamedTuple):
    """What a batch of clips remembers.

    Attributes:
        past: (batch, window + hop), the newest samples; those after the last solution begin at `window`.
        coefficients: (batch, order).
        predictions: (batch,), of the next sample.
        sizes: (batch,), running means of the residual's magnitude.
        innovations: (batch,), of the newest sample.
        since: (batch,), samples since the last solution.
        space: free memory of a solution.
    """

    past: Floats
    coefficients: Floats
    predictions: Floats
    sizes: Floats
    innovations: Floats
    since: Rows
    space: Floats


def packed_predictor(config: PredictionConfig | None) -> PackedPredictor:
    """Returns the settings for compiled code; for no prediction, ones that stand for none."""
    limits = value_limits().copy(), size_limits().copy(), innovation_limits().copy()
    if config is None:
        return PackedPredictor(np.ones(1), np.zeros(1), *limits, 0)
    return PackedPredictor(analysis_window(config.frame), np.array([config.decay]), *limits, config.step)


def first_predictor_state(config: PredictionConfig | None, batch_size: int) -> PredictorState:
    """Returns the state before the first sample."""
    window, hop, order = (1, 1, 1) if config is None else (config.frame, config.step, config.order)
    return PredictorState(
        past=np.zeros((batch_size, window + hop)),
        coefficients=np.zeros((batch_size, order)),
        predictions=np.zeros(batch_size),
        sizes=np.zeros(batch_size),
        innovations=np.zeros(batch_size),
        since=np.zeros(batch_size, np.int64),
        space=np.zeros(3 * order + 1 + window),
    )
