"""Backward-adaptive linear prediction, sample by sample: the reference that compiled code equals to the bit.

Every `hop` samples, the autocorrelation method (Makhoul 1975, "Linear Prediction: A Tutorial Review", section II-D) and
Levinson's recursion (equations 38a to 38e) solve a predictor from the newest `window` samples. It predicts each next
sample from the newest `order` ones. The size of the residual is its running mean magnitude. The innovation is how far
the newest sample is from its prediction, divided by the size before it. Nothing is transmitted or learned: whoever
knows the past samples knows the prediction.

All arithmetic is float64 in the order written here, without fused multiply-adds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from wavenet_app.network.prediction.rows import SMALLEST_SIZE, innovation_rows, size_rows, value_rows

if TYPE_CHECKING:
    from wavenet_app.config import PredictionConfig

Floats = NDArray[np.float64]

WHITENING = 1.0001
"""Factor on the energy, as of white noise 40 dB below the signal; without it a pure tone has no stable predictor."""


def analysis_window(length: int) -> Floats:
    """Returns the weights of the newest samples, oldest first: (length,), the greatest at two thirds.

    >>> analysis_window(3).round(3).tolist()
    [0.146, 0.854, 0.854]
    """
    return np.sin(0.75 * np.pi * (np.arange(length) + 0.5) / length) ** 2


class Predictor:
    """The predictors of a batch of clips.

    Attributes:
        prediction: (batch,), of the next sample; zero before the first one.
        size: (batch,), running mean magnitude of the residual; zero before the first sample.
        innovation: (batch,), of the newest sample; zero before the first one.

    Args:
        config: order, window, hop and decay.
        batch_size: number of clips.
    """

    def __init__(self, config: PredictionConfig, batch_size: int) -> None:
        self.config = config
        self.prediction = np.zeros(batch_size)
        self.size = np.zeros(batch_size)
        self.innovation = np.zeros(batch_size)
        self._window = analysis_window(config.frame)
        self._past = np.zeros((batch_size, config.frame))
        self._coefficients = np.zeros((config.order, batch_size))
        self._since = 0

    def append(self, values: NDArray[np.floating]) -> None:
        """Takes the next sample of each clip, (batch,), in [-1, 1]."""
        newest = np.asarray(values, np.float64)
        error = newest - self.prediction
        self.innovation = error / np.maximum(self.size, SMALLEST_SIZE)
        self.size = self.config.decay * self.size + (1 - self.config.decay) * np.abs(error)
        self._past = np.concatenate([self._past[:, 1:], newest[:, None]], axis=1)
        self._since += 1
        if self._since == self.config.step:
            self._since = 0
            self._coefficients = solve_toeplitz(autocorrelation(self._past * self._window, self.config.order))
        self.prediction = np.zeros(len(newest))
        for lag, coefficient in enumerate(self._coefficients, start=1):
            self.prediction = self.prediction + coefficient * self._past[:, -lag]

    def rows(self) -> NDArray[np.int64]:
        """Returns the rows that a net reads now, of predicted value, size and innovation: (3, batch)."""
        return np.stack([value_rows(self.prediction), size_rows(self.size), innovation_rows(self.innovation)])


def autocorrelation(frames: Floats, order: int) -> Floats:
    """Returns lags 0 to order of each frame: (batch, samples) to (order + 1, batch)."""
    padded = np.concatenate([np.zeros((len(frames), order)), frames], axis=1)
    lags = np.zeros((order + 1, len(frames)))
    for place in range(order, padded.shape[1]):  # all lags of one sample at once; each lag adds up in order of time
        lags += (padded[:, place, None] * padded[:, place - order : place + 1][:, ::-1]).T
    return lags


def solve_toeplitz(lags: Floats) -> Floats:
    """Returns predictors by Levinson's recursion: (order + 1, batch) to (order, batch).

    Row j is the weight of the sample j + 1 steps back.
    """
    order = len(lags) - 1
    error = np.maximum(lags[0] * WHITENING, np.finfo(np.float64).tiny)
    coefficients = np.zeros((order, lags.shape[1]))
    for step in range(order):
        total = lags[step + 1].copy()
        for place in range(step):
            total = total - coefficients[place] * lags[step - place]
        reflection = total / error
        known = coefficients[:step].copy()
        coefficients[:step] = known - reflection * known[::-1]
        coefficients[step] = reflection
        error = error * (1 - reflection * reflection)
    return coefficients
