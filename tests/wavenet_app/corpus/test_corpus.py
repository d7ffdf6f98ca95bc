from __future__ import annotations

import itertools
import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from wavenet_app.config import AudioConfig, CorpusConfig
from wavenet_app.core.errors import UserError
from wavenet_app.corpus import cache as audio_cache
from wavenet_app.corpus import stored_samples
from wavenet_app.corpus.corpus import Corpus, open_corpus, robust_peak, split_record
from wavenet_app.corpus.sources import scan_sources
from wavenet_app.corpus.split import hash_fraction, split_files
from wavenet_app.corpus.stored_samples import BlockChecksums

RATE = 8_000


@pytest.fixture
def open_here(tmp_path):
    """A function that opens paths with the cache of the current test."""

    def opened(
        *paths: Path,
        fraction: float = 0.2,
        split_by: str | None = None,
        speakers: str | None = None,
        trim: float = 45.0,
        sample_rate: int | None = None,
        **others: Any,
    ) -> Corpus:
        return open_corpus(
            paths,
            audio=AudioConfig(trim_decibels=trim),
            split=CorpusConfig(validation_fraction=fraction, split_by=split_by, speakers=speakers),
            cache_dir=tmp_path / "cache",
            sample_rate=sample_rate,
            **others,
        )

    return opened


def names(corpus: Corpus) -> list[str]:
    return sorted(clip.name for clip in corpus.training + corpus.validation)


def reasons(corpus: Corpus) -> dict[str, str]:
    return {file.name: file.reason for file in corpus.skipped}


def test_an_empty_folder_gives_one_clear_line(tmp_path, open_here):
    (tmp_path / "nothing").mkdir()
    with pytest.raises(UserError, match=r"no audio in .*nothing: there are no files; give a folder of WAV, FLAC"):
        open_here(tmp_path / "nothing")


def test_a_folder_of_text_files_is_counted(tmp_path, open_here):
    for name in ["a.txt", "b.TXT", "c.json", "LICENSE"]:
        (tmp_path / "texts" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "texts" / name).write_text("text")
    with pytest.raises(UserError, match=r"4 files are not audio: \.txt 2, no suffix 1, \.json 1"):
        open_here(tmp_path / "texts")


def test_a_missing_path_is_named(tmp_path, open_here):
    with pytest.raises(UserError, match=r"no file or folder .*absent"):
        open_here(tmp_path / "absent")


