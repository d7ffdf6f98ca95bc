"""Runaway to noise or a hum and collapse to silence, on synthetic and real clips."""

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from wavenet_app.coding import MuLawCoding
from wavenet_app.corpus.plucked import plucked_clips
from wavenet_app.evaluation.runaway import failure

RATE = 16_000
TIMES = np.arange(2 * RATE) / RATE
TONE = 0.4 * np.sin(2 * np.pi * 220 * TIMES)
RNG = np.random.default_rng(0)
WHITE = 0.2 * RNG.standard_normal(2 * RATE)


def pink() -> np.ndarray:
    spectrum = np.fft.rfft(RNG.standard_normal(2 * RATE))
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    waveform = np.fft.irfft(spectrum)
    return 0.2 * waveform / waveform.std()


@pytest.mark.parametrize(
    "waveform",
    [
        WHITE,
        MuLawCoding().decode(RNG.integers(0, 256, 2 * RATE)),
        pink(),
        np.where(TIMES < 0.9, TONE, WHITE),
        np.sign(WHITE),
    ],
    ids=["white", "random codes", "pink", "a tone that turns into noise", "full scale"],
)
def test_noise_is_noise(waveform: np.ndarray) -> None:
    assert failure(waveform, RATE) == "noise"


@pytest.mark.parametrize(
    "waveform",
    [np.zeros(2 * RATE), np.full(2 * RATE, 0.3), 0.002 * WHITE, np.where(TIMES < 0.9, TONE, 0.0)],
    ids=["zeros", "a constant", "faint hiss", "a tone that ends"],
)
def test_silence_is_silence(waveform: np.ndarray) -> None:
    assert failure(waveform, RATE) == "silence"


@pytest.mark.parametrize(
    "waveform",
    [
        TONE,
        np.sign(TONE),
        TONE + 0.05 * WHITE,
        TONE + 0.3 * WHITE,
        np.where(TIMES < 1.0, WHITE, TONE),
        TONE * (1 + 0.3 * np.sin(2 * np.pi * 4 * TIMES)),
        0.4 * np.sin(2 * np.pi * 220 * TIMES + 3 * np.sin(2 * np.pi * 5 * TIMES)),
    ],
    ids=["tone", "square", "over hiss", "over loud hiss", "after noise", "tremolo", "vibrato"],
)
def test_what_stands_still_is_a_hum(waveform: np.ndarray) -> None:
    assert failure(waveform, RATE) == "hum"


@given(st.integers(30, 3_000), st.integers(1, 12), st.floats(0, 0.01), st.sampled_from([8_000, 16_000, 44_100]))
@settings(max_examples=20, deadline=None)
def test_any_steady_buzz_is_a_hum_at_any_rate(pitch: int, partials: int, hiss: float, rate: int) -> None:
    times = np.arange(2 * rate) / rate
    partial = [
        np.sin(2 * np.pi * pitch * n * times + n * n) / n for n in range(1, partials + 1) if n * pitch < rate / 2
    ]
    waveform = 0.3 * np.sum(partial, axis=0) + hiss * np.random.default_rng(partials).standard_normal(len(times))
    assert failure(waveform, rate) == "hum"


@pytest.mark.parametrize(
    "waveform",
    [
        0.02 * TONE,
        np.where(TIMES % 0.5 < 0.25, TONE, 0.0),
        np.where(TIMES % 0.5 < 0.25, TONE, WHITE),
        np.where(TIMES < 1.4, TONE, 0.4 * np.sin(2 * np.pi * 330 * TIMES)),
        TONE[: RATE // 2],
    ],
    ids=["quiet", "with pauses", "with fricatives", "two notes", "half a second"],
)
def test_sound_is_none_of_them(waveform: np.ndarray) -> None:
    assert failure(waveform, RATE) is None


@pytest.mark.parametrize("samples", [1, 2, 100])
def test_the_shortest_clips_have_a_result(samples: int) -> None:
    assert failure(np.zeros(samples), RATE) == "silence"


def test_plucked_strings_are_none_of_them() -> None:
    for _, waveform in zip(range(10), plucked_clips(8_000), strict=False):
        assert failure(waveform[1], 8_000) is None


@pytest.mark.shared_data
def test_real_speech_is_none_of_them(shared_audio) -> None:
    found = []
    for path in sorted((shared_audio / "speech").rglob("*.*"))[:60]:
        if path.suffix not in (".wav", ".flac"):
            continue
        waveform, rate = soundfile.read(path)
        for start in range(0, len(waveform) - 2 * rate, 2 * rate):
            found.append(failure(2.6 * waveform[start : start + 2 * rate], rate))
    assert found
    assert "noise" not in found
    assert "hum" not in found
    assert found.count("silence") <= 0.02 * len(found)
