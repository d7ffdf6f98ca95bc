"""Linear prediction: the compiled predictor equals the reference to the bit, and what nets read of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wavenet_app.coding import MuLawCoding
from wavenet_app.config import PRESETS, PredictionConfig, preset
from wavenet_app.core.errors import UserError
from wavenet_app.core.settings import override
from wavenet_app.corpus.baseline import _predictions
from wavenet_app.network.prediction.compiled import predict_rows, predicted_rows, reference_rows
from wavenet_app.network.prediction.packed import PredictorState, first_predictor_state, packed_predictor
from wavenet_app.network.prediction.predictor import Predictor
from wavenet_app.network.prediction.rows import (
    INNOVATIONS,
    SIZES,
    VALUES,
    innovation_limits,
    innovation_rows,
    size_limits,
    size_rows,
    value_limits,
    value_rows,
)

SOUNDS = ("noise", "tone", "silence", "full scale", "steps")


def sound(kind: str, rows: int, samples: int, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    time = np.arange(samples)
    frequencies = generator.uniform(0.01, 1.5, (rows, 1))
    return {
        "noise": generator.normal(0, 0.1, (rows, samples)),
        "tone": 0.5 * np.sin(frequencies * time),
        "silence": np.zeros((rows, samples)),
        "full scale": np.sign(np.sin(frequencies * time)),
        "steps": MuLawCoding(256).decode(generator.integers(0, 256, (rows, samples))).astype(np.float64),
    }[kind]


def compiled(config: PredictionConfig, samples: np.ndarray, cuts: tuple[int, ...]) -> tuple[PredictorState, np.ndarray]:
    """The state after the last sample, and the rows after each, (3, batch, time), taken in chunks."""
    state = first_predictor_state(config, len(samples))
    rows = []
    for chunk in np.split(samples, sorted(cuts), axis=1):
        rows.append(np.zeros((3, *chunk.shape), np.int64))
        predict_rows(packed_predictor(config), state, np.ascontiguousarray(chunk), *rows[-1])
    return state, np.concatenate(rows, axis=2)


@given(
    st.integers(1, 12), st.integers(1, 60), st.integers(1, 40), st.floats(0, 0.99), st.sampled_from(SOUNDS), st.data()
)
@settings(deadline=None, max_examples=60)
def test_compiled_equals_the_reference_to_the_bit(order, beyond, hop, decay, kind, data) -> None:
    config = PredictionConfig(order=order, window=order + beyond, hop=hop, decay=decay)
    length = data.draw(st.integers(1, 150))
    samples = sound(kind, data.draw(st.integers(1, 3)), length, seed=data.draw(st.integers(0, 9)))
    cuts = tuple(data.draw(st.lists(st.integers(0, length), max_size=3)))
    predictor = Predictor(config, len(samples))
    for time in range(length):
        predictor.append(samples[:, time])
    state, rows = compiled(config, samples, cuts)
    np.testing.assert_array_equal(state.predictions, predictor.prediction)
    np.testing.assert_array_equal(state.sizes, predictor.size)
    np.testing.assert_array_equal(state.innovations, predictor.innovation)
    np.testing.assert_array_equal(rows, reference_rows(config, samples))


def test_the_innovation_is_what_the_prediction_missed_in_sizes_of_the_residual_before() -> None:
    predictor = Predictor(PredictionConfig(order=1, window=4, hop=2, decay=0.5), 1)
    sizes, predictions, innovations = [0.0], [0.0], []
    samples = [0.5, -0.25, 0.125, 0.0, 0.75]
    for sample in samples:
        predictor.append(np.array([sample]))
        sizes.append(float(predictor.size[0]))
        predictions.append(float(predictor.prediction[0]))
        innovations.append(float(predictor.innovation[0]))
    missed = [sample - prediction for sample, prediction in zip(samples, predictions, strict=False)]
    assert innovations[0] == 0.5 * 2**14, "before the first sample, the size is the smallest that has a row of its own"
    assert innovations[1:] == [error / size for error, size in zip(missed[1:], sizes[1:], strict=False)]
    assert predictions[2] != 0


def test_it_is_the_predictor_of_the_baseline() -> None:
    # LPC-24 solves from the same frames when its first one ends where this one's hop does
    coding, config = MuLawCoding(256), PredictionConfig(hop=80)
    codes = coding.encode(sound("tone", 1, 3000)[0] + 0.01 * sound("noise", 1, 3000)[0])
    state = first_predictor_state(config, 1)
    waveform = coding.decode(codes).astype(np.float64)
    found = []
    for value in waveform:
        found.append(float(state.predictions[0]))
        predict_rows(packed_predictor(config), state, np.array([[value]]), *np.zeros((3, 1, 1), np.int64))
    expected = np.concatenate([prediction for _, prediction, _ in _predictions(codes, 16_000, coding)])
    np.testing.assert_allclose(found[480:], expected, atol=1e-9)
    assert np.abs(np.array(found[480:]) - waveform[480:]).std() < 0.2 * waveform.std(), "it predicts"


def test_the_future_does_not_matter() -> None:
    config = PredictionConfig(order=3, window=20, hop=4)
    samples = sound("noise", 2, 100)
    changed = samples.copy()
    changed[:, 61:] = 0.5
    for before, after in zip(predicted_rows(config, samples), predicted_rows(config, changed), strict=True):
        np.testing.assert_array_equal(before[:, :61], after[:, :61])
        assert (before[:, 61:] != after[:, 61:]).any()


def test_the_past_beyond_the_memory_does_not_matter() -> None:
    config = PredictionConfig(order=8, window=40, hop=10, decay=0.9)
    samples = np.concatenate([sound("noise", 1, 200), sound("tone", 1, 300)], axis=1)
    assert config.memory == 130
    whole = predicted_rows(config, samples)
    start = 200 // config.step * config.step  # so that solutions fall on the same samples
    late = predicted_rows(config, samples[:, start:])
    for before, after in zip(whole, late, strict=True):
        np.testing.assert_array_equal(before[:, start + config.memory :], after[:, config.memory :])


@given(st.lists(st.floats(-3, 3) | st.sampled_from(value_limits().tolist()), min_size=1, max_size=30))
def test_rows_count_the_limits_that_are_reached(values: list[float]) -> None:
    numbers = np.array(values)
    for rows, limits, count in (
        (value_rows, value_limits(), VALUES),
        (size_rows, size_limits(), SIZES),
        (innovation_rows, innovation_limits(), INNOVATIONS),
    ):
        expected = [int((limits <= number).sum()) for number in numbers]
        assert rows(numbers).tolist() == expected
        assert len(limits) == count - 1


def test_lengths_follow_the_sample_rate_unless_they_are_given() -> None:
    assert (PredictionConfig().frame, PredictionConfig().step) == (480, 40)
    resolved = PredictionConfig(hop=7).resolved(44_100)
    assert (resolved.frame, resolved.step) == (1323, 7)
    assert PredictionConfig().resolved(1_000).frame == 30


def test_new_models_read_innovations_and_those_from_before_do_not() -> None:
    assert all(preset(name).model.prediction.resolved(8_000).innovation for name in PRESETS)
    before = PredictionConfig.model_validate({"order": 24, "window": 240, "hop": 20, "decay": 0.97})
    assert not before.resolved(8_000).innovation


def test_presets_have_it_and_none_switches_it_off() -> None:
    config = preset("small")
    assert config.model.prediction == PredictionConfig(innovation=True)
    assert override(config, {"model": {"prediction": "none"}}).model.prediction is None
    assert config.model.context == config.model.receptive_field + PredictionConfig().memory
    with pytest.raises(UserError, match="window = 24 must be more than order = 24"):
        override(config, {"model": {"prediction": {"window": 24}}})
