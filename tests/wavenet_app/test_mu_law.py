"""Mu-law codes: a codec, its table and its decision edges tell the same story."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from wavenet_app import mu_law

channel_counts = st.sampled_from([16, 64, 256, 1024])
waveforms = hnp.arrays(np.float32, st.integers(1, 50), elements=st.floats(-1, 1, width=32))


@given(channel_counts)
def test_every_code_comes_back(channels):
    codes = np.arange(channels)
    assert np.array_equal(mu_law.encode(mu_law.decode(codes, channels), channels), codes)


@given(waveforms, channel_counts)
def test_decision_edges_say_what_encode_does(waveform, channels):
    edges = mu_law.decision_edges(channels)
    by_edges = np.searchsorted(edges, waveform.astype(np.float64), side="right")
    distance = np.abs(waveform[:, None].astype(np.float64) - edges).min(axis=1)
    clear = distance > 1e-6
    assert np.array_equal(mu_law.encode(waveform, channels)[clear], by_edges[clear])


@given(waveforms, channel_counts)
def test_a_louder_sample_never_gets_a_lower_code(waveform, channels):
    ordered = np.sort(waveform)
    assert np.all(np.diff(mu_law.encode(ordered, channels)) >= 0)


def test_values_beyond_full_scale_are_clipped():
    assert mu_law.encode(np.array([-3.0, 3.0])).tolist() == [0, 255]


@pytest.mark.parametrize("channels", [16, 256, 1024])
def test_silence_is_the_middle(channels):
    assert mu_law.encode(np.zeros(1), channels)[0] == mu_law.silence_code(channels)


def test_round_trip_of_speech_like_noise_is_about_38_decibels():
    waveform = np.random.default_rng(0).laplace(scale=0.1, size=20_000).clip(-1, 1)
    error = mu_law.decode(mu_law.encode(waveform)) - waveform
    assert 36 < 10 * np.log10(np.mean(waveform**2) / np.mean(error**2)) < 40
