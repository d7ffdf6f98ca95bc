"""Every container and codec decodes to the same samples in blocks of any size, and to the end of the file."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from wavenet_app.audio.decoding import AUDIO_SUFFIXES, SoundReader, UnreadableAudioError, probe
from wavenet_app.audio.mono import read_audio
from wavenet_app.inspection.facts import measure_file

RATE = 22_050
Samples = NDArray[np.float32]

WRITTEN = {
    "pcm16.wav": ("WAV", "PCM_16"),
    "pcm24.wav": ("WAV", "PCM_24"),
    "pcm32.wav": ("WAV", "PCM_32"),
    "pcm8.wav": ("WAV", "PCM_U8"),
    "float.wav": ("WAV", "FLOAT"),
    "double.wav": ("WAV", "DOUBLE"),
    "alaw.wav": ("WAV", "ALAW"),
    "mulaw.wav": ("WAV", "ULAW"),
    "adpcm.wav": ("WAV", "IMA_ADPCM"),
    "extensible.wav": ("WAVEX", "PCM_16"),
    "a.rf64": ("RF64", "PCM_16"),
    "a.w64": ("W64", "PCM_16"),
    "a.aiff": ("AIFF", "PCM_24"),
    "a.au": ("AU", "PCM_16"),
    "a.caf": ("CAF", "PCM_16"),
    "a.flac": ("FLAC", "PCM_16"),
    "a24.flac": ("FLAC", "PCM_24"),
    "a.mp3": ("MP3", "MPEG_LAYER_III"),
    "a.ogg": ("OGG", "VORBIS"),
}
ENCODED = {"a.m4a": "aac", "alac.m4a": "alac", "a.aac": "aac", "a.wma": "wmav2", "a.ac3": "ac3", "a.wv": "wavpack"}


def sound(seconds: float, *, channels: int = 1, seed: int = 0, rate: int = RATE) -> NDArray[np.float64]:
    """Bursts of noise over a gliding tone, which lossy encoders spend very different numbers of bits on."""
    generator = np.random.default_rng(seed)
    times = np.arange(round(seconds * rate)) / rate
    bursts = 0.3 * generator.standard_normal((len(times), channels)) * (np.sin(2 * np.pi * 3 * times) > 0.7)[:, None]
    tone = 0.3 * np.sin(2 * np.pi * (200 + 100 * times) * times)
    return np.clip(tone[:, None] + bursts, -0.9, 0.9)


def encoded(path: Path, waveform: NDArray[np.float64], codec: str, rate: int = 32_000) -> Path:
    """Writes a file with a codec that libsndfile does not know."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        stream.codec_context.bit_rate = 96_000
        frame = av.AudioFrame.from_ndarray(waveform.T.astype(np.float32), format="fltp", layout="mono")
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return path


def at_once(path: Path) -> Samples:
    with SoundReader(path) as reader:
        return np.concatenate(list(reader.blocks(10**9)))


