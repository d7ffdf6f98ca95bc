"""One file at a wrong level neither silences a corpus nor passes without a word."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from wavenet_app.config import AudioConfig, CorpusConfig
from wavenet_app.core.errors import UserError
from wavenet_app.corpus.corpus import open_clips, open_corpus
from wavenet_app.corpus.levels import Level, judge_levels
from wavenet_app.inspection.examine import examine

RATE = 8_000


def tone(index: int, amplitude: float = 0.5) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * (200 + 10 * index) * np.arange(2 * RATE) / RATE)


@pytest.fixture
def open_here(tmp_path):
    def opened(folder):
        return open_corpus(
            [folder], audio=AudioConfig(), split=CorpusConfig(), cache_dir=tmp_path / "cache", sample_rate=RATE
        )

    return opened


@pytest.fixture
def tones(tmp_path):
    """A folder of 12 tones of equal level, and a function that adds a float file."""
    folder = tmp_path / "in"
    folder.mkdir()
    for index in range(12):
        soundfile.write(folder / f"{index}.wav", tone(index), RATE)

    def add(name: str, samples: np.ndarray) -> None:
        soundfile.write(folder / name, samples, RATE, subtype="FLOAT")

    return folder, add


@pytest.mark.parametrize("bits", [15, 23, 31])
def test_a_float_file_in_the_scale_of_integers_is_brought_to_the_others(tones, open_here, bits, tmp_path):
    folder, add = tones
    gain = open_here(folder).gain
    add("odd.wav", tone(99) * 2**bits)
    corpus = open_here(folder)
    assert corpus.gain == pytest.approx(gain, rel=0.01)
    assert corpus.skipped == ()
    remark = next(remark for remark in corpus.remarks if remark.startswith("odd.wav "))
    assert f"{bits + 1}-bit integers" in remark
    assert f"divided by {2**bits:,}" in remark
    odd = next(clip for clip in corpus.training + corpus.validation if clip.name == "odd.wav")
    assert odd.peak == pytest.approx(0.5, rel=0.01)
    np.testing.assert_allclose(corpus.waveform(odd)[:RATE], gain * tone(99)[:RATE], atol=1e-3)
    report = examine([folder], cache_dir=tmp_path / "cache")
    assert report.corpus is not None
    assert remark in report.corpus.remarks


def test_a_file_at_an_impossible_level_is_left_out_with_the_reason(tones, open_here, tmp_path):
    folder, add = tones
    before = open_here(folder)
    add("odd.wav", 200 * tone(99))
    corpus = open_here(folder)
    assert corpus.gain == before.gain
    assert [file.name for file in corpus.skipped] == ["odd.wav"]
    assert corpus.skipped[0].reason == "peaks at 100, 46 dB above the usual 0.5; scale it to [-1, 1]"
    report = examine([folder], cache_dir=tmp_path / "cache")
    assert report.corpus is not None
    assert [(item.name, item.reason) for item in report.corpus.skipped] == [("odd.wav", corpus.skipped[0].reason)]


def test_a_corpus_that_is_all_in_the_scale_of_integers_is_used_as_it_is(tmp_path, open_here):
    for index in range(4):
        (tmp_path / "in").mkdir(exist_ok=True)
        soundfile.write(tmp_path / "in" / f"{index}.wav", 2**15 * tone(index), RATE, subtype="FLOAT")
    corpus = open_here(tmp_path / "in")
    assert corpus.skipped == ()
    assert "every file peaks far beyond full scale, which is 1.0; the gain makes up for that" in corpus.remarks
    assert np.abs(corpus.waveform(corpus.training[0])).max() == pytest.approx(0.9, rel=0.01)


def test_a_file_next_to_silence_is_named(tones, open_here):
    folder, add = tones
    add("quiet.wav", 1e-4 * tone(99))
    assert "quiet.wav is 80 dB below the usual peak of 0.5, next to silence" in open_here(folder).remarks


def test_clips_to_measure_are_judged_by_the_level_of_the_run(tmp_path):
    soundfile.write(tmp_path / "a.wav", 2**15 * tone(0), RATE, subtype="FLOAT")
    audio = AudioConfig(sample_rate=RATE, gain=1.8)
    corpus = open_clips([tmp_path / "a.wav"], audio=audio, cache_dir=tmp_path / "cache")
    assert np.abs(corpus.waveform(corpus.validation[0])).max() == pytest.approx(0.9, rel=0.01)
    soundfile.write(tmp_path / "b.wav", 300 * tone(0), RATE, subtype="FLOAT")
    with pytest.raises(UserError, match=r"b\.wav: peaks at 150"):
        open_clips([tmp_path / "b.wav"], audio=audio, cache_dir=tmp_path / "cache")


@given(st.lists(st.floats(0.02, 1.0), min_size=1, max_size=50), st.floats(0.9, 3.9))
def test_ordinary_levels_are_left_alone(peaks, hot):
    assert judge_levels([*peaks, hot]) == [Level()] * (len(peaks) + 1)


@given(st.lists(st.floats(0.1, 1.0), min_size=1, max_size=20), st.floats(5.0, 1e12))
def test_nothing_far_beyond_full_scale_sets_the_gain(peaks, odd):
    *others, level = judge_levels([*peaks, odd])
    assert others == [Level()] * len(peaks)
    used = odd / 2**level.bits
    assert level.reason or used <= 10 * max(peaks)
    assert bool(level.bits) <= bool(level.remark)


def test_a_loud_exception_is_left_out_but_not_a_loud_half():
    quiet, loud = [0.004] * 20, [0.9]
    assert "47 dB above the usual 0.004" in judge_levels(quiet + loud)[-1].reason
    assert judge_levels(quiet + 10 * loud) == [Level()] * 30


@pytest.mark.shared_data
def test_real_inputs_that_went_wrong(shared_audio_cases, tones, open_here):
    folder, _ = tones
    gain = open_here(folder).gain
    for name in ("float_int16_scale.wav", "quiet_16bit_minus81dBFS.wav", "float_over_1_not_clipped.wav"):
        shutil.copy(shared_audio_cases / name, folder)
    corpus = open_here(folder)
    assert gain / 3.1 < corpus.gain <= gain
    assert corpus.skipped == ()
    assert {remark.split()[0] for remark in corpus.remarks} >= {"float_int16_scale.wav", "quiet_16bit_minus81dBFS.wav"}
