"""Frame f covers samples f x hop to (f + 1) x hop, however the waveform is cut."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wavenet_app.audio.mel import MelFrames, silent_conditioning
from wavenet_app.config import MelConfig

RATE = 8_000


@pytest.fixture(scope="module")
def mel() -> MelFrames:
    return MelFrames(MelConfig(n_mels=12).resolved(RATE), RATE)


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, samples).astype(np.float32)


@given(samples=st.integers(0, 2_000))
@settings(deadline=None, max_examples=40)
def test_there_is_a_frame_for_each_started_hop(mel, samples):
    assert mel.of(noise(samples)).shape == (math.ceil(samples / mel.hop), 12)


@given(place=st.integers(0, 1_999))
@settings(deadline=None, max_examples=40)
def test_a_click_is_loudest_in_its_own_frame(mel, place):
    waveform = np.zeros(2_000, np.float32)
    waveform[place] = 0.9
    loudness = mel.of(waveform).sum(axis=1)
    offset = place % mel.hop
    if 0 < offset < mel.hop - 1:  # else the neighbour is as near
        assert int(loudness.argmax()) == place // mel.hop


def test_levels_are_natural_logarithms_and_never_below_the_floor(mel):
    assert (mel.of(np.zeros(500, np.float32)) == np.float32(math.log(1e-5))).all()
    times = np.arange(4_000) / RATE
    tone = (0.5 * np.sin(2 * np.pi * 1_000 * times)).astype(np.float32)
    quiet, loud = mel.of(0.1 * tone)[10], mel.of(tone)[10]
    band = int(loud.argmax())
    assert loud[band] - quiet[band] == pytest.approx(math.log(10), abs=1e-3)


def test_a_frame_is_the_magnitude_under_a_hann_window_in_bands(mel):
    """The definition for one frame, with the window of period n_fft."""
    waveform = noise(20 * mel.hop)
    size = mel.mel.n_fft
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    start = 7 * mel.hop - (size - mel.hop) // 2
    magnitudes = np.abs(np.fft.rfft(window * waveform[start : start + size]))
    np.testing.assert_allclose(mel.of(waveform)[7], np.log(magnitudes @ mel.bank), atol=1e-4)


def test_bands_cover_the_frequencies_from_fmin_to_fmax():
    bank = MelFrames(MelConfig(n_mels=12, fmin=600, fmax=2_400).resolved(RATE), RATE).bank
    frequencies = np.linspace(0, RATE / 2, len(bank))
    assert (bank[(frequencies < 599) | (frequencies > 2_401)] == 0).all()
    assert (bank[(frequencies > 601) & (frequencies < 2_399)].sum(axis=1) > 0).all()


def test_silence_is_the_floor_in_every_band_and_has_no_melody(mel):
    assert (mel.silent(2) == np.float32(math.log(1e-5))).all()
    silence = silent_conditioning(mel.mel, 3)
    assert silence.shape == (3, mel.mel.columns)
    assert mel.mel.columns > 12
    assert (silence[:, :12] == np.float32(math.log(1e-5))).all()
    assert (silence[:, 12:] == 0).all()


def test_without_a_melody_frames_are_their_own_conditioning():
    mel = MelFrames(MelConfig(n_mels=12, melody=False).resolved(RATE), RATE)
    frames = mel.of(noise(500))
    assert next(mel.conditioning([frames])) is frames
    assert mel.conditioning_of(frames, noise(500)) is frames


def test_a_single_hop_has_its_frame_and_less_has_none(mel):
    whole = noise(mel.hop + 2 * mel.margin)
    assert mel.of_widened(whole).shape == (1, 12)
    assert mel.of_widened(whole[1:]).shape == (0, 12)


@given(
    samples=st.integers(0, 3_000),
    cuts=st.lists(st.integers(0, 3_000), max_size=6),
    frames_at_once=st.integers(1, 9),
)
@settings(deadline=None, max_examples=60)
def test_a_stream_equals_the_whole(mel, samples, cuts, frames_at_once):
    waveform = noise(samples)
    blocks = np.split(waveform, sorted(min(cut, samples) for cut in cuts))
    pieces = list(mel.stream(blocks, frames_at_once))
    streamed = np.concatenate([np.zeros((0, 12), np.float32), *pieces])
    np.testing.assert_allclose(streamed, mel.of(waveform), atol=1e-4)


def test_a_widened_stretch_equals_its_part_of_the_whole(mel):
    waveform = noise(20 * mel.hop)
    begin, end = 5 * mel.hop - mel.margin, 9 * mel.hop + mel.margin
    np.testing.assert_allclose(mel.of_widened(waveform[begin:end]), mel.of(waveform)[5:9], atol=1e-4)
