from __future__ import annotations

import os
import shutil
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wavenet_app.audio.decoding import UnreadableAudioError, probe
from wavenet_app.audio.mono import read_audio, read_blocks
from wavenet_app.core.errors import UserError
from wavenet_app.corpus import cache as audio_cache
from wavenet_app.corpus.cache import AudioCache, CachedAudio

RATE = 8_000


def cached(cache: AudioCache, path: Path) -> CachedAudio:
    (entry,) = cache.decode_all([path])
    assert isinstance(entry, CachedAudio), entry
    return entry


def waveform_of(entry: CachedAudio) -> np.ndarray:
    return entry.samples() * entry.scale


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW"])
@pytest.mark.parametrize("channels", [1, 2, 7])
def test_wav_of_any_depth_and_channel_count_reads_as_the_same_tone(tmp_path, write_tone, subtype, channels):
    path = write_tone(tmp_path / "a.wav", subtype=subtype, channels=channels)
    expected = 0.5 * np.sin(2 * np.pi * 330 * np.arange(RATE // 2) / RATE)
    tolerance = {"PCM_U8": 0.01, "ULAW": 0.02}.get(subtype, 1e-4)
    waveform = read_audio(path, RATE)[: len(expected)]
    assert waveform.dtype == np.float32
    np.testing.assert_allclose(waveform, expected, atol=tolerance)


@pytest.mark.parametrize(
    ("name", "subtype"), [("a.flac", None), ("a.ogg", "VORBIS"), ("a.opus", "OPUS"), ("a.mp3", None), ("a.aiff", None)]
)
def test_other_formats_read_and_resample(tmp_path, write_tone, name, subtype):
    file_format = "OGG" if subtype else None
    path = write_tone(
        tmp_path / name, seconds=1.0, sample_rate=24_000, channels=2, subtype=subtype, file_format=file_format
    )
    assert probe(path).sample_rate == (48_000 if subtype == "OPUS" else 24_000)  # Opus decodes at 48 kHz alone
    waveform = read_audio(path, RATE)
    assert abs(len(waveform) - RATE) < 0.1 * RATE
    spectrum = np.abs(np.fft.rfft(waveform[1000:5000]))
    assert np.argmax(spectrum) == round(330 * 4000 / RATE)
    assert 0.4 < np.abs(waveform[1000:5000]).max() < 0.6


def test_channels_are_averaged(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.array([[0.5, 0.25, -0.25]] * 10), RATE, subtype="FLOAT")
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav", RATE), np.full(10, 1 / 6), rtol=1e-6)


def test_joined_blocks_equal_resampling_at_once(tmp_path):
    noise = np.random.default_rng(0).normal(0, 0.1, 44_100).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", noise, 44_100, subtype="FLOAT")
    blocks = list(read_blocks(tmp_path / "a.wav", 16_000))
    assert len(blocks) > 3
    np.testing.assert_allclose(np.concatenate(blocks), soxr.resample(noise, 44_100, 16_000), atol=1e-6)


def test_an_mp3_named_wav_reads_like_the_mp3(tmp_path, write_tone):
    path = write_tone(tmp_path / "a.mp3", seconds=1.0, sample_rate=16_000)
    renamed = shutil.copy(path, tmp_path / "b.wav")
    np.testing.assert_array_equal(read_audio(Path(renamed), RATE), read_audio(path, RATE))
    tagged = tmp_path / "tagged.wav"
    tagged.write_bytes(b"ID3\x03\x00\x00\x00\x00\x07\x76" + bytes(1014) + path.read_bytes())
    assert len(read_audio(tagged, RATE)) == len(read_audio(path, RATE))


@pytest.mark.parametrize("name", ["a.wav", "a.aiff", "a.flac", "a.mp3"])
def test_a_truncated_file_is_read_up_to_its_end_with_a_remark(tmp_path, write_tone, name):
    whole = write_tone(tmp_path / name, seconds=4.0, sample_rate=16_000)
    part = tmp_path / f"part{whole.suffix}"
    content = whole.read_bytes()
    part.write_bytes(content[: len(content) // 2])
    remarks: list[str] = []
    waveform = read_audio(part, 16_000, remarks.append)
    assert 1.0 < len(waveform) / 16_000 < 3.0
    np.testing.assert_allclose(waveform[:10_000], read_audio(whole, 16_000)[:10_000], atol=1e-4)
    assert len(remarks) == 1
    assert "of 4.0" in remarks[0]
    with pytest.warns(UserWarning, match=r"part\.\w+ is (cut short|damaged)"):
        read_audio(part, 16_000)


def test_complete_files_give_no_remark(tmp_path, write_tone):
    for index, name in enumerate(["a.wav", "b.aiff", "c.flac", "d.mp3", "e.ogg", "f.w64", "g.au"]):
        remarks: list[str] = []
        read_audio(write_tone(tmp_path / name, channels=1 + index % 2, sample_rate=16_000), RATE, remarks.append)
        assert remarks == []


def broken_files(folder: Path) -> dict[str, tuple[Path, str]]:
    tone = np.full(100, 0.1)
    (folder / "empty.flac").touch()
    (folder / "text.wav").write_text("this is no audio at all, only text")
    (folder / "voice.m4a").write_bytes(b"\0\0\0 ftypM4A " + bytes(100))
    soundfile.write(folder / "whole.wav", tone, RATE)
    (folder / "header.wav").write_bytes((folder / "whole.wav").read_bytes()[:30])
    soundfile.write(folder / "silent.wav", np.zeros(0), RATE)
    soundfile.write(folder / "nan.wav", np.append(tone, np.nan), RATE, subtype="FLOAT")
    soundfile.write(folder / "infinite.wav", np.append(tone, -np.inf), RATE, subtype="DOUBLE")
    soundfile.write(folder / "slow.wav", tone, 1)
    (folder / "samples.raw").write_bytes(bytes(100))
    (folder / "folder.wav").mkdir()
    (folder / "loop.wav").symlink_to(folder / "loop.wav")
    os.mkfifo(folder / "pipe.wav")
    reasons = {
        "empty.flac": "0 bytes",
        "text.wav": "not audio that can be decoded",
        "voice.m4a": "not audio that can be decoded",
        "header.wav": "not audio that can be decoded",
        "silent.wav": "holds no samples",
        "nan.wav": r"NaN or infinite samples, the first at 0\.01",
        "infinite.wav": "NaN or infinite samples",
        "slow.wav": "its header says 1 Hz",
        "samples.raw": "without a header",
        "folder.wav": "not a regular file",
        "loop.wav": "symbolic links",
        "pipe.wav": "not a regular file",
        "missing.wav": "no such file",
    }
    return {name: (folder / name, reason) for name, reason in reasons.items()}


def test_an_unreadable_file_is_one_line_with_the_reason(tmp_path):
    for path, reason in broken_files(tmp_path).values():
        with pytest.raises(UnreadableAudioError, match=reason) as caught:
            read_audio(path, RATE)
        assert str(caught.value) == f"{path}: {caught.value.reason}"
        assert "\n" not in str(caught.value)


def test_a_file_without_read_permission_is_reported(write_tone):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = write_tone(Path(folder) / "a.wav")
        path.chmod(0)
        user = os.geteuid()
        if user == 0:  # root may read everything, so switch to another user
            os.seteuid(65534)
        try:
            with pytest.raises(UnreadableAudioError, match="permission denied"):
                read_audio(path, RATE)
        finally:
            os.seteuid(user)


@given(pcm=arrays(np.int16, st.integers(1, 3000)))
@settings(max_examples=30, deadline=None)
def test_the_cache_is_lossless_for_16_bit_at_the_native_rate(tmp_path_factory, pcm):
    folder = tmp_path_factory.mktemp("cache")
    soundfile.write(folder / "a.flac", pcm, RATE, subtype="PCM_16")
    entry = cached(AudioCache(folder / "cache", RATE), folder / "a.flac")
    np.testing.assert_array_equal(waveform_of(entry) * 32768, pcm)
    assert entry.peak == np.abs(pcm.astype(int)).max() / 32768


@pytest.mark.parametrize("amplitude", [1e-6, 0.3, 1.0, 40.0])
def test_the_cache_keeps_15_bits_of_precision_at_any_level(tmp_path, amplitude):
    noise = amplitude * np.random.default_rng(0).uniform(-1, 1, 5000).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", noise, RATE, subtype="FLOAT")
    entry = cached(AudioCache(tmp_path / "cache", RATE), tmp_path / "a.wav")
    assert np.abs(waveform_of(entry) - noise).max() <= amplitude * 2**-15


def test_a_second_opening_decodes_and_hashes_nothing(tmp_path, tone_folder, monkeypatch):
    paths = sorted(tone_folder.iterdir())
    first = AudioCache(tmp_path / "cache", RATE).decode_all(paths)

    def refuse(*_: object) -> None:
        raise AssertionError("this was known already")

    monkeypatch.setattr(audio_cache, "read_blocks", refuse)
    monkeypatch.setattr(audio_cache, "_content_hash", refuse)
    assert AudioCache(tmp_path / "cache", RATE).decode_all(paths) == first


def test_an_entry_follows_the_content_not_the_name(tmp_path, write_tone, monkeypatch):
    cache = AudioCache(tmp_path / "cache", RATE)
    first = cached(cache, write_tone(tmp_path / "a.wav", frequency=300))
    moved = (tmp_path / "a.wav").rename(tmp_path / "b.wav")
    with monkeypatch.context() as patch:
        patch.setattr(audio_cache, "read_blocks", None)
        assert cached(cache, moved) == first
    changed = cached(cache, write_tone(tmp_path / "b.wav", frequency=400))
    assert changed.key != first.key
    assert cached(AudioCache(tmp_path / "cache", 2 * RATE), moved).num_samples == 2 * first.num_samples


@pytest.mark.parametrize("harm", ["shorten", "zero the end", "lose", "spoil the json", "shorten the json"])
def test_a_damaged_entry_is_decoded_again(tmp_path, write_tone, harm):
    path = write_tone(tmp_path / "a.wav", frequency=333)
    cache = AudioCache(tmp_path / "cache", RATE)
    entry = cached(cache, path)
    content = entry.path.read_bytes()
    sidecar = entry.path.with_suffix(".json")
    if harm == "shorten":
        entry.path.write_bytes(content[:-100])
    elif harm == "zero the end":
        entry.path.write_bytes(content[:-100] + bytes(100))
    elif harm == "lose":
        entry.path.unlink()
    elif harm == "spoil the json":
        sidecar.write_text('{"num_samples": 3}')
    else:
        sidecar.write_text(sidecar.read_text()[:20])
    assert cache.load(entry.key) is None
    assert cached(cache, path) == entry
    assert entry.path.read_bytes() == content


def test_progress_counts_every_file_and_failures_keep_their_place(tmp_path, tone_folder):
    (tone_folder / "empty.wav").touch()
    paths = sorted(tone_folder.iterdir())
    seen: list[tuple[int, int, str]] = []
    outcomes = AudioCache(tmp_path / "cache", RATE).decode_all(paths, lambda *step: seen.append(step))
    assert [step[:2] for step in seen] == [(done, 7) for done in range(1, 8)]
    assert {step[2] for step in seen} == {path.name for path in paths}
    assert [isinstance(outcome, UnreadableAudioError) for outcome in outcomes] == [True] + [False] * 6


def test_two_caches_may_fill_one_folder_at_once(tmp_path, tone_folder):
    paths = sorted(tone_folder.iterdir()) * 3
    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda _: AudioCache(tmp_path / "cache", 6_000).decode_all(paths), range(4)))
    assert all(run == runs[0] for run in runs)
    assert not list((tmp_path / "cache").rglob("*.part"))
    for entry in runs[0]:
        assert AudioCache(tmp_path / "cache", 6_000).load(entry.key) == entry


def test_a_full_disk_while_caching_is_named_and_leaves_nothing_half_written(tmp_path, write_tone, full_disk):
    path = write_tone(tmp_path / "a.wav", seconds=4)
    with full_disk(4096), pytest.raises(UserError, match=r"cannot write the audio cache in .*cache"):
        AudioCache(tmp_path / "cache", RATE).decode_all([path])
    assert not [file for file in (tmp_path / "cache").rglob("*") if file.suffix in {".npy", ".part"}]


@given(
    quiet=st.tuples(st.integers(0, 5000), st.integers(0, 5000)),
    loud=st.integers(100, 3000),
    level=st.floats(-90, -1),
    decibels=st.sampled_from([0.0, 20.0, 45.0, 60.5]),
)
@settings(max_examples=50, deadline=None)
def test_only_ends_quieter_than_the_limit_are_trimmed(tmp_path_factory, quiet, loud, level, decibels):
    if abs(level + decibels) < 1:
        return
    waveform = np.concatenate(
        [np.full(quiet[0], 10 ** (level / 20)), np.ones(loud), np.full(quiet[1], 10 ** (level / 20))]
    )
    cache = AudioCache(tmp_path_factory.mktemp("trim"), RATE)
    entry = cache.store("k", [waveform.astype(np.float32)], native_rate=RATE, channels=1, remarks=[])
    start, stop = entry.trimmed(decibels)
    if decibels == 0 or level > -decibels:
        assert (start, stop) == (0, len(waveform))
        return
    margin, frame = 400, 80
    assert max(0, quiet[0] - margin - frame) <= start <= max(0, quiet[0] - margin)
    end = quiet[0] + loud
    assert min(len(waveform), end + margin) <= stop <= min(len(waveform), end + margin + frame)


def test_the_peaks_of_seconds_are_those_of_the_waveform(tmp_path):
    waveform = np.random.default_rng(1).uniform(-0.5, 0.5, 3 * RATE + 100).astype(np.float32)
    waveform[RATE + 5] = -0.8
    entry = AudioCache(tmp_path, RATE).store("k", np.split(waveform, [7, 9000]), native_rate=1, channels=1, remarks=[])
    expected = [np.abs(waveform[start : start + RATE]).max() for start in range(0, len(waveform), RATE)]
    np.testing.assert_allclose(entry.second_peaks, expected)
    assert entry.peaks_between(RATE, 2 * RATE) == entry.second_peaks[1:2]
    assert entry.peaks_between(RATE - 1, 2 * RATE + 1) == entry.second_peaks[0:3]


@pytest.mark.slow
def test_two_hours_are_decoded_in_constant_memory(tmp_path):
    import tracemalloc

    path = tmp_path / "long.wav"
    block = np.random.default_rng(0).integers(-3000, 3000, 60 * RATE).astype(np.int16)
    with soundfile.SoundFile(path, "w", RATE, 1) as file:
        for _ in range(120):
            file.write(block)
    tracemalloc.start()
    started = time.perf_counter()
    entry = cached(AudioCache(tmp_path / "cache", RATE), path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert entry.num_samples == 120 * 60 * RATE
    assert peak < 64 * 2**20, f"{peak / 2**20:.0f} MiB"
    assert time.perf_counter() - started < 120


@pytest.mark.shared_data
def test_real_speech_is_cached_without_loss(tmp_path, shared_audio):
    paths = sorted((shared_audio / "speech").glob("*.flac"))[:5]
    for path, entry in zip(paths, AudioCache(tmp_path, 16_000).decode_all(paths), strict=True):
        assert isinstance(entry, CachedAudio)
        np.testing.assert_array_equal(waveform_of(entry), soundfile.read(path)[0])
