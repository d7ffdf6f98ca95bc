"""Codings: integers for waveforms and back, with edges that say where one gives way to the next."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavenet_app.audio.files import pcm16
from wavenet_app.coding import STEP, Coding, MuLawCoding, SixteenBitCoding

CODINGS = [MuLawCoding(16), MuLawCoding(256), MuLawCoding(1024), SixteenBitCoding()]


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
