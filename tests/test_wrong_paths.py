"""A path of the wrong kind is one short line that says what to give instead."""

import pytest


@pytest.mark.parametrize("command", ["train", "inspect"])
@pytest.mark.parametrize("given", ["lists", "lists/all.m3u"])
def test_a_playlist_is_named(wavegen, tmp_path, command, given):
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "all.m3u").write_text("one.wav\n")
    found = wavegen(command, given)
    assert found.code == 2
    assert found.err.endswith("a playlist; give the folder of its files\n")
    assert len(found.err) < 100


def test_pictures_and_audio_point_to_each_others_check(wavegen, tmp_path, tone_folder):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").touch()
    for command in ("inspect", "train"):
        assert wavegen(command, "photos").err == (
            "error: no audio in photos: 1 file is not audio: .jpg 1; pictures are checked with: wavegen seg-check "
            "photos\n"
        )
    said = wavegen("seg-check", "tones").err
    assert said.endswith("not images; check it with: wavegen inspect tones\n")
    assert len(said) < 200
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").touch()
    said = wavegen("seg-check", "texts").err
    assert "make the folders images/ and masks/ in it" in said
    assert len(said) < 250


def test_an_absent_file_is_named_once_with_the_data_folder(wavegen, tmp_path, monkeypatch):
    said = wavegen("vocode", "kathleen", "data/a.wav", "--data-dir", "mine").err
    assert "is called 'kathleen'" in said or said == (
        "error: there is no file or folder data/a.wav; the data folder is mine\n"
    )
    monkeypatch.setenv("WAVEGEN_DATA", "mine")
    (tmp_path / "tones").mkdir(exist_ok=True)
    from wavenet_app.core.errors import UserError
    from wavenet_app.corpus.sources import scan_sources

    for path, line in (
        (tmp_path / "a.wav", f"there is no file or folder {tmp_path}/a.wav"),
        ("data/a.wav", "there is no file or folder data/a.wav; the data folder is mine"),
    ):
        with pytest.raises(UserError) as raised:
            scan_sources([type(tmp_path)(path)])
        assert str(raised.value) == line
