"""A WAV that grows: readable after every chunk, and in the end the same bytes as one that is written whole."""

import errno
import io
import wave

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from wavenet_app.audio.files import pcm16
from wavenet_app.audio.mono import read_audio
from wavenet_app.audio.wav_stream import HEADER_BYTES, PartialWav, SamplePipe, WavFile, wav_header
from wavenet_app.audio.writing import write_audio
from wavenet_app.core.errors import UserError


@given(st.lists(st.integers(0, 700), min_size=1, max_size=6), st.integers(0, 9))
def test_the_file_is_whole_after_every_chunk(tmp_path_factory, sizes, seed):
    folder = tmp_path_factory.mktemp("wav")
    waveform = np.random.default_rng(seed).uniform(-1.1, 1.1, sum(sizes)).astype(np.float32)
    start = 0
    with WavFile(folder / "new" / "grown.wav", 8_000) as file:
        for size in sizes:
            file.write(pcm16(waveform[start : start + size]))
            start += size
            with wave.open(str(file.path)) as reader:
                assert (reader.getnframes(), reader.getframerate()) == (start, 8_000)
                assert np.array_equal(np.frombuffer(reader.readframes(start), dtype="<i2"), pcm16(waveform[:start]))
    assert file.num_samples == start
    write_audio(folder / "whole.wav", waveform, 8_000)
    assert file.path.read_bytes() == (folder / "whole.wav").read_bytes()


def test_no_chunk_leaves_no_file_and_an_older_file_untouched(tmp_path):
    path = tmp_path / "old.wav"
    path.write_bytes(b"old")
    with WavFile(path, 8_000):
        pass
    assert path.read_bytes() == b"old"


def test_a_longer_older_file_is_replaced(tmp_path):
    path = tmp_path / "old.wav"
    write_audio(path, np.zeros(5_000), 8_000)
    with WavFile(path, 8_000) as file:
        file.write(np.ones(10, dtype=np.int16))
    assert path.stat().st_size == HEADER_BYTES + 20


def test_the_written_part_of_an_interrupted_write_is_kept(tmp_path):
    with WavFile(tmp_path / "cut.wav", 8_000) as file:
        file.write(np.arange(100, dtype=np.int16))
        with file.path.open("ab") as tail:  # Ctrl-C between samples and header
            tail.write(np.arange(100, 105, dtype="<i2").tobytes() + b"\x01")
    assert file.num_samples == 105
    assert soundfile.read(file.path, dtype="int16")[0].tolist() == list(range(105))


def test_a_full_disk_is_reported_and_the_file_stays_readable(tmp_path, full_disk):
    path = tmp_path / "full.wav"

    def fill_the_disk():
        with WavFile(path, 8_000) as file:
            for _ in range(20):
                file.write(np.ones(500, dtype=np.int16))

    with full_disk(4_096), pytest.raises(UserError, match=r"cannot write .*full\.wav"):
        fill_the_disk()
    assert 1_500 <= len(read_audio(path, 8_000)) <= 2_026


def test_a_folder_that_cannot_be_made_is_reported(tmp_path):
    (tmp_path / "taken").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match="cannot write"):
        WavFile(tmp_path / "taken" / "a.wav", 8_000).write(np.ones(1, dtype=np.int16))


def test_a_pipe_gets_one_header_and_the_samples():
    pipe = io.BytesIO()
    target = SamplePipe(pipe, wav_header(8_000, 5))
    target.write(np.array([1, 2], dtype=np.int16))
    target.write(np.array([3, 4, 5], dtype=np.int16))
    assert target.num_samples == 5
    assert soundfile.read(io.BytesIO(pipe.getvalue()), dtype="int16")[0].tolist() == [1, 2, 3, 4, 5]
    with wave.open(io.BytesIO(pipe.getvalue())) as reader:
        assert reader.getnframes() == 5


@pytest.mark.parametrize("num_samples", [None, 3 * 2**30])
def test_a_length_unknown_or_beyond_the_format_is_read_to_the_end(tmp_path, num_samples):
    path = tmp_path / "endless.wav"
    path.write_bytes(wav_header(8_000, num_samples) + np.arange(300, dtype="<i2").tobytes())
    assert soundfile.read(path, dtype="int16")[0].tolist() == list(range(300))
    assert len(read_audio(path, 8_000)) == 300


def test_a_file_that_cannot_be_closed_is_one_line(tmp_path):
    class Full:
        def __init__(self, file):
            self.file = file

        def __getattr__(self, name):
            return getattr(self.file, name)

        def close(self):
            self.file.close()
            raise OSError(errno.ENOSPC, "No space left on device")

    partial = PartialWav(tmp_path / "a.wav", 8_000, "key", 1)
    partial._file = Full(partial._file)
    with pytest.raises(UserError, match=r"cannot write .*a\.wav: No space left on device"), partial:
        partial.write(np.zeros(4, np.int16))
