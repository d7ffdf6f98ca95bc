"""Writing audio in every format: samples, level, length, block sizes and full disks."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wavenet_app.audio.decoding import AUDIO_SUFFIXES, AudioInfo, probe
from wavenet_app.audio.formats import FORMATS, format_named, format_of
from wavenet_app.audio.mono import read_audio
from wavenet_app.audio.writing import wav_blocks, wav_bytes, write_audio, write_audio_blocks
from wavenet_app.core.errors import UserError

RATE = 8_000
LOSSLESS = ["wav", "flac"]


def test_every_format_that_is_written_is_read():
    assert all(written.suffix in AUDIO_SUFFIXES for written in FORMATS.values())
    assert all(soundfile.check_format(written.container, written.subtype) for written in FORMATS.values())


def test_a_format_is_known_by_its_name_and_its_suffix(tmp_path):
    assert format_named("ogg") is format_of(tmp_path / "a.OGG")
    for unknown in (lambda: format_named("mp4"), lambda: format_of(tmp_path / "a.mp4")):
        with pytest.raises(UserError, match="there is no format 'mp4'; choose one of: wav, flac, ogg"):
            unknown()


def test_the_registry_imports_nothing_heavy():
    code = "import sys, wavenet_app.audio.formats; assert not {'numpy', 'soundfile', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", LOSSLESS)
@given(pcm=arrays(np.int16, st.integers(1, 500)))
@settings(max_examples=20, deadline=None)
def test_16_bit_samples_survive_writing_and_reading(tmp_path_factory, name, pcm):
    path = tmp_path_factory.mktemp("audio") / "new" / f"a.{name}"
    write_audio(path, pcm / np.float32(32768), RATE)
    np.testing.assert_array_equal(read_audio(path, RATE) * 32768, pcm)
    assert probe(path) == AudioInfo(RATE, 1, len(pcm), "PCM_16", name.upper())


def test_a_wav_has_the_header_of_44_bytes_and_the_same_bytes_in_memory(tmp_path):
    waveform = np.linspace(-1, 1, 1_000)
    write_audio(tmp_path / "a.wav", waveform, RATE)
    content = (tmp_path / "a.wav").read_bytes()
    assert len(content) == 44 + 2 * 1_000
    assert content == wav_bytes(waveform, RATE)


@pytest.mark.parametrize("name", FORMATS)
def test_a_waveform_beyond_full_scale_is_clipped(tmp_path, name):
    write_audio(tmp_path / f"a.{name}", np.tile([-3.0, 0.0, 3.0], 100), RATE)
    if name in LOSSLESS:
        np.testing.assert_array_equal(read_audio(tmp_path / f"a.{name}", RATE)[:3] * 32768, [-32768, 0, 32767])


def test_ogg_keeps_length_level_and_sound(tmp_path):
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(5 * 16_000) / 16_000)
    write_audio(tmp_path / "a.ogg", tone, 16_000)
    found = read_audio(tmp_path / "a.ogg", 16_000)
    assert len(found) == len(tone)
    assert np.corrcoef(tone, found)[0, 1] > 0.999
    assert np.std(found) == pytest.approx(np.std(tone), rel=0.02)


def test_minutes_of_ogg_do_not_crash_the_encoder(tmp_path):
    # in a process of its own, as one huge write to libsndfile's encoder ends the process
    code = (
        "import sys, numpy as np; from pathlib import Path; from wavenet_app.audio.writing import write_audio\n"
        "write_audio(Path(sys.argv[1]), np.random.default_rng(0).uniform(-1, 1, 4_000_000), 16_000)"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "long.ogg"], check=True)
    assert probe(tmp_path / "long.ogg").frames == 4_000_000


@pytest.mark.parametrize("name", LOSSLESS)
def test_blocks_give_the_same_file_as_the_whole(tmp_path, name):
    samples = np.random.default_rng(0).integers(-9_000, 9_000, 40_000).astype(np.int16)
    write_audio_blocks(tmp_path / f"blocks.{name}", np.split(samples, [1, 700, 39_000]), RATE)
    write_audio_blocks(tmp_path / f"whole.{name}", [samples], RATE)
    for part in ("blocks", "whole"):
        np.testing.assert_array_equal(soundfile.read(tmp_path / f"{part}.{name}", dtype="int16")[0], samples)


def test_the_blocks_of_a_wav_are_its_samples(tmp_path):
    samples = np.random.default_rng(0).integers(-9_000, 9_000, 40_000).astype(np.int16)
    write_audio_blocks(tmp_path / "a.wav", [samples], RATE)
    np.testing.assert_array_equal(np.concatenate(list(wav_blocks(tmp_path / "a.wav"))), samples)


@pytest.mark.parametrize("waveform", [np.zeros((2, 3)), np.array([0.0, np.nan])])
def test_an_invalid_waveform_is_refused(tmp_path, waveform):
    with pytest.raises(ValueError, match="waveform"):
        write_audio(tmp_path / "a.wav", waveform, RATE)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", FORMATS)
def test_a_full_disk_is_named_and_leaves_the_old_file(tmp_path, full_disk, name, capfd):
    path = tmp_path / f"a.{name}"
    write_audio(path, np.full(10, 0.5), RATE)
    before = path.read_bytes()
    noise = np.random.default_rng(0).uniform(-1, 1, 100_000)
    with full_disk(4096), pytest.raises(UserError, match=rf"cannot write .*{path.name}: File too large"):
        write_audio(path, noise, RATE)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    assert capfd.readouterr().err == ""


def test_a_format_that_cannot_hold_the_rate_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"cannot write .*a.flac at 700001 Hz .*; choose another format"):
        write_audio(tmp_path / "a.flac", np.zeros(10), 700_001)
    assert not list(tmp_path.iterdir())
