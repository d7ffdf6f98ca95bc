"""Codings: integers for waveforms and back, with edges that say where one gives way to the next."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from wavenet_app.audio.files import pcm16
from wavenet_app.coding import STEP, Coding, MuLawCoding, SixteenBitCoding

CODINGS = [MuLawCoding(16), MuLawCoding(256), MuLawCoding(1024), SixteenBitCoding()]
channel_counts = st.sampled_from([16, 64, 256, 1024])
waveforms = hnp.arrays(np.float32, st.integers(1, 50), elements=st.floats(-1, 1, width=32))


@pytest.mark.parametrize("coding", CODINGS, ids=lambda coding: coding.name)
def test_every_code_is_what_its_own_value_is_coded_as(coding: Coding) -> None:
    codes = np.arange(coding.lowest, coding.lowest + coding.size)
    values = coding.decode(codes)
    assert values.dtype == np.float32
    assert np.abs(values).max() <= 1
    assert coding.encode(values).dtype == np.int16
    np.testing.assert_array_equal(coding.encode(values), codes)
    assert abs(float(coding.decode(np.array(coding.silence)))) < 0.04


@given(st.sampled_from(CODINGS), st.floats(-1.2, 1.2))
def test_edges_lie_between_the_codes(coding: Coding, value: float) -> None:
    edges = coding.edges()
    assert edges.shape == (coding.size - 1,)
    place = int(np.searchsorted(edges, value)) + coding.lowest
    near = np.abs(edges - value).min() < 1e-6  # where float32 may decide otherwise
    assert near or int(coding.encode(np.array(value))) == place


def test_sixteen_bits_are_those_of_a_wav_file() -> None:
    waveform = np.random.default_rng(0).uniform(-1.1, 1.1, 1_000).astype(np.float32)
    np.testing.assert_array_equal(SixteenBitCoding().encode(waveform), pcm16(waveform))
    assert SixteenBitCoding().edges()[[0, -1]].tolist() == [(-32_767.5) * STEP, 32_766.5 * STEP]


@given(channel_counts)
def test_every_code_comes_back(channels):
    codes = np.arange(channels)
    assert np.array_equal(MuLawCoding(channels).encode(MuLawCoding(channels).decode(codes)), codes)


@given(waveforms, channel_counts)
def test_decision_edges_say_what_encode_does(waveform, channels):
    edges = MuLawCoding(channels).edges()
    by_edges = np.searchsorted(edges, waveform.astype(np.float64), side="right")
    distance = np.abs(waveform[:, None].astype(np.float64) - edges).min(axis=1)
    clear = distance > 1e-6
    assert np.array_equal(MuLawCoding(channels).encode(waveform)[clear], by_edges[clear])


@given(waveforms, channel_counts)
def test_a_louder_sample_never_gets_a_lower_code(waveform, channels):
    ordered = np.sort(waveform)
    assert np.all(np.diff(MuLawCoding(channels).encode(ordered)) >= 0)


def test_values_beyond_full_scale_are_clipped():
    assert MuLawCoding().encode(np.array([-3.0, 3.0])).tolist() == [0, 255]


@pytest.mark.parametrize("channels", [16, 256, 1024])
def test_silence_is_the_middle(channels):
    assert MuLawCoding(channels).encode(np.zeros(1))[0] == MuLawCoding(channels).silence


def test_round_trip_of_speech_like_noise_is_about_38_decibels():
    waveform = np.random.default_rng(0).laplace(scale=0.1, size=20_000).clip(-1, 1)
    error = MuLawCoding().decode(MuLawCoding().encode(waveform)) - waveform
    assert 36 < 10 * np.log10(np.mean(waveform**2) / np.mean(error**2)) < 40
