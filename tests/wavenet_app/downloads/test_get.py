import json
import os
import shutil
from dataclasses import replace

import pytest
from archive_server import Served
from small_archives import jpeg, tar_of, voc_files, wav, zip_of

from wavenet_app.core.published import PUBLISHED
from wavenet_app.core.run_lock import locked
from wavenet_app.downloads import catalogue
from wavenet_app.downloads import get as getting
from wavenet_app.downloads.records import counted

VOC = "data/pascal_voc/VOCdevkit/VOC2012"


def left(folder):
    """Returns what lies in a data folder beside the records and empty folders."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def one_line(outcome):
    """Returns the line of an error, after checking that it is one, with exit code 2."""
    assert outcome.code == 2, outcome
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1
    return outcome.err


def test_a_speech_and_an_image_set_arrive_in_the_layouts_that_the_commands_take(served, wavegen, tmp_path):
    outcome = wavegen("data", "get", "voc", "ljspeech", "--yes")
    assert outcome.code == 0, outcome.err
    assert "Next: wavegen seg-train voc" in outcome.out
    assert (tmp_path / VOC / "SegmentationClass" / "2007_000000.png").is_file()
    assert (tmp_path / "data/speech/LJSpeech-1.1/wavs/LJ001-0000.wav").read_bytes() == wav(0)
    assert left(tmp_path / "data" / ".downloads") == [
        "installed/LJSpeech-1.1.tar.bz2.json",
        "installed/VOCtrainval_11-May-2012.tar.json",
    ]
    assert wavegen("seg-check", "voc").code == 0
    assert wavegen("inspect", "speech/LJSpeech-1.1").code == 0
    rows = {row["name"]: row for row in json.loads(wavegen("data", "--json").out)}
    assert (rows["voc"]["status"], rows["voc"]["files"]) == ("present", len(voc_files()))
    assert rows["voc"]["bytes"] == sum(map(len, voc_files().values()))
    again = wavegen("data", "get", "voc")
    assert (again.code, "voc is here already" in again.out) == (0, True)


def test_several_archives_make_one_set(served, wavegen, tmp_path):
    assert wavegen("data", "get", "coco", "--yes").code == 0
    assert sorted(path.name for path in (tmp_path / "data/coco").iterdir()) == ["annotations", "train2017", "val2017"]


def test_a_dry_run_says_what_would_be_done_and_does_nothing(served, wavegen, tmp_path):
    outcome = wavegen("data", "get", "coco", "--dry-run")
    assert outcome.code == 0
    assert "train2017.zip from http://127.0.0.1" in outcome.out
    assert not served.asked
    assert not (tmp_path / "data").exists()


def test_nothing_is_fetched_unasked(served, wavegen):
    assert "add --yes" in one_line(wavegen("data", "get", "voc"))
    assert not served.asked


def test_an_archive_is_kept_on_request(served, wavegen, tmp_path):
    assert wavegen("data", "get", "voc", "--yes", "--keep-archive").code == 0
    assert (tmp_path / "data/.downloads/VOCtrainval_11-May-2012.tar").is_file()
    shutil.rmtree(tmp_path / "data/pascal_voc")
    served.asked.clear()
    assert wavegen("data", "get", "voc", "--yes").code == 0
    assert not served.asked


def test_cityscapes_says_where_to_register_and_takes_what_the_user_has(served, wavegen, tmp_path):
    assert "register at https://www.cityscapes-dataset.com" in one_line(wavegen("data", "get", "cityscapes", "--yes"))
    fine, left8 = (served.files[f"{name}_trainvaltest.zip"].content for name in ("gtFine", "leftImg8bit"))
    own = tmp_path / "own"
    own.mkdir()
    (own / "gtFine_trainvaltest.zip").write_bytes(fine)
    assert "leftImg8bit_trainvaltest.zip is not in" in one_line(
        wavegen("data", "get", "cityscapes", "--from", own, "--yes")
    )
    assert not (tmp_path / "data" / "cityscapes").exists()
    (own / "all.zip").write_bytes(zip_of({"downloads/leftImg8bit_trainvaltest.zip": left8}))
    assert wavegen("data", "get", "cityscapes", "--from", own, "--yes").code == 0
    assert left(tmp_path / "data/cityscapes") == [
        "README",
        "gtFine/train/a/a_gtFine_labelIds.png",
        "leftImg8bit/train/a/a_leftImg8bit.png",
    ]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (lambda whole: whole[:-10], "bytes, but"),
        (lambda whole: b"x" + whole[1:], "a wrong checksum"),
        (lambda whole: b"<!DOCTYPE html>" + whole[15:], "is a web page"),
    ],
    ids=["length", "checksum", "html"],
)
def test_a_local_archive_must_be_the_published_one(served, wavegen, tmp_path, content, reason):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "VOCtrainval_11-May-2012.tar").write_bytes(
        content(served.files["VOCtrainval_11-May-2012.tar"].content)
    )
    assert reason in one_line(wavegen("data", "get", "voc", "--from", "own", "--yes"))
    assert not (tmp_path / "data" / "pascal_voc").exists()


def test_a_disk_that_is_too_small_is_refused_before_the_first_byte(served, wavegen, monkeypatch):
    monkeypatch.setattr(getting.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 99, 1_000))
    assert "has 1000 bytes free, but" in one_line(wavegen("data", "get", "voc", "--yes"))
    assert not served.asked


def test_a_disk_that_fills_while_unpacking_leaves_nothing_half_unpacked(served, wavegen, tmp_path, full_disk):
    whole = served.files["VOCtrainval_11-May-2012.tar"].content
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "VOCtrainval_11-May-2012.tar").write_bytes(whole)
    with full_disk(1_000):
        assert "cannot unpack VOCtrainval_11-May-2012.tar" in one_line(
            wavegen("data", "get", "voc", "--from", "own", "--yes")
        )
    assert left(tmp_path / "data") == []
    assert wavegen("data", "get", "voc", "--from", "own", "--yes").code == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_named(served, wavegen, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(0o500)
    assert "cannot write in data/.downloads" in one_line(wavegen("data", "get", "voc", "--yes"))


def test_a_folder_that_cannot_be_made_is_named(served, wavegen, tmp_path):
    (tmp_path / "data").write_bytes(b"a file")
    assert "cannot write in data/.downloads" in one_line(wavegen("data", "get", "voc", "--yes"))


def test_two_downloads_of_one_set_do_not_meet(served, wavegen, tmp_path):
    (tmp_path / "data/.downloads").mkdir(parents=True)
    descriptor = locked(tmp_path / "data/.downloads/voc.lock")
    try:
        assert "another process is getting voc" in one_line(wavegen("data", "get", "voc", "--yes"))
    finally:
        os.close(descriptor)
    assert wavegen("data", "get", "voc", "--yes").code == 0


def test_what_a_killed_process_left_half_unpacked_is_removed(served, wavegen, tmp_path):
    half = tmp_path / "data/pascal_voc/.VOCtrainval_11-May-2012.tar.unpacking/VOCdevkit/VOC2012/JPEGImages"
    half.mkdir(parents=True)
    (half / "2007_000000.jpg").write_bytes(b"half")
    assert wavegen("data", "get", "voc", "--yes").code == 0
    assert not list((tmp_path / "data/pascal_voc").glob(".*"))
    assert (tmp_path / VOC / "JPEGImages" / "2007_000000.jpg").read_bytes() == jpeg(0)


def test_another_year_of_voc_stays_where_it_is(served, wavegen, tmp_path):
    other = tmp_path / "data/pascal_voc/VOCdevkit/VOC2007/x"
    other.mkdir(parents=True)
    assert wavegen("data", "get", "voc", "--yes").code == 0
    assert other.is_dir()
    assert (tmp_path / VOC).is_dir()


def test_an_archive_without_what_it_should_hold_is_refused(served, wavegen, monkeypatch, tmp_path):
    content = tar_of({"VOCdevkit/VOC2007/a.jpg": b"a"})
    archive = replace(catalogue.DATA_SETS["voc"].archives[0], exact=False, checksum="")
    monkeypatch.setitem(catalogue.DATA_SETS, "voc", replace(catalogue.DATA_SETS["voc"], archives=(archive,)))
    served.files[archive.name] = Served(content)
    assert "it has no VOCdevkit/VOC2012, but VOCdevkit" in one_line(wavegen("data", "get", "voc", "--yes"))
    assert left(tmp_path / "data") == []


def test_options_of_another_set_and_unknown_parts_are_refused(served, wavegen):
    assert "--with-sbd is for voc" in one_line(wavegen("data", "get", "coco", "--with-sbd", "--yes"))
    assert "choose from dev-clean" in one_line(wavegen("data", "get", "libritts", "--subset", "dev", "--yes"))
    assert "did you mean 'coco'" in one_line(wavegen("data", "get", "cocoa", "--yes"))


def test_verify_finds_what_is_missing_unpaired_and_cut(served, wavegen, tmp_path):
    assert "Get it: wavegen data get voc" in one_line(wavegen("data", "verify", "voc"))
    wavegen("data", "get", "voc", "ljspeech", "--yes")
    assert wavegen("data", "verify", "voc").code == 0
    (tmp_path / VOC / "JPEGImages/2007_000001.jpg").unlink()
    mask = tmp_path / VOC / "SegmentationClass/2007_000002.png"
    mask.write_bytes(mask.read_bytes()[:-20])
    (tmp_path / VOC / "JPEGImages/2007_000003.jpg").write_bytes(b"")
    outcome = wavegen("data", "verify", "voc")
    assert outcome.code == 1
    for text in ("5 of 6 *.jpg", "2007_000001.png has no partner", "2007_000002.png ends too early", "3.jpg is empty"):
        assert text in outcome.out
    clip = tmp_path / "data/speech/LJSpeech-1.1/wavs/LJ001-0003.wav"
    clip.write_bytes(clip.read_bytes()[:-500])
    assert "LJ001-0003.wav ends too early" in wavegen("data", "verify", "ljspeech").out


def test_remove_deletes_what_get_made_and_nothing_else(served, wavegen, tmp_path):
    wavegen("data", "get", "voc", "ljspeech", "--yes", "--keep-archive")
    other = tmp_path / "data/pascal_voc/VOCdevkit/VOC2007"
    other.mkdir()
    assert "add --yes to delete voc" in one_line(wavegen("data", "remove", "voc"))
    assert (tmp_path / VOC).is_dir()
    assert wavegen("data", "remove", "voc", "--yes").code == 0
    assert not (tmp_path / VOC).exists()
    assert other.is_dir()
    assert (tmp_path / "data/speech/LJSpeech-1.1/wavs").is_dir()
    assert "nothing to remove" in one_line(wavegen("data", "remove", "voc", "--yes"))


def test_remove_deletes_a_link_and_not_what_it_leads_to(served, wavegen, tmp_path):
    wavegen("data", "get", "ljspeech", "--yes")
    (tmp_path / "data/speech/LJSpeech-1.1").rename(tmp_path / "elsewhere")
    (tmp_path / "data/speech/LJSpeech-1.1").symlink_to(tmp_path / "elsewhere")
    assert wavegen("data", "remove", "ljspeech", "--yes").code == 0
    assert not (tmp_path / "data/speech/LJSpeech-1.1").is_symlink()
    assert counted(tmp_path / "elsewhere").files == 14


def test_an_offer_names_sizes_of_the_catalogue():
    assert PUBLISHED["coco"].size == sum(archive.size for archive in catalogue.DATA_SETS["coco"].archives)
