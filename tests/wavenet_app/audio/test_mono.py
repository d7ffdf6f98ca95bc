"""Training and the report measure the same mono signal: the mean of the channels, or one where they cancel out."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from wavenet_app.audio import mono
from wavenet_app.audio.mono import MonoMix, mono_mix, read_audio
from wavenet_app.config import AudioConfig, CorpusConfig
from wavenet_app.corpus.corpus import open_corpus
from wavenet_app.inspection.examine import examine
from wavenet_app.inspection.facts import measure_file

RATE = 16_000


def voice(seconds: float = 2.0, seed: int = 0) -> NDArray[np.float64]:
    times = np.arange(round(seconds * RATE)) / RATE
    noise = np.random.default_rng(seed).standard_normal(len(times))
    return 0.3 * np.sin(2 * np.pi * 150 * times) * np.sin(2 * np.pi * times) ** 2 + 0.02 * noise


def stereo(path: Path, *channels: NDArray[np.float64], subtype: str | None = None) -> Path:
    soundfile.write(path, np.stack(channels, axis=1), RATE, subtype=subtype)
    return path


@pytest.mark.parametrize("name", ["a.mp3", "a.ogg", "a.wav"])
def test_channels_of_opposite_phase_give_one_channel(tmp_path, name):
    """A lossy codec leaves something of the difference, so that the mean is not quite silent."""
    path = stereo(tmp_path / name, voice(), -voice() + 1e-4 * voice(seed=1))
    mix = mono_mix(path)
    assert mix.channel in {0, 1}
    assert re.match(r"has channels that cancel out \(correlation -(1.00|0.9\d)\); channel [12] is used", mix.remark)
    remarks: list[str] = []
    found = read_audio(path, RATE, remarks.append)
    assert remarks == [mix.remark]
    assert np.abs(found).max() > 0.25
    sign = 1 if mix.channel == 0 else -1
    assert np.corrcoef(sign * found[: len(voice())], voice()[: len(found)])[0, 1] > 0.95


def test_the_loudest_of_cancelling_channels_is_taken(tmp_path):
    path = stereo(tmp_path / "a.wav", -0.9 * voice(), voice(), subtype="FLOAT")
    assert mono_mix(path).channel == 1
    np.testing.assert_allclose(read_audio(path, RATE, lambda _: None), voice(), atol=1e-6)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (voice(), voice()),
        (voice(), voice(seed=1)),
        (voice(), np.zeros(2 * RATE)),
        (voice(), -0.4 * voice()),
        (0.1 * voice() + voice(seed=1), voice() - voice(seed=1)[::-1]),
        (np.zeros(2 * RATE), np.zeros(2 * RATE)),
    ],
)
def test_other_channels_are_averaged(tmp_path, first, second):
    path = stereo(tmp_path / "a.wav", first, second, subtype="FLOAT")
    assert mono_mix(path) == MonoMix()
    np.testing.assert_allclose(read_audio(path, RATE), (first + second) / 2, atol=1e-6)


def test_many_independent_channels_do_not_cancel(tmp_path):
    rng = np.random.default_rng(0)
    path = stereo(tmp_path / "a.wav", *(0.1 * rng.standard_normal((24, RATE))))
    assert mono_mix(path) == MonoMix()
    two_pairs = stereo(tmp_path / "b.wav", voice(), -voice(), voice(seed=1), -voice(seed=1))
    assert mono_mix(two_pairs).channel is not None


def test_sound_decides_not_the_silence_before_it(tmp_path, monkeypatch):
    monkeypatch.setattr(mono, "DECIDING_SECONDS", 1.0)
    silence = np.zeros(3 * RATE)
    path = stereo(tmp_path / "a.wav", np.append(silence, voice()), np.append(silence, -voice()))
    assert mono_mix(path).channel is not None
    late = stereo(tmp_path / "b.wav", np.append(voice(), voice()), np.append(voice(), -voice()))
    assert mono_mix(late).channel is None


@pytest.mark.parametrize("name", ["a.mp3", "a.wav"])
def test_report_and_training_say_the_same_of_a_file(tmp_path, name):
    folder = tmp_path / "in"
    folder.mkdir()
    path = stereo(folder / name, voice(), -voice() + 1e-4 * voice(seed=1))
    corpus = open_corpus(
        [folder], audio=AudioConfig(), split=CorpusConfig(), cache_dir=tmp_path / "cache", sample_rate=RATE
    )
    facts = measure_file(path)
    assert facts.remarks == (mono_mix(path).remark,)
    assert f"{name} {facts.remarks[0]}" in corpus.remarks
    assert facts.peak == pytest.approx(20 * np.log10(corpus.training[0].peak), abs=0.01)
    assert corpus.gain < 5
    report = examine([folder], cache_dir=tmp_path / "cache")
    assert report.corpus is not None
    assert report.corpus.remarks == corpus.remarks
    assert [(problem.name, problem.reason) for problem in report.remarks] == [(str(path), facts.remarks[0])]