@pytest.fixture(scope="module")
def every_file(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("formats")
    for name, (container, subtype) in WRITTEN.items():
        soundfile.write(folder / name, sound(1.5, channels=2), RATE, format=container, subtype=subtype)
    soundfile.write(folder / "a.opus", sound(1.5, rate=48_000), 48_000, format="OGG", subtype="OPUS")
    for name, codec in ENCODED.items():
        encoded(folder / name, sound(1.5, rate=32_000), codec)
    return {path.name: path for path in sorted(folder.iterdir())}


@given(size=st.integers(1, 50_000), data=st.data())
@settings(max_examples=60, deadline=None)
def test_blocks_of_any_size_join_to_what_one_block_holds(every_file, size, data):
    path = every_file[data.draw(st.sampled_from(sorted(every_file)))]
    with SoundReader(path) as reader:
        blocks = list(reader.blocks(max(size, 50)))
        assert reader.damage == reader.remark == ""
    assert all(len(block) == max(size, 50) for block in blocks[:-1])
    assert reader.frames == sum(map(len, blocks))
    np.testing.assert_array_equal(np.concatenate(blocks), at_once(path))


@pytest.mark.parametrize("name", [*WRITTEN, "a.opus"])
def test_samples_equal_an_independent_decoder_in_one_pass(every_file, name):
    expected, rate = soundfile.read(every_file[name], dtype="float32", always_2d=True)
    found = at_once(every_file[name])
    assert probe(every_file[name]).sample_rate == rate
    assert found.shape == expected.shape
    lossless = name not in {"a.mp3", "a.ogg", "a.opus"}
    np.testing.assert_allclose(found, expected, atol=0 if lossless else 1e-3)


@pytest.mark.parametrize("level", [0.2, 0.8])
def test_an_mp3_of_variable_bit_rate_has_no_clicks(tmp_path, level):
    path = tmp_path / "a.mp3"
    with soundfile.SoundFile(path, "w", RATE, 1, compression_level=level, bitrate_mode="VARIABLE") as file:
        file.write(sound(6))
    expected, _ = soundfile.read(path, dtype="float32")
    for found in (at_once(path)[:, 0], read_audio(path, RATE)):
        np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize("name", ENCODED)
def test_codecs_that_libsndfile_lacks_are_read(every_file, name):
    original = sound(1.5, rate=32_000)[:, 0]
    found = read_audio(every_file[name], 32_000)
    assert len(found) == pytest.approx(len(original), abs=0.1 * 32_000)
    if name.endswith("m4a"):  # whose edit list says where the encoder's padding begins
        assert len(found) == probe(every_file[name]).frames
    aligned = found[: len(original)]
    matches = np.fft.irfft(np.fft.rfft(aligned, 2**17) * np.conj(np.fft.rfft(original, 2**17)))
    energies = np.sqrt(np.square(aligned).sum() * np.square(original).sum())
    assert matches.max() > 0.95 * energies
    if name == "alac.m4a":
        np.testing.assert_allclose(found, original, atol=1e-4)


def test_a_wrong_suffix_does_not_matter(every_file, tmp_path):
    for name in ("a.m4a", "a.flac", "a.ogg"):
        renamed = tmp_path / f"{name}.mp3"
        renamed.write_bytes(every_file[name].read_bytes())
        np.testing.assert_array_equal(at_once(renamed), at_once(every_file[name]))


@pytest.mark.parametrize("name", [b"latin\xe9.wav", b"a:b.wav", b"%03d.wav", b"concat:a.wav", b"new\nline.wav"])
def test_names_are_only_names(every_file, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    path = Path(os.fsdecode(name))
    path.write_bytes(every_file["pcm16.wav"].read_bytes())
    np.testing.assert_array_equal(at_once(path), at_once(every_file["pcm16.wav"]))


def test_a_playlist_named_wav_opens_no_other_file(every_file, tmp_path):
    target = every_file["pcm16.wav"]
    for index, text in enumerate(
        [f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{target}\n", f"ffconcat version 1.0\nfile {target}\n"]
    ):
        (tmp_path / f"{index}.wav").write_text(text)
        with pytest.raises(UnreadableAudioError, match="not audio that can be decoded"):
            at_once(tmp_path / f"{index}.wav")


def test_encrypted_audio_says_so(tmp_path):
    (tmp_path / "a.m4p").write_bytes(bytes(1000))
    with pytest.raises(UnreadableAudioError, match=r"\.m4p is encrypted"):
        probe(tmp_path / "a.m4p")


def test_a_picture_is_no_audio(tmp_path):
    from PIL import Image

    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "cover.mp3")
    with pytest.raises(UnreadableAudioError, match="not audio that can be decoded"):
        probe(tmp_path / "cover.mp3")


def test_the_suffixes_of_a_scan_include_what_can_be_read_now():
    assert {".m4a", ".aac", ".wma", ".webm", ".mp4", ".ape"} < AUDIO_SUFFIXES


@pytest.mark.parametrize("name", ["a.ogg", "a.opus"])
def test_every_stream_of_a_chained_ogg_is_read_to_the_sample(tmp_path, name):
    rate = 48_000 if name == "a.opus" else RATE
    parts = []
    for seed in range(3):
        path = tmp_path / f"{seed}{name}"
        subtype = "OPUS" if name == "a.opus" else "VORBIS"
        soundfile.write(path, sound(1 + 0.3 * seed, seed=seed, rate=rate), rate, format="OGG", subtype=subtype)
        parts.append(path)
    chained = tmp_path / name
    chained.write_bytes(b"".join(path.read_bytes() for path in parts))
    np.testing.assert_array_equal(at_once(chained), np.concatenate([at_once(path) for path in parts]))


@given(seconds=st.floats(0.01, 2), rate=st.sampled_from([8_000, RATE, 44_100]))
@settings(max_examples=25, deadline=None)
def test_short_vorbis_files_have_their_exact_length(tmp_path_factory, seconds, rate):
    path = tmp_path_factory.mktemp("short") / "a.ogg"
    soundfile.write(path, sound(seconds, rate=rate), rate)
    expected, _ = soundfile.read(path, dtype="float32", always_2d=True)
    found = at_once(path)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_streams_of_other_rates_and_channels_are_brought_to_the_first(tmp_path):
    soundfile.write(tmp_path / "first.ogg", sound(1), RATE)
    soundfile.write(tmp_path / "second.ogg", sound(2, channels=2, rate=2 * RATE), 2 * RATE)
    path = tmp_path / "a.ogg"
    path.write_bytes((tmp_path / "first.ogg").read_bytes() + (tmp_path / "second.ogg").read_bytes())
    found = at_once(path)
    assert found.shape == (3 * RATE, 1)
    alone = read_audio(tmp_path / "second.ogg", RATE)
    np.testing.assert_allclose(found[RATE:, 0], alone, atol=1e-4)


@pytest.mark.parametrize("name", ["a.flac", "a24.flac", "a.ogg", "a.opus", "a.mp3", "alac.m4a"])
def test_damage_in_the_middle_is_left_out_and_said(tmp_path, name):
    whole = tmp_path / f"whole_{name}"
    if name == "alac.m4a":
        encoded(whole, sound(6, rate=32_000), "alac")
    else:
        container, subtype = {**WRITTEN, "a.opus": ("OGG", "OPUS")}[name]
        soundfile.write(whole, sound(6, rate=48_000), 48_000, format=container, subtype=subtype)
    content = bytearray(whole.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 4000] = bytes(4000)
    path = tmp_path / name
    path.write_bytes(content)
    with SoundReader(path) as reader:
        found = np.concatenate(list(reader.blocks()))
    assert reader.damage.startswith("is damaged")
    assert 0.5 * len(at_once(whole)) < len(found) < len(at_once(whole))
    assert measure_file(path).damage == reader.damage


def test_one_flipped_bit_in_a_flac_is_noticed(every_file, tmp_path):
    content = bytearray(every_file["a24.flac"].read_bytes())
    content[len(content) // 2] ^= 16
    (tmp_path / "a.flac").write_bytes(content)
    with SoundReader(tmp_path / "a.flac") as reader:
        found = np.concatenate(list(reader.blocks()))
    assert reader.damage.startswith("is damaged")
    whole = at_once(every_file["a24.flac"])
    assert len(found) in {len(whole) - 4096, len(whole) - 2 * 4096}
    assert np.isin(found[:, 0], whole[:, 0]).all()  # nothing of the damaged frame is kept


@pytest.mark.parametrize("name", ["a.ogg", "a.opus"])
def test_an_ogg_that_was_cut_off_is_named_wherever_the_cut_lies(tmp_path, name):
    rate = 48_000 if name == "a.opus" else RATE
    whole, path = tmp_path / f"whole-{name}", tmp_path / name
    subtype = "OPUS" if name == "a.opus" else "VORBIS"
    soundfile.write(whole, sound(6, rate=rate), rate, format="OGG", subtype=subtype)
    content = whole.read_bytes()
    pages = [place for place in range(len(content)) if content.startswith(b"OggS", place)]
    said = []
    for stop in (len(content), pages[-1], pages[-1] + 2, pages[-1] + 30, len(content) - 1, pages[-2] + 40):
        path.write_bytes(content[:stop])
        with SoundReader(path) as reader:
            for _ in reader.blocks():
                pass
            said.append((reader.damage, reader.remark))
    assert said[0] == ("", "")
    assert said[1][0] == ""
    assert "ends without the mark that ends a whole file" in said[1][1]
    assert all("is cut short; only the first" in damage or "is damaged" in damage for damage, _ in said[2:]), said
    path.write_bytes(content + bytes(100))
    with SoundReader(path) as reader:
        list(reader.blocks())
        assert reader.damage == "", "bytes after the last page are not a cut page"


@pytest.mark.parametrize("name", ["a.w64", "a.caf", "a.aiff", "a.m4a", "double.wav"])
def test_nothing_is_printed_about_a_damaged_head(every_file, tmp_path, name, capfd, recwarn):
    content = every_file[name].read_bytes()[:20_000]
    path = tmp_path / name
    for place in range(96):
        path.write_bytes(content[:place] + b"\xff\xff\xff\x7f" + content[place + 4 :])
        with contextlib.suppress(UnreadableAudioError):
            at_once(path)
    assert "Traceback" not in capfd.readouterr().err
    assert not recwarn.list


class _Failing:
    """An open file on a disk that gives no bytes from a place on."""

    def __init__(self, file, limit):
        self._file, self._limit = file, limit

    def read(self, size=-1):
        if self._file.tell() + max(size, 0) > self._limit:
            raise OSError(errno.EIO, "Input/output error")
        return self._file.read(size)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._file.close()

    def __getattr__(self, name):
        return getattr(self._file, name)


def test_a_disk_that_fails_is_named_and_the_rest_is_kept(every_file, monkeypatch, capfd):
    path, whole = every_file["pcm16.wav"], at_once(every_file["pcm16.wav"])
    opened = Path.open

    def fail_after(limit):
        monkeypatch.setattr(Path, "open", lambda self, *options: _Failing(opened(self, *options), limit))

    fail_after(0)
    with pytest.raises(UnreadableAudioError, match=r"input/output error"):
        probe(path)
    fail_after(40_000)
    with SoundReader(path) as reader:
        blocks = list(reader.blocks())
    monkeypatch.undo()
    assert reader.damage.startswith("is damaged (input/output error); only ")
    found = np.concatenate(blocks)
    assert 0 < len(found) < len(whole)
    np.testing.assert_array_equal(found, whole[: len(found)])
    assert "Traceback" not in capfd.readouterr().err
