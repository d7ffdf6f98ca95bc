"""Files are read to their end, whatever their headers announce; where the header is wrong, both figures are said."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from wavenet_app.audio.decoding import SoundReader, probe
from wavenet_app.audio.mono import read_audio
from wavenet_app.inspection.examine import examine
from wavenet_app.inspection.facts import measure_file

RATE = 22_050
SECONDS = 3.0


def noise(seconds: float = SECONDS, seed: int = 0) -> NDArray[np.float64]:
    times = np.arange(round(seconds * RATE)) / RATE
    return 0.2 * np.random.default_rng(seed).standard_normal(len(times)) * np.sin(2 * np.pi * 2 * times) ** 4


def mp3(path: Path, seconds: float = SECONDS, seed: int = 0) -> Path:
    with soundfile.SoundFile(path, "w", RATE, 1, bitrate_mode="VARIABLE", compression_level=0.7) as file:
        file.write(noise(seconds, seed))
    return path


def without_xing(path: Path) -> Path:
    content = path.read_bytes()
    assert b"Xing" in content[:200]
    path.write_bytes(content.replace(b"Xing", b"\0\0\0\0", 1))
    return path


def sized(path: Path, riff: int, data: int) -> Path:
    """Writes a WAV whose header says these sizes."""
    pcm = np.round(noise() * 32767).astype("<i2").tobytes()
    header = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", riff, b"WAVE", b"fmt ", 16, 1, 1, RATE, 2 * RATE, 2, 16,
                         b"data", data)  # fmt: skip
    path.write_bytes(header + pcm)
    return path


def without_length(path: Path) -> Path:
    """Writes a FLAC as an encoder leaves it that writes to a pipe: no length, no fingerprint, no frame sizes."""
    soundfile.write(path, noise(), RATE)
    content = bytearray(path.read_bytes())
    content[12:18] = bytes(6)  # smallest and greatest frame, in bytes
    content[21] &= 0xF0  # the highest 4 bits of the 36 of the length
    content[22:42] = bytes(20)  # the rest of it, and the MD5
    path.write_bytes(content)
    return path


def read(path: Path) -> tuple[int, str, str]:
    """Returns the samples read, what is damaged, and what is remarked."""
    with SoundReader(path) as reader:
        count = sum(map(len, reader.blocks()))
    facts = measure_file(path)
    assert (facts.frames, facts.damage) == (count, reader.damage)
    return count, reader.damage, reader.remark


def test_a_wav_of_size_zero_is_read_with_both_figures(tmp_path):
    count, damage, remark = read(sized(tmp_path / "a.wav", 36, 0))
    assert (count, damage) == (3 * RATE, "")
    assert remark == "goes on after the end that its header announces; 3.00 s were read, the header says 0.00 s"


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000])
def test_a_wav_from_a_pipe_announces_nothing(tmp_path, size):
    assert read(sized(tmp_path / "a.wav", size, size)) == (3 * RATE, "", "")


def test_a_flac_of_unknown_length_is_whole(tmp_path):
    path = without_length(tmp_path / "a.flac")
    assert probe(path).frames == 0
    assert read(path) == (3 * RATE, "", "")
    np.testing.assert_allclose(read_audio(path, RATE), noise(), atol=1e-4)


def test_a_segment_of_a_flac_stream_is_whole(tmp_path):
    """Its first frame bears the number that it had in the stream."""
    path = without_length(tmp_path / "a.flac")
    content = path.read_bytes()
    header = content[:42]
    frames = content[content.index(b"\xff\xf8") :]
    second = frames.index(b"\xff\xf8", 2000)
    path.write_bytes(header[:4] + b"\x80" + header[5:] + frames[second:])
    count, damage, remark = read(path)
    assert count % 4096 == 3 * RATE % 4096
    assert (damage, remark) == ("", "")


def test_an_mp3_without_a_xing_frame_is_read_to_its_end(tmp_path):
    whole = read_audio(mp3(tmp_path / "whole.mp3"), RATE)
    count, damage, remark = read(without_xing(mp3(tmp_path / "a.mp3")))
    assert (damage, remark) == ("", "")
    assert len(whole) <= count <= len(whole) + 4 * 1152  # its encoder's padding is not announced either


def test_joined_mp3s_are_read_to_the_end_of_the_last(tmp_path):
    parts = [mp3(tmp_path / f"{seed}.mp3", 2.0 + seed, seed) for seed in range(3)]
    path = tmp_path / "a.mp3"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    count, damage, remark = read(path)
    assert count == pytest.approx(9 * RATE, abs=0.2 * RATE)
    assert damage == ""
    assert "were read, the header says 2.00 s" in remark
    found = read_audio(path, RATE, lambda _: None)
    end = read_audio(parts[2], RATE)[-RATE:]
    matches = np.fft.irfft(np.fft.rfft(found, 2**19) * np.conj(np.fft.rfft(end, 2**19)))
    place = int(np.argmax(matches))
    np.testing.assert_allclose(found[place : place + len(end) - 2000], end[:-2000], atol=1e-3)


def test_the_report_says_both_figures_and_calls_nothing_damaged(tmp_path):
    (tmp_path / "in").mkdir()
    sized(tmp_path / "in" / "zero.wav", 36, 0)
    without_length(tmp_path / "in" / "pipe.flac")
    report = examine([tmp_path / "in"], cache_dir=tmp_path / "cache")
    assert report.damaged == ()
    assert report.corpus is not None
    assert [remark for remark in report.corpus.remarks if "header" in remark] == [
        "zero.wav goes on after the end that its header announces; 3.00 s were read, the header says 0.00 s"
    ]


CASES = {
    "speech_V7.mp3": (10.0, ""),
    "vbr_noxing.mp3": (3.06, ""),
    "chained.ogg": (3.0, ""),
    "ffpipe.flac": (3.0, ""),
    "seg01.flac": (23_040 / RATE, ""),
    "size0.wav": (1.5, "header says 0.00 s"),
    "m4a_named.mp3": (1.50, ""),
    "oggflac.oga": (1.5, ""),
}


@pytest.mark.shared_data
@pytest.mark.parametrize("name", CASES)
def test_small_inputs_that_went_wrong(shared_audio_cases, name):
    seconds, expected = CASES[name]
    path = shared_audio_cases / name
    count, damage, remark = read(path)
    assert count / probe(path).sample_rate == pytest.approx(seconds, abs=0.005)
    assert damage == ""
    assert expected in remark
    assert bool(expected) == bool(remark)


@pytest.mark.shared_data
def test_real_speech_in_an_mp3_has_no_clicks(shared_audio_cases):
    path = shared_audio_cases / "speech_V7.mp3"
    expected, rate = soundfile.read(path, dtype="float32")
    np.testing.assert_allclose(read_audio(path, rate), expected, atol=1e-3)
