from __future__ import annotations

import time
from itertools import pairwise

import numpy as np
import pytest

from wavenet_app.corpus import plucked


def test_clips_are_reproducible_and_all_different():
    one, other = (list(plucked.plucked_clips(seed=3, count=4, seconds=1.0)) for _ in range(2))
    for (name, waveform), (same_name, same_waveform) in zip(one, other, strict=True):
        assert name == same_name
        np.testing.assert_array_equal(waveform, same_waveform)
    assert not np.array_equal(one[0][1], one[1][1])
    assert not np.array_equal(one[0][1], next(plucked.plucked_clips(seed=4, count=1, seconds=1.0))[1])


def test_a_larger_count_keeps_the_earlier_clips():
    few, many = (list(plucked.plucked_clips(count=count, seconds=0.5)) for count in (2, 3))
    for (_, waveform), (_, same_waveform) in zip(few, many[:2], strict=True):
        np.testing.assert_array_equal(waveform, same_waveform)


@pytest.mark.parametrize(("sample_rate", "seconds"), [(8_000, 4.0), (16_000, 0.3), (22_050, 0.0001)])
def test_clips_are_loud_waveforms_of_the_requested_length(sample_rate, seconds):
    for _, waveform in plucked.plucked_clips(sample_rate, seed=1, count=2, seconds=seconds):
        assert waveform.dtype == np.float32
        assert waveform.shape == (round(seconds * sample_rate),)
        assert np.abs(waveform).max() <= 0.9
        assert seconds < 0.1 or np.abs(waveform).max() >= 0.7


def test_the_whole_corpus_takes_little_time():
    started = time.perf_counter()
    assert len(list(plucked.plucked_clips())) == plucked.COUNT
    assert time.perf_counter() - started < 5  # a quarter of a second on an idle machine


@pytest.mark.parametrize("frequency", plucked.PITCHES)
@pytest.mark.parametrize("sample_rate", [8_000, 16_000])
def test_a_string_sounds_at_its_pitch_and_decays(frequency, sample_rate):
    note = plucked.pluck(frequency, sample_rate // 2, sample_rate, np.random.default_rng(0))
    assert np.abs(note).max() == pytest.approx(1)
    assert note[-1] == 0
    spectrum = np.abs(np.fft.rfft(note * np.hanning(len(note)), 1 << 18))
    measured = np.argmax(spectrum[: round(1.5 * frequency / sample_rate * (1 << 18))]) * sample_rate / (1 << 18)
    assert abs(1200 * np.log2(measured / frequency)) < 5
    tenth = len(note) // 10
    loudness = [np.sqrt(np.mean(note[start : start + tenth] ** 2)) for start in range(0, len(note), tenth)]
    assert all(later < earlier for earlier, later in pairwise(loudness))
    assert loudness[4] > 0.02


def test_notes_are_steady_enough_to_predict():
    note = plucked.pluck(330.0, 4_000, 8_000, np.random.default_rng(0))[400:3000]
    period = 8_000 / 330
    shifted = np.interp(np.arange(len(note) - 30) + period, np.arange(len(note)), note)
    similarity = np.corrcoef(shifted, note[: len(note) - 30])[0, 1]
    assert similarity > 0.98
