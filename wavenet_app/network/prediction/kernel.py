"""The predictor of `predictor.py` compiled; imports numba. The order of its arithmetic is the same, to the bit."""

# mypy: ignore-errors
# Types are numba's here: it infers them from the call.

import numpy as np
from numba import njit

from wavenet_app.compiling.table_entry import arguments
from wavenet_app.network.prediction.predictor import WHITENING
from wavenet_app.network.prediction.rows import SMALLEST_SIZE

_TINY = float(np.finfo(np.float64).tiny)


@njit(error_model="numpy")
def solve(past, window, space, coefficients):
    """Solves a predictor from the newest samples.

    Args:
        past: (window,), the samples, oldest first.
        window: (window,), their weights.
        space: (2 x order + 1 + window + order,), free memory.
        coefficients: (order,), written.
    """
    order, length = len(coefficients), len(window)
    lags, known = space[: order + 1], space[order + 1 : 2 * order + 1]
    frame = space[2 * order + 1 :]  # `order` zeros, then the weighted samples
    for place in range(order):
        frame[place] = 0.0
    for place in range(length):
        frame[order + place] = past[place] * window[place]
    # reversed, so that the lags of a sample lie in the order of memory
    for lag in range(order + 1):
        lags[lag] = 0.0
    for place in range(length):
        newest = frame[order + place]
        for back in range(order + 1):
            lags[back] += newest * frame[place + back]
    error = max(lags[order] * WHITENING, _TINY)
    for step in range(order):
        total = lags[order - step - 1]
        for place in range(step):
            total -= coefficients[place] * lags[order - step + place]
        reflection = total / error
        for place in range(step):
            known[place] = coefficients[place]
        for place in range(step):
            coefficients[place] = known[place] - reflection * known[step - 1 - place]
        coefficients[step] = reflection
        error *= 1 - reflection * reflection


@njit(error_model="numpy")
def append_sample(value, predictor, state, clip):
    """Takes the next sample of a clip and predicts the one after it.

    Args:
        value: in [-1, 1].
        predictor: a `PackedPredictor`.
        state: a `PredictorState`.
        clip: row of the state.
    """
    window, decay, hop = predictor.window, predictor.decay[0], predictor.hop
    length = len(window)
    past, coefficients = state.past[clip], state.coefficients[clip]
    error, size = value - state.predictions[clip], state.sizes[clip]
    state.innovations[clip] = error / max(size, SMALLEST_SIZE)
    state.sizes[clip] = decay * size + (1 - decay) * abs(error)
    since = state.since[clip]
    past[length + since] = value
    since += 1
    if since == hop:
        for place in range(length):
            past[place] = past[place + hop]
        since = 0
        solve(past[:length], window, state.space, coefficients)
    state.since[clip] = since
    prediction, newest = 0.0, length + since - 1
    for lag in range(len(coefficients)):
        prediction += coefficients[lag] * past[newest - lag]
    state.predictions[clip] = prediction


@njit(error_model="numpy")
def row_of(limits, value):
    """Returns how many of some rising limits a value reaches, as `np.searchsorted` does from the right."""
    low, high = 0, len(limits)
    while low < high:
        middle = (low + high) // 2
        if value < limits[middle]:
            high = middle
        else:
            low = middle + 1
    return low


def predict_rows(call):
    """Takes samples (batch, time) one after the other; writes the predictor's rows after each of them.

    The arguments are `PackedPredictor`, `PredictorState`, the samples, and three arrays int64 (batch, time) of rows.
    """
    predictor, state, samples, values, sizes, innovations = arguments(call)
    for clip in range(samples.shape[0]):
        for time in range(samples.shape[1]):
            append_sample(samples[clip, time], predictor, state, clip)
            values[clip, time] = row_of(predictor.value_limits, state.predictions[clip])
            sizes[clip, time] = row_of(predictor.size_limits, state.sizes[clip])
            innovations[clip, time] = row_of(predictor.innovation_limits, state.innovations[clip])
