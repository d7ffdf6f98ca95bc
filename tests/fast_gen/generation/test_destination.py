"""`wavegen sample --out, --format, --overwrite`: which files are written, and that none is lost."""

from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import soundfile
from random_checkpoint import write_random_checkpoint
from random_nets import SHAPES

from fast_gen.generation.destination import Destination
from wavenet_app.core.errors import UserError


@pytest.fixture
def sample(wavegen, tmp_path):
    """Runs `wavegen sample` with a random net that is called net."""
    checkpoint = write_random_checkpoint(tmp_path / "net.pth", SHAPES["two cycles"], sample_rate=8_000)
    return partial(wavegen, "sample", checkpoint, "--seconds", 0.02)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_the_same_seed_again_takes_the_next_free_numbers(sample, tmp_path):
    out = tmp_path / "out"
    first = sample("--out", out, "-n", 2)
    assert first.code == 0, first.err
    before = content(out)
    assert set(before) == {f"net-seed0-{number}.{suffix}" for number in (0, 1) for suffix in ("wav", "png")}
    again = sample("--out", out, "-n", 2, "--format", "flac")
    assert "net-seed0-3.flac" in again.out
    after = content(out)
    assert {name: after[name] for name in before} == before, "nothing is replaced, pictures included"
    assert {name for name in after if name.endswith(".flac")} == {"net-seed0-2.flac", "net-seed0-3.flac"}
    same = [soundfile.read(out / f"net-seed0-{name}")[0] for name in ("1.wav", "3.flac")]
    np.testing.assert_array_equal(*same)


def test_overwrite_begins_with_the_first_number(sample, tmp_path):
    out = tmp_path / "out"
    assert sample("--out", out).code == 0
    names = set(content(out))
    before = content(out)
    replaced = sample("--out", out, "--temperature", 0.5, "--overwrite")
    assert replaced.code == 0, replaced.err
    assert set(content(out)) == names
    assert content(out) != before


def test_numbers_in_use_are_skipped_whatever_has_them(tmp_path):
    for name in ("a-seed0-0.mp3", "a-seed0-1.png", "a-seed0-3.flac.wav", "a-seed0-40.wav", "b-seed0-2.wav"):
        (tmp_path / name).touch()
    free = Destination.of(tmp_path, None, overwrite=False).paths("a-seed0")
    assert [path.name for path in islice(free, 3)] == ["a-seed0-2.wav", "a-seed0-4.wav", "a-seed0-5.wav"]


@pytest.mark.parametrize("name", ["song.wav", "song.FLAC", "deep/song.ogg"])
def test_one_clip_is_written_to_the_file_that_out_names(sample, tmp_path, name):
    done = sample("--out", name)
    assert done.code == 0, done.err
    path = tmp_path / name
    assert soundfile.info(path).format == path.suffix[1:].upper()
    assert path.with_suffix(".png").exists()
    assert len(soundfile.read(path)[0]) == 160
    before = content(path.parent)
    refused = sample("--out", name)
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert f"{name} exists; --overwrite replaces it" in refused.err
    assert content(path.parent) == before
    assert sample("--out", name, "--temperature", 0.5, "--overwrite").code == 0
    assert content(path.parent) != before


def test_a_picture_of_another_file_is_not_replaced(sample, tmp_path):
    (tmp_path / "song.png").write_bytes(b"cover")
    refused = sample("--out", "song.wav")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "song.png exists; --overwrite replaces it" in refused.err


def test_a_folder_may_have_the_suffix_of_audio(sample, tmp_path):
    (tmp_path / "old.wav").mkdir()
    assert sample("--out", "old.wav").code == 0
    assert len(list((tmp_path / "old.wav").glob("*.wav"))) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--out", "song.wav", "-n", 3], "--out song.wav is one file, and there are 3 clips; name a folder"),
        (["--out", "song.wav", "--prime", "tones"], "--out song.wav is one file, and there are 2 clips"),
        (["--out", "song.mp4"], "there is no format 'mp4'; choose one of: wav, flac, ogg"),
        (["--format", "mp4"], "there is no format 'mp4'; choose one of: wav, flac, ogg"),
        (["--out", "song.wav", "--format", "ogg"], "--format ogg and --out song.wav disagree"),
    ],
)
def test_contradictions_are_one_line_and_write_nothing(sample, tmp_path, write_tone, options, message):
    for index in range(2):
        write_tone(tmp_path / "tones" / f"{index}.wav")
    refused = sample(*options)
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert message in refused.err
    assert not (tmp_path / "song.wav").exists()
    assert not (tmp_path / "data" / "generated").exists()


def test_the_one_clip_that_is_kept_of_several_may_have_a_name(sample, tmp_path):
    done = sample("--rank", "-n", 3, "--keep", 1, "--out", "best.wav")
    assert done.code == 0, done.err
    assert (tmp_path / "best.wav").exists()


def test_out_and_format_may_agree(tmp_path):
    assert Destination.of(tmp_path / "a.ogg", "ogg", overwrite=False).audio_format.name == "ogg"
    with pytest.raises(UserError, match="disagree"):
        Destination.of(tmp_path / "a.ogg", "flac", overwrite=False)
