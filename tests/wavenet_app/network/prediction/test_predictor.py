"""Linear prediction: the compiled predictor equals the reference to the bit, and what nets read of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wavenet_app.coding import MuLawCoding
from wavenet_app.config import PredictionConfig, preset
from wavenet_app.core.errors import UserError
from wavenet_app.core.settings import override
from wavenet_app.corpus.baseline import _predictions
from wavenet_app.network.prediction.compiled import predict_rows, predicted_rows, reference_rows
from wavenet_app.network.prediction.packed import first_predictor_state, packed_predictor
from wavenet_app.network.prediction.predictor import Predictor
from wavenet_app.network.prediction.rows import SIZES, VALUES, size_limits, size_rows, value_limits, value_rows

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


def compiled(config: PredictionConfig, samples: np.ndarray, cuts: tuple[int, ...] = ()) -> tuple[np.ndarray, ...]:
    """Predictions and sizes after the last sample, and the rows after each, taken in chunks."""
    state = first_predictor_state(config, len(samples))
    rows: list[tuple[np.ndarray, np.ndarray]] = []
    for chunk in np.split(samples, sorted(cuts), axis=1):
        values, sizes = np.zeros(chunk.shape, np.int64), np.zeros(chunk.shape, np.int64)
        predict_rows(packed_predictor(config), state, np.ascontiguousarray(chunk), values, sizes)
        rows.append((values, sizes))
    values, sizes = (np.concatenate(parts, axis=1) for parts in zip(*rows, strict=True))
    return state.predictions, state.sizes, values, sizes


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
    predictions, sizes, value_places, size_places = compiled(config, samples, cuts)
    np.testing.assert_array_equal(predictions, predictor.prediction)
    np.testing.assert_array_equal(sizes, predictor.size)
    for found, expected in zip((value_places, size_places), reference_rows(config, samples), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_it_is_the_predictor_of_the_baseline() -> None:
    # LPC-24 solves from the same frames when its first one ends where this one's hop does
    coding, config = MuLawCoding(256), PredictionConfig(hop=80)
    codes = coding.encode(sound("tone", 1, 3000)[0] + 0.01 * sound("noise", 1, 3000)[0])
    state = first_predictor_state(config, 1)
    waveform = coding.decode(codes).astype(np.float64)
    found = []
    for value in waveform:
        found.append(float(state.predictions[0]))
        predict_rows(
            packed_predictor(config), state, np.array([[value]]), np.zeros((1, 1), np.int64), np.zeros((1, 1), np.int64)
        )
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
    for rows, limits, count in ((value_rows, value_limits(), VALUES), (size_rows, size_limits(), SIZES)):
        expected = [int((limits <= number).sum()) for number in numbers]
        assert rows(numbers).tolist() == expected
        assert len(limits) == count - 1


def test_lengths_follow_the_sample_rate_unless_they_are_given() -> None:
    assert (PredictionConfig().frame, PredictionConfig().step) == (480, 40)
    resolved = PredictionConfig(hop=7).resolved(44_100)
    assert (resolved.frame, resolved.step) == (1323, 7)
    assert PredictionConfig().resolved(1_000).frame == 30


def test_presets_have_it_and_none_switches_it_off() -> None:
    config = preset("small")
    assert config.model.prediction == PredictionConfig()
    assert override(config, {"model": {"prediction": "none"}}).model.prediction is None
    assert config.model.context == config.model.receptive_field + PredictionConfig().memory
    with pytest.raises(UserError, match="window = 24 must be more than order = 24"):
        override(config, {"model": {"prediction": {"window": 24}}})
