"""Pair metrics: zero for equal waveforms, known values for known changes, and a reason if there is no value."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wavenet_app.coding import MuLawCoding
from wavenet_app.evaluation.pair_metrics import (
    PAIR_METRICS,
    Measure,
    intelligibility,
    log_spectral_distance,
    mel_cepstral_distortion,
    perceived_quality,
    stft_distance,
)
from wavenet_app.evaluation.pair_table import as_coded, averages, pair_table

RATE = 16_000
DISTANCES = (stft_distance, log_spectral_distance, mel_cepstral_distortion)


def voice(seconds: float = 1.5, seed: int = 0) -> np.ndarray:
    """A buzz with moving pitch, formants and pauses: similar enough to speech for all metrics."""
    from scipy.signal import lfilter

    times = np.arange(round(seconds * RATE)) / RATE
    phase = np.cumsum(120 + 30 * np.sin(2 * np.pi * 1.5 * times)) / RATE
    buzz = (phase % 1 < 0.1).astype(float) - 0.1
    buzz += 0.02 * np.random.default_rng(seed).standard_normal(len(buzz))
    for frequency, width in ((600, 80), (1_300, 100), (2_500, 150)):
        radius = np.exp(-np.pi * width / RATE)
        buzz = lfilter([1 - radius], [1, -2 * radius * np.cos(2 * np.pi * frequency / RATE), radius**2], buzz)
    envelope = np.clip(np.sin(2 * np.pi * 3 * times) + 0.6, 0.02, None)
    return 0.6 * buzz * envelope / np.abs(buzz * envelope).max()


def noise(seed: int, level: float) -> np.ndarray:
    return level * np.random.default_rng(seed).standard_normal(RATE)


@pytest.mark.parametrize("metric", DISTANCES)
def test_equal_waveforms_have_distance_zero_and_noise_increases_it(metric) -> None:
    clean = voice()
    hiss = np.random.default_rng(1).standard_normal(len(clean))
    assert metric(clean, clean, RATE) == 0
    found = [metric(clean, clean + level * hiss, RATE) for level in (0.001, 0.01, 0.1)]
    assert 0 < found[0] < found[1] < found[2]


def test_a_change_of_level_has_known_distances() -> None:
    loud = noise(0, 0.1)
    assert log_spectral_distance(loud, 0.5 * loud, RATE) == pytest.approx(20 * np.log10(2), abs=2e-3)
    assert mel_cepstral_distortion(loud, 0.5 * loud, RATE) == pytest.approx(0, abs=1e-3)
    assert stft_distance(loud, 0.5 * loud, RATE) == pytest.approx(0.5 + np.log(2), abs=1e-3)


def test_cepstral_distortion_is_the_rms_of_a_smooth_spectral_change() -> None:
    from wavenet_app.evaluation import pair_metrics
    from wavenet_app.evaluation.sound_frames import MEL_BANDS

    ripple = 3.0 * np.cos(np.pi * 2 * (np.arange(MEL_BANDS) + 0.5) / MEL_BANDS)
    bands = np.zeros((5, MEL_BANDS))
    calls = iter([bands, bands + ripple])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pair_metrics, "log_mel", lambda *_: next(calls))
        found = mel_cepstral_distortion(np.zeros(9), np.zeros(9), RATE)
    assert found == pytest.approx(np.sqrt((ripple**2).mean()))


@given(st.integers(0, 10_000), st.floats(1e-3, 0.3), st.floats(1e-3, 0.3))
@settings(max_examples=15, deadline=None)
def test_log_distances_are_symmetric(seed: int, one: float, other: float) -> None:
    waveforms = noise(seed, one), noise(seed + 1, other)
    for metric in (log_spectral_distance, mel_cepstral_distortion):
        assert metric(*waveforms, RATE) == pytest.approx(metric(*waveforms[::-1], RATE))


@pytest.mark.parametrize("label", PAIR_METRICS)
def test_waveforms_of_different_length_are_refused(label: str) -> None:
    with pytest.raises(ValueError, match="the same length"):
        PAIR_METRICS[label](np.zeros(100), np.zeros(101), RATE)


@pytest.mark.parametrize(("package", "metric"), [("pystoi", intelligibility), ("pesq", perceived_quality)])
def test_a_missing_package_is_named(monkeypatch, package: str, metric) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    found = metric(voice(), voice(), RATE)
    assert np.isnan(found.value)
    assert found.missing is not None
    assert found.missing.startswith("not installed: ")
    assert package in found.missing


def test_stoi() -> None:
    pytest.importorskip("pystoi", reason="the extra `eval` is not installed")
    clean = voice()
    hiss = np.random.default_rng(0).standard_normal(len(clean))
    assert intelligibility(clean, clean, RATE).value == pytest.approx(1)
    assert intelligibility(clean, clean + hiss, RATE).value < 0.8
    assert intelligibility(clean[:2_000], clean[:2_000], RATE).missing == "less than 0.4 s of sound"


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050])
def test_pesq(rate: int) -> None:
    pytest.importorskip("pesq", reason="the extra `eval` is not installed")
    clean = voice(3.0)
    hiss = np.random.default_rng(0).standard_normal(len(clean))
    best = perceived_quality(clean, clean, rate)
    assert best.missing is None
    assert best.value > 4.4
    assert perceived_quality(clean, clean + 0.05 * hiss, rate).value < best.value - 1
    assert perceived_quality(clean, np.zeros_like(clean), rate).missing is not None
    assert perceived_quality(clean[:50], clean[:50], rate).missing is not None


def test_three_comparisons_separate_the_test_from_the_quantisation_floor() -> None:
    reference = voice()
    perfect = as_coded(reference, MuLawCoding(256))
    table = pair_table([(reference, perfect), (reference, perfect)], sample_rate=RATE, coding=MuLawCoding(256))
    label = "log-spectral distance (dB)"
    assert table.against_quantised[label].value == 0
    assert table.against_reference[label].value == table.floor[label].value > 0
    assert table.against_reference[label].pairs == 2
    coarse = pair_table([(reference, perfect)], sample_rate=RATE, coding=MuLawCoding(32))
    assert coarse.floor[label].value > table.floor[label].value


def test_averages_without_values_are_nan() -> None:
    found = averages([])
    assert set(found) == set(PAIR_METRICS)
    assert all(np.isnan(average.value) and average.pairs == 0 for average in found.values())
    mixed = averages([{"a": Measure(np.nan, "x")}, {"a": Measure(np.nan, "y")}])
    assert mixed["a"].missing == "1 of 2: x; 1 of 2: y"
