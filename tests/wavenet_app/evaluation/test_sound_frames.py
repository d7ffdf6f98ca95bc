"""Frames: levels, flatness and mel bands of signals with known values."""

import numpy as np
import pytest

from wavenet_app.evaluation.sound_frames import MEL_BANDS, flatness, frames, levels, log_mel, power_spectra

RATE = 16_000


def sine(frequency: float, seconds: float = 1.0, amplitude: float = 1.0) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * frequency * np.arange(round(seconds * RATE)) / RATE)


def test_levels_are_rms_without_the_mean() -> None:
    np.testing.assert_allclose(levels(sine(1_000), RATE), -3.01, atol=0.05)
    np.testing.assert_allclose(levels(sine(1_000, amplitude=0.1), RATE), -23.01, atol=0.05)
    assert (levels(np.full(RATE, 0.7), RATE) == -120).all()


def test_flatness_separates_noise_from_tones() -> None:
    noise = np.random.default_rng(0).standard_normal(RATE)
    assert flatness(noise, RATE).mean() == pytest.approx(0.56, abs=0.02)
    assert flatness(1e-3 * noise, RATE).mean() == pytest.approx(flatness(noise, RATE).mean(), abs=1e-3)
    assert flatness(sine(1_000), RATE).max() < 1e-3


def test_a_sine_of_full_scale_on_a_bin_has_power_one() -> None:
    power = power_spectra(sine(1_000), 512, 256, 512)
    np.testing.assert_allclose(power[:, 32], 1, atol=1e-6)


def test_log_mel_peaks_at_the_sine_and_has_a_minimum() -> None:
    import librosa

    centres = librosa.mel_frequencies(n_mels=MEL_BANDS + 2, fmax=RATE / 2)[1:-1]
    for frequency in (300, 1_500, 6_000):
        band = int(np.abs(centres - frequency).argmin())
        found = log_mel(sine(float(centres[band])), RATE)
        assert (found.argmax(axis=1) == band).all()
        assert -5 < found.max() < 0.1
    assert (log_mel(np.zeros(RATE), RATE) == -80).all()


@pytest.mark.parametrize("samples", [1, 3, 511, 513])
def test_a_short_waveform_gives_a_frame(samples: int) -> None:
    assert len(levels(np.ones(samples), RATE)) == 1
    assert log_mel(np.ones(samples), RATE).shape == (1, MEL_BANDS)


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        frames(np.zeros((2, 10)), 4, 2)


@pytest.mark.parametrize("rate", [4_000, 8_000, 22_050, 48_000])
def test_every_band_has_energy_at_any_rate(rate: int, recwarn: pytest.WarningsRecorder) -> None:
    noise = np.random.default_rng(0).standard_normal(rate)
    assert log_mel(noise, rate).min() > -60
    assert not [warning for warning in recwarn if "Empty filters" in str(warning.message)]