def test_bad_files_are_skipped_with_a_reason(tmp_path, tone_folder, write_tone, open_here):
    (tone_folder / "empty.flac").touch()
    (tone_folder / "notes.txt").write_text("text")
    (tone_folder / "fake.wav").write_text("text, not audio")
    soundfile.write(tone_folder / "nan.wav", np.array([0.1, np.nan]), RATE, subtype="FLOAT")
    soundfile.write(tone_folder / "silent.wav", np.zeros(RATE), RATE)
    soundfile.write(tone_folder / "cancels.wav", np.array([[0.5, -0.5]] * RATE), RATE)
    shutil.copy(tone_folder / "tone0.wav", tone_folder / "tone0_copy.wav")
    whole = write_tone(tone_folder / "whole.wav", seconds=2, frequency=500).read_bytes()
    (tone_folder / "whole.wav").write_bytes(whole[: len(whole) // 2])
    write_tone(tone_folder / "short.wav", seconds=0.01, frequency=700)
    write_tone(tone_folder / "seven.wav", channels=7, frequency=800)
    write_tone(tone_folder / "eight_bit.wav", subtype="PCM_U8", frequency=900)
    (tone_folder / "loop").symlink_to(tone_folder)
    corpus = open_here(tone_folder)
    good = {f"tone{index}.wav" for index in range(6)} | {"whole.wav", "short.wav", "seven.wav", "eight_bit.wav"}
    good |= {"cancels.wav"}
    assert set(names(corpus)) == good
    found = reasons(corpus)
    assert found.keys() == {"empty.flac", "fake.wav", "nan.wav", "silent.wav", "tone0_copy.wav"}
    assert "0 bytes" in found["empty.flac"]
    assert "not audio" in found["fake.wav"]
    assert "NaN" in found["nan.wav"]
    assert found["silent.wav"] == "holds only digital silence"
    assert (
        "cancels.wav has channels that cancel out (correlation -1.00); channel 1 is used instead of their mean"
        in corpus.remarks
    )
    assert "copy of tone0.wav" in found["tone0_copy.wav"]
    assert "1 file is not audio: .txt 1" in corpus.remarks
    assert [remark for remark in corpus.remarks if remark.startswith("whole.wav is cut short")]
    short = next(clip for clip in corpus.training + corpus.validation if clip.name == "short.wav")
    assert short.num_samples == 80


def test_when_every_file_fails_the_most_common_reason_is_named(tmp_path, open_here):
    folder = tmp_path / "bad"
    folder.mkdir()
    for index in range(3):
        soundfile.write(folder / f"{index}.wav", np.array([0.1 * index, np.nan]), RATE + index, subtype="FLOAT")
    (folder / "z.wav").touch()
    with pytest.raises(
        UserError, match=r"none of the 4 audio files .* 3 of them: holds NaN or infinite samples .*0\.wav"
    ):
        open_here(folder)
    with pytest.raises(UserError, match=r"the only audio file .*z\.wav: the file is empty"):
        open_here(folder / "z.wav")


def test_scanning_is_recursive_sorted_and_counts_each_file_once(tmp_path, write_tone):
    for name in ["b/2.wav", "a/deep/er/1.FLAC", "b/1.mp3", ".hidden/x.wav", "._a.wav", ".DS_Store"]:
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    root = tmp_path / "root"
    (root / "aa_link.wav").symlink_to(root / "b" / "2.wav")
    (root / "a" / "up").symlink_to(root)
    (root / "a" / "itself").symlink_to(root / "a" / "itself")
    expected = [(root, root / name) for name in ["a/deep/er/1.FLAC", "b/1.mp3", "b/2.wav"]]
    assert list(scan_sources([root]).files) == expected
    assert list(scan_sources([root, root / "b", root / "b" / "2.wav"]).files) == expected
    assert scan_sources([root / "b" / "2.wav"]).files == ((root / "b", root / "b" / "2.wav"),)
    assert scan_sources([root]).others == {"": 1}
    odd = tmp_path / "take.dat"
    odd.write_text("x")
    assert scan_sources([odd]).files == ((tmp_path, odd),)


def test_a_linked_folder_is_followed(tmp_path, write_tone):
    write_tone(tmp_path / "elsewhere" / "a.wav")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link").symlink_to(tmp_path / "elsewhere")
    assert [path.name for _, path in scan_sources([tmp_path / "root"]).files] == ["a.wav"]


def test_names_in_any_script_stay_distinct_and_can_be_recorded(tmp_path, tone_folder, open_here):
    tone_folder.joinpath("tone0.wav").rename(tone_folder / "grüße 声 🎵.wav")
    tone_folder.joinpath("tone1.wav").rename(tone_folder / "new\nline.wav")
    tone_folder.joinpath("tone2.wav").rename(tone_folder / os.fsdecode(b"latin\xe9.wav"))
    corpus = open_here(tone_folder)
    assert {"grüße 声 🎵.wav", "new\ufffdline.wav", "latin\ufffd.wav"} < set(names(corpus))
    assert not corpus.skipped
    json.dumps(split_record(corpus), ensure_ascii=False).encode()


def test_equal_names_in_two_folders_become_unique(tmp_path, write_tone, open_here):
    paths = [
        write_tone(tmp_path / folder / "a.wav", frequency=300 + 10 * len(folder)) for folder in ("x", "yy", "zzz/x")
    ]
    corpus = open_here(*(path.parent for path in paths), fraction=0.5)
    found = names(corpus)
    assert len(set(found)) == 3
    assert "yy/a.wav" in found


def test_equal_names_are_on_the_same_side_of_the_split(tmp_path, write_tone, open_here):
    for index in range(8):
        write_tone(tmp_path / "x" / f"{index}.wav", frequency=300 + index)
        write_tone(tmp_path / "y" / f"{index}.wav", frequency=400 + index)
    corpus = open_here(tmp_path / "x", tmp_path / "y", fraction=0.4)
    sides = [{Path(clip.name).name for clip in side} for side in (corpus.training, corpus.validation)]
    assert not sides[0] & sides[1]


@given(
    old=st.sets(st.text(min_size=1, max_size=8), min_size=30, max_size=60),
    new=st.sets(st.text(min_size=1, max_size=8), max_size=30),
    fraction=st.floats(0.3, 0.6),
)
@settings(max_examples=50, deadline=None)
def test_added_files_do_not_move_others_to_the_other_side(old, new, fraction):
    before, after = sorted(old), sorted(old | new)
    first, second = split_files(before, fraction), split_files(after, fraction)
    if not first.remarks:
        assert {before[index] for index in first.validation} == old & {after[index] for index in second.validation}
    assert sorted(second.training + second.validation) == list(range(len(after)))


@given(st.lists(st.text(min_size=1, max_size=5), min_size=2, max_size=6, unique=True), st.floats(0.001, 0.999))
def test_neither_side_is_ever_empty(files, fraction):
    if len({hash_fraction(name) for name in files}) < 2:
        return
    split = split_files(files, fraction)
    assert split.training
    assert split.validation
    assert set(split.training).isdisjoint(split.validation)


def test_the_share_held_out_is_about_the_fraction():
    split = split_files([f"speaker/{index}.wav" for index in range(5000)], 0.1)
    assert 0.08 < len(split.validation) / 5000 < 0.12
    assert split.remarks == ()


def test_the_side_of_a_name_never_changes():
    # If it did, resumed runs would train on their held-out clips.
    assert hash_fraction("arctic_a0001.flac") == pytest.approx(0.14322877072597606)


def test_split_by_keeps_equal_matches_together():
    files = [f"{speaker}/{prompt}_{take}.wav" for speaker in "abcdefgh" for prompt in range(9) for take in range(3)]
    for pattern, key in ((r"^\w/\d", lambda name: name[:3]), (r"^(\w)/", lambda name: name[0])):
        split = split_files(files, 0.3, pattern)
        sides = [{key(files[index]) for index in side} for side in (split.training, split.validation)]
        assert all(sides)
        assert not sides[0] & sides[1]
        assert split.remarks == ()


def test_split_by_counts_names_without_a_match():
    split = split_files(["a_1.wav", "b_1.wav", "odd.wav"], 0.5, r"(\w)_\d")
    assert any("does not match 1 of 3" in remark for remark in split.remarks)


def test_takes_of_one_name_on_both_sides_are_named_with_what_keeps_them_together(tmp_path, write_tone, open_here):
    for take in ("first", "second"):
        for index in range(12):
            write_tone(tmp_path / "in" / take / f"{index}.wav", frequency=300 + index + 20 * (take == "first"))
    apart = open_here(tmp_path / "in", fraction=0.3)
    (remark,) = [remark for remark in apart.remarks if "--split-by" in remark]
    assert "in several folders on both sides of the split" in remark
    pattern = remark.split("--split-by '")[1].rstrip("'")
    together = open_here(tmp_path / "in", fraction=0.3, split_by=pattern)
    assert not [remark for remark in together.remarks if "--split-by" in remark]
    sides = [{Path(clip.name).name for clip in side} for side in (together.training, together.validation)]
    assert not sides[0] & sides[1]
    write_tone(tmp_path / "one" / "a.wav")
    write_tone(tmp_path / "one" / "b.wav", frequency=500)
    assert not [remark for remark in open_here(tmp_path / "one").remarks if "--split-by" in remark]


@pytest.mark.parametrize(
    ("pattern", "complaint"), [("(", "not a valid regular expression"), ("wav", "one group .'wav'")]
)
def test_an_invalid_split_by_is_refused(pattern, complaint):
    with pytest.raises(UserError, match=complaint):
        split_files(["a.wav", "b.wav"], 0.5, pattern)


def test_the_end_of_a_single_file_is_held_out(tmp_path, write_tone, open_here):
    path = write_tone(tmp_path / "a.wav", seconds=10.0)
    corpus = open_here(path, fraction=0.1, trim=0)
    assert [clip.name for clip in corpus.training + corpus.validation] == ["a.wav", "a.wav (end)"]
    assert corpus.duration(corpus.training) == pytest.approx(9)
    assert corpus.duration(corpus.validation) == pytest.approx(1)
    whole = soundfile.read(path)[0] * corpus.gain
    parts = [corpus.waveform(*corpus.training), corpus.waveform(*corpus.validation)]
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-4)
    assert any("only one file" in remark for remark in corpus.remarks)


def test_a_single_sample_is_refused(tmp_path, open_here):
    soundfile.write(tmp_path / "a.wav", np.array([0.5]), RATE)
    with pytest.raises(UserError, match="single sample"):
        open_here(tmp_path / "a.wav")


def test_the_rate_is_the_most_common_one_but_at_most_16000(tmp_path, write_tone, open_here):
    for index, rate in enumerate([8_000, 8_000, 11_025]):
        write_tone(tmp_path / "low" / f"{index}.wav", sample_rate=rate, frequency=300 + index)
    low = open_here(tmp_path / "low")
    assert low.sample_rate == 8_000
    assert "sample rates of the files: 8,000 Hz (2), 11,025 Hz (1); all are resampled to 8,000 Hz" in low.remarks
    write_tone(tmp_path / "high" / "a.wav", sample_rate=44_100)
    high = open_here(tmp_path / "high")
    assert high.sample_rate == 16_000
    assert any(
        "resampled to 16,000 Hz, without what lies above 8 kHz; --sample-rate 44100 keeps it" in remark
        for remark in high.remarks
    )
    chosen = open_here(tmp_path / "high", sample_rate=22_050)
    assert chosen.sample_rate == 22_050
    assert not any("--sample-rate" in remark for remark in chosen.remarks)


def test_the_gain_brings_the_training_split_to_the_target_peak_and_louder_audio_is_clipped(
    tmp_path, write_tone, open_here
):
    for index in range(12):
        write_tone(tmp_path / "in" / f"{index}.wav", seconds=2, frequency=200 + index, amplitude=0.1)
    corpus = open_here(tmp_path / "in")
    assert corpus.gain == pytest.approx(9, rel=1.6e-4)  # 0.1 as a 16-bit sample is off by up to half a step
    for clip in corpus.training + corpus.validation:
        assert np.abs(corpus.waveform(clip)).max() == pytest.approx(0.9, rel=1e-6)
    loud = open_here(tmp_path / "in", gain=100.0)
    assert loud.gain == 100.0
    assert np.abs(loud.waveform(loud.training[0])).max() == 1.0


def test_the_gain_does_not_depend_on_validation(tmp_path, write_tone, open_here):
    for index in range(12):
        write_tone(tmp_path / "in" / f"{index}.wav", frequency=200 + index, amplitude=0.1)
    before = open_here(tmp_path / "in")
    for index, clip in enumerate(before.validation):
        write_tone(tmp_path / "in" / clip.name, frequency=500 + index, seconds=5, amplitude=0.9)
    assert open_here(tmp_path / "in").gain == before.gain


@given(
    level=st.floats(0.001, 0.9),
    spread=st.lists(st.floats(0.9, 1.0), min_size=8, max_size=300),
    pop=st.floats(1.0, 100.0),
)
def test_a_single_pop_does_not_set_the_level(level, spread, pop):
    peaks = [level * factor for factor in spread]
    assert robust_peak([*peaks, pop]) == max(peaks)
    assert robust_peak(peaks) == sorted(peaks)[-2]


@pytest.mark.parametrize(("seconds", "left_out"), [(7, 0), (8, 1), (1000, 1), (1001, 2)])
def test_one_second_in_a_thousand_may_be_louder(seconds, left_out):
    peaks = [0.1 + index / 10_000 for index in range(seconds)]
    assert robust_peak([*peaks, *[0.0] * 5_000]) == peaks[-1 - left_out]


def test_a_few_seconds_are_not_treated_as_pops():
    assert robust_peak([0.3]) == 0.3
    assert robust_peak([0.0, 0.1, 0.5]) == 0.5


def test_a_clip_can_be_read_in_part(tone_folder, open_here):
    corpus = open_here(tone_folder)
    clip = corpus.training[0]
    whole = corpus.waveform(clip)
    assert whole.dtype == np.float32
    assert whole.shape == (clip.num_samples,)
    np.testing.assert_array_equal(corpus.waveform(clip, 100, 250), whole[100:250])
    np.testing.assert_array_equal(corpus.waveform(clip, 100), whole[100:])
    assert len(corpus.waveform(clip, clip.num_samples - 5, clip.num_samples + 5)) == 5


def test_silence_is_trimmed_at_the_ends_and_kept_inside(tmp_path, open_here):
    tone = 0.3 * np.sin(np.arange(RATE))
    quiet = np.random.default_rng(0).uniform(-1, 1, RATE) * 0.3 * 10 ** (-60 / 20)
    soundfile.write(tmp_path / "a.wav", np.concatenate([quiet, tone, quiet, tone, quiet, quiet]), RATE)
    corpus = open_here(tmp_path / "a.wav")
    (first, last) = (*corpus.training, *corpus.validation)
    assert (first.start, last.stop) == (RATE - 400, 4 * RATE + 400)
    assert first.stop == last.start
    kept = open_here(tmp_path / "a.wav", trim=0)
    assert (kept.training[0].start, kept.validation[0].stop) == (0, 6 * RATE)


def test_opening_again_decodes_nothing(tone_folder, open_here, monkeypatch):
    first = open_here(tone_folder)
    monkeypatch.setattr(audio_cache, "read_blocks", None)
    assert open_here(tone_folder) == first


def test_progress_reaches_the_total(tone_folder, open_here):
    seen: list[tuple[int, int, str]] = []
    open_here(tone_folder, progress=lambda done, total, name: seen.append((done, total, name)))
    assert seen[-1][:2] == (6, 6)


def test_the_record_consists_of_plain_values(tone_folder, open_here):
    (tone_folder / "empty.wav").touch()
    corpus = open_here(tone_folder)
    record = json.loads(json.dumps(split_record(corpus)))
    assert sorted(record["training"] + record["validation"]) == names(corpus)
    assert record["skipped"] == [{"name": "empty.wav", "reason": "the file is empty (0 bytes)"}]
    assert (record["gain"], record["sample_rate"]) == (corpus.gain, RATE)


def test_no_path_means_the_built_in_corpus(open_here, monkeypatch):
    corpus = open_here(fraction=0.1)
    assert corpus.sample_rate == RATE
    assert names(corpus)[:2] == ["plucked/000", "plucked/001"]
    assert len(names(corpus)) == 192
    assert corpus.validation
    assert corpus.duration(corpus.training + corpus.validation) > 720
    monkeypatch.setattr("wavenet_app.corpus.plucked.plucked_clips", None)
    assert open_here(fraction=0.1) == corpus


@pytest.mark.shared_data
def test_real_speech_opens_without_skipped_files(shared_audio, open_here):
    corpus = open_here(shared_audio / "speech", fraction=0.1)
    assert len(names(corpus)) == 420
    assert (corpus.sample_rate, corpus.skipped, corpus.remarks) == (16_000, (), ())
    assert 1.5 < corpus.gain < 6
    assert corpus.duration(corpus.training + corpus.validation) / 60 == pytest.approx(20.81, abs=0.005)


def test_speakers_are_recorded_and_files_without_one_skipped(tmp_path, write_tone, open_here):
    for place, name in enumerate(("theo", "ann")):
        for index in range(5):
            write_tone(tmp_path / "a" / name / f"{index}.wav", frequency=200 + 50 * place + 9 * index)
    write_tone(tmp_path / "a" / "stray.wav", frequency=99)
    corpus = open_here(tmp_path / "a", speakers="folder")
    assert corpus.speakers == ("ann", "theo")
    for clip in corpus.training + corpus.validation:
        assert clip.name.startswith(f"{clip.speaker}/")
    assert reasons(corpus) == {"stray.wav": "no speaker: it is not in a folder below the given one"}
    seconds = split_record(corpus)["speakers"]
    assert sum(seconds.values()) == pytest.approx(corpus.duration(corpus.training))
    assert open_here(tmp_path / "a").speakers == ()


def test_a_speaker_without_training_audio_is_named(tmp_path, write_tone, open_here):
    name = next(f"{index}" for index in range(99) if hash_fraction(f"s{index}/0.wav") < 0.2)
    write_tone(tmp_path / "a" / f"s{name}" / "0.wav", frequency=99)
    for index in range(6):
        write_tone(tmp_path / "a" / "many" / f"{index}.wav", frequency=200 + 9 * index)
    corpus = open_here(tmp_path / "a", speakers="folder")
    assert any(f"no training audio of s{name}" in remark for remark in corpus.remarks)


def test_the_built_in_corpus_has_no_speakers(open_here):
    with pytest.raises(UserError, match="has no speakers"):
        open_here(speakers="folder")


def _entries(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache").rglob("*.npy"))


def test_a_flipped_bit_in_the_cache_is_noticed_and_the_file_decoded_again(tmp_path, open_here, write_tone, monkeypatch):
    monkeypatch.setattr(stored_samples, "BLOCK_SAMPLES", 1_000)
    folder = write_tone(tmp_path / "tones" / "a.wav", seconds=3.0).parent
    write_tone(folder / "b.wav", frequency=200.0)
    corpus = open_here(folder, trim=0.0)
    clip = next(clip for clip in corpus.training + corpus.validation if clip.name == "a.wav")
    waveform = corpus.waveform(clip)
    whole = clip.cached.read_bytes()
    header = len(whole) - 2 * 24_000
    for place in random.Random(0).sample(range(8 * header, 8 * len(whole)), 50):
        flipped = bytearray(whole)
        flipped[place // 8] ^= 1 << place % 8
        clip.cached.write_bytes(flipped)
        sample = (place // 8 - header) // 2
        with pytest.raises(UserError, match="is damaged; start the same command again"):
            corpus.waveform(clip, sample, sample + 1)
        for start, stop in ((0, sample // 1_000 * 1_000), ((sample // 1_000 + 1) * 1_000, 24_000)):
            np.testing.assert_array_equal(corpus.waveform(clip, start, stop), waveform[start:stop])
    again = open_here(folder, trim=0.0)
    np.testing.assert_array_equal(again.waveform(clip), waveform)


def test_a_removed_cache_is_said_in_a_line(tmp_path, open_here, write_tone):
    corpus = open_here(write_tone(tmp_path / "a.wav"))
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(UserError, match="has been removed; start the same command again"):
        corpus.waveform(corpus.training[0])


def test_an_entry_from_before_there_were_checksums_is_used(tmp_path, open_here, write_tone, monkeypatch):
    audio = write_tone(tmp_path / "a.wav")
    waveform = open_here(audio).waveform(open_here(audio).training[0])
    for entry in _entries(tmp_path):
        values = json.loads(entry.with_suffix(".json").read_text())
        del values["checksums"], values["digest"]
        entry.with_suffix(".json").write_text(json.dumps(values))
    monkeypatch.setattr(audio_cache, "read_blocks", None)  # nothing is decoded again
    corpus = open_here(audio)
    np.testing.assert_array_equal(corpus.waveform(corpus.training[0]), waveform)


@given(st.lists(st.integers(0, 900), max_size=12))
@settings(deadline=None, max_examples=30)
def test_checksums_do_not_depend_on_the_pieces(lengths):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored_samples, "BLOCK_SAMPLES", 100)
        data = np.random.default_rng(0).integers(-9, 9, sum(lengths)).astype("<i2").tobytes()
        whole, parts = BlockChecksums(), BlockChecksums()
        whole.add(data)
        ends = np.cumsum([0, *lengths]) * 2
        for start, stop in itertools.pairwise(ends):
            parts.add(data[start:stop])
        assert whole.bytes() == parts.bytes()
        assert len(whole.bytes()) == 4 * -(-len(data) // 200)
