"""A misspelt path gets the closest one that exists, and a file where a model belongs says so."""

import pytest

from wavenet_app.core.near import did_you_mean_path, nearest_path


@pytest.fixture
def folder(tmp_path):
    for name in ("recordings", "data/recordings/ann", ".hidden"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("take1.wav", "recordings/first.wav", "recordings/first.txt", "a.wav"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("given", "near"),
    [
        ("recordigs", "recordings"),
        ("recordigs/first.wav", "recordings/first.wav"),
        ("recordigs/nothing.wav", "recordings"),
        ("recordings/frist.wav", "recordings/first.wav"),
        ("Take1.WAV", "take1.wav"),
        ("b.wav", None),
        ("hidden", None),
        ("nowhere/at/all", None),
    ],
)
def test_the_first_absent_name_is_replaced(folder, given, near):
    assert nearest_path(folder / given) == (None if near is None else folder / near)


@pytest.mark.parametrize("command", ["train", "inspect"])
@pytest.mark.parametrize(("given", "near"), [("recordigs/", "recordings"), ("recordings/anm", "recordings/ann")])
def test_audio_paths(wavegen, folder, command, given, near):
    found = wavegen(command, given)
    assert (found.code, found.err.endswith(f"; did you mean '{near}'?\n")) == (2, True), found.err


def test_image_paths(wavegen, tmp_path):
    (tmp_path / "photos").mkdir()
    assert wavegen("seg-check", "fotos").err.endswith("; did you mean 'photos'?\n")
    assert wavegen("seg-train", "photso/").err.endswith("; did you mean 'photos'?\n")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("seg-predict", "new.jpg", "photos"), "new.jpg is an image; {first} seg-predict MODEL new.jpg"),
        (("seg-eval", "new.png", "x"), "new.png is an image, not a model; {first} seg-eval MODEL ..."),
        (("sample", "a.wav"), "a.wav is a recording; {first} sample MODEL --prime a.wav"),
        (("vocode", "a b.flac", "x"), "a b.flac is a recording; {first} vocode MODEL 'a b.flac'"),
        (("vocode", "m.npy", "x"), "m.npy is an array; {first} vocode MODEL m.npy"),
        (("mel", "m.npy", "x"), "m.npy is an array; {first} mel MODEL m.npy"),
        (("eval", "a.mp3"), "a.mp3 is a recording; {first} eval MODEL a.mp3"),
    ],
)
def test_a_file_where_the_model_belongs(wavegen, tmp_path, arguments, line):
    (tmp_path / arguments[1]).write_bytes(b"\xff\xd8")
    found = wavegen(*arguments)
    said = line.format(first="the model comes first: wavegen")
    assert (found.code, found.err) == (2, f"error: {said}\n")


def test_a_data_folder_that_does_not_exist_yet_suggests_nothing_beside_it(tmp_path):
    (tmp_path / "dat.txt").touch()
    (tmp_path / "dats").mkdir()
    assert did_you_mean_path("speech", tmp_path / "data") == ""
    assert did_you_mean_path("speach", tmp_path / "dats") == ""
    (tmp_path / "dats" / "speech").mkdir()
    assert did_you_mean_path("speach", tmp_path / "dats") == "; did you mean 'speech'?"
