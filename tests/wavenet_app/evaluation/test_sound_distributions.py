"""Distances between sets of clips: zero for equal sets, and the known size of known changes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavenet_app.evaluation.frechet import embed, frechet_distance
from wavenet_app.evaluation.sound_distributions import sound_distances, sound_features, spread_pieces

RATE = 8_000


def tone(frequency: float, amplitude: float = 0.3, seconds: float = 1.0) -> np.ndarray:
    times = np.arange(round(seconds * RATE)) / RATE
    return amplitude * sum(np.sin(2 * np.pi * k * frequency * times) / k for k in (1, 2, 3))


def with_pauses(pause: float) -> np.ndarray:
    silent = np.zeros(round(pause * RATE))
    return np.concatenate([tone(200, seconds=0.4), silent, tone(200, seconds=0.4), silent, tone(200, seconds=0.4)])


def test_a_set_has_distance_zero_from_itself() -> None:
    features = sound_features([tone(200), with_pauses(0.2)], RATE)
    found = sound_distances(features, features)
    assert (found.log_mel, found.pitch, found.energy, found.pauses) == (0, 0, 0, 0)


def test_an_octave_is_twelve_semitones_and_half_the_amplitude_six_decibels() -> None:
    low, high = (sound_features([tone(frequency)], RATE) for frequency in (150, 300))
    assert sound_distances(low, high).pitch == pytest.approx(12, abs=0.3)
    assert low.voiced_share > 0.9
    quiet = sound_features([tone(150, amplitude=0.15)], RATE)
    assert sound_distances(low, quiet).energy == pytest.approx(6.02, abs=0.1)
    assert sound_distances(low, quiet).pitch == pytest.approx(0, abs=0.1)


def test_pauses_and_their_share_are_measured() -> None:
    short, long = (sound_features([with_pauses(pause)], RATE) for pause in (0.2, 0.6))
    found = sound_distances(short, long)
    assert found.pauses == pytest.approx(0.4, abs=0.05)
    assert long.pause_share(long.pause_threshold) == pytest.approx(1.2 / 2.4, abs=0.05)
    assert len(short.pauses(short.pause_threshold)) == 2


def test_noise_has_no_pitch_and_no_pauses() -> None:
    noise = sound_features([0.1 * np.random.default_rng(0).standard_normal(RATE)], RATE)
    found = sound_distances(sound_features([tone(200)], RATE), noise)
    assert noise.voiced_share < 0.3
    assert np.isnan(found.pauses)
    assert found.log_mel > 10


def test_digital_silence_has_features() -> None:
    features = sound_features([np.zeros(RATE)], RATE)
    assert features.voiced_share == 0
    assert np.isnan(sound_distances(sound_features([tone(200)], RATE), features).pitch)


@given(st.lists(st.integers(0, 200), min_size=1, max_size=20), st.integers(1, 50), st.integers(1, 30))
def test_pieces_are_within_their_clips_and_never_overlap(lengths: list[int], piece: int, count: int) -> None:
    found = spread_pieces(lengths, piece, count)
    assert len(found) == min(count, sum(length // piece for length in lengths))
    assert len(set(found)) == len(found)
    assert all(start % piece == 0 and start + piece <= lengths[clip] for clip, start in found)


def test_pieces_are_spread_over_all_audio() -> None:
    assert spread_pieces([100] * 10, 100, 4) == [(0, 0), (3, 0), (6, 0), (9, 0)]
    assert len(spread_pieces([100] * 10, 100, 1)) == 1


def test_the_frechet_distance_equals_its_formula() -> None:
    from scipy.linalg import sqrtm

    rng = np.random.default_rng(0)
    one = rng.normal(size=(200, 5)) @ rng.normal(size=(5, 5))
    other = rng.normal(size=(150, 5)) @ rng.normal(size=(5, 5)) + 1
    covariances = np.cov(one.T), np.cov(other.T)
    wanted = ((one.mean(0) - other.mean(0)) ** 2).sum() + np.trace(
        covariances[0] + covariances[1] - 2 * sqrtm(covariances[0] @ covariances[1]).real
    )
    assert frechet_distance(one, other) == pytest.approx(wanted)
    assert frechet_distance(one, other) == pytest.approx(frechet_distance(other, one))
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-6)
    assert np.isnan(frechet_distance(one[:1], other))


def test_the_embedding_separates_similar_from_different() -> None:
    def clips(low: float, seed: int) -> list[np.ndarray]:
        return [tone(frequency) for frequency in np.random.default_rng(seed).uniform(low, 1.3 * low, 12)]

    real, similar, different = (embed(clips(low, seed), RATE) for low, seed in ((150, 0), (150, 1), (500, 2)))
    assert real.shape == (36, 24)
    assert frechet_distance(real, similar) < 0.3 * frechet_distance(real, different)


def test_a_clip_shorter_than_a_patch_is_one_point() -> None:
    assert embed([tone(200, seconds=0.1)], RATE).shape == (1, 24)
