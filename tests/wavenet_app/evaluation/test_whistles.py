"""Whistles are found at any rate, and speech and strings have none."""

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from wavenet_app.evaluation.whistles import whistle_seconds

RATE = 16_000
RNG = np.random.default_rng(0)


def _tone(frequency: float, seconds: float, rate: int = RATE, amplitude: float = 0.1) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)


@given(
    frequency=st.floats(600, 3_500),
    seconds=st.floats(0.3, 1.5),
    before=st.floats(0, 1),
    rate=st.sampled_from([8_000, 16_000, 22_050, 48_000]),
)
@settings(max_examples=30, deadline=None)
def test_a_tone_between_noise_is_found_with_its_length(frequency, seconds, before, rate):
    noise = [0.1 * RNG.standard_normal(round(length * rate)) for length in (before, 0.5)]
    found = whistle_seconds(np.concatenate([noise[0], _tone(frequency, seconds, rate), noise[1]]), rate)
    assert seconds - 0.1 <= found <= seconds + 0.05


@pytest.mark.parametrize(
    "waveform",
    [
        np.zeros(RATE),
        np.zeros(10),
        np.zeros(0),
        0.1 * RNG.standard_normal(2 * RATE),
        _tone(200, 2),
        _tone(2_000, 2, amplitude=0.001),
        _tone(2_000, 0.1),
        _tone(200, 2) + _tone(2_000, 2),
        np.sign(_tone(300, 2)),
        0.1 * np.sin(2 * np.pi * np.cumsum(np.linspace(600, 7_000, RATE // 4)) / RATE),
    ],
    ids=["zeros", "few zeros", "nothing", "noise", "low", "faint", "short", "two tones", "buzz", "sweep"],
)
def test_what_is_no_whistle(waveform):
    assert whistle_seconds(waveform, RATE) == 0


def test_a_whistle_that_jumps_is_several():
    assert whistle_seconds(np.concatenate([_tone(f, 0.11) for f in (800, 2_000, 1_200, 3_000)]), RATE) == 0
    joined = whistle_seconds(np.concatenate([_tone(f, 0.5) for f in (800, 2_000)]), RATE)
    assert joined == pytest.approx(0.9, abs=0.1)


@pytest.mark.shared_data
def test_real_speech_has_none(shared_audio):
    for path in sorted((shared_audio / "speech").glob("*.flac"))[:40]:
        waveform, rate = soundfile.read(path)
        assert whistle_seconds(waveform, rate) == 0, path.name
