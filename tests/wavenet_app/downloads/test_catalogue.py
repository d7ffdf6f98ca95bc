import json

import pytest

from wavenet_app.core.published import PUBLISHED
from wavenet_app.downloads.catalogue import DATA_SETS


def urls(name: str) -> dict[str, str]:
    """Returns the first address of each archive of a data set, with its checksum."""
    return {archive.urls[0]: archive.checksum for archive in DATA_SETS[name].archives}


def test_speech_comes_from_the_addresses_of_torchaudio_with_its_checksums():
    from torchaudio.datasets import cmuarctic, libritts, ljspeech, speechcommands, vctk, yesno

    for name, module in (("cmu-arctic", cmuarctic), ("libritts", libritts), ("vctk", vctk)):
        assert urls(name) == {url: f"sha256:{digest}" for url, digest in module._CHECKSUMS.items()}
    commands = speechcommands._CHECKSUMS.items()
    assert urls("speechcommands").items() <= {(url, f"sha256:{digest}") for url, digest in commands}
    for name, module in (("ljspeech", ljspeech), ("yesno", yesno)):
        release = module._RELEASE_CONFIGS["release1"]
        assert urls(name) == {release["url"]: f"sha256:{release['checksum']}"}


def test_voc_and_sbd_come_from_the_addresses_of_torchvision():
    from torchvision.datasets import SBDataset
    from torchvision.datasets.voc import DATASET_YEAR_DICT

    voc, sbd = DATA_SETS["voc"].archives
    assert (voc.urls[0], voc.name) == (DATASET_YEAR_DICT["2012"]["url"], DATASET_YEAR_DICT["2012"]["filename"])
    assert (sbd.urls[0], sbd.checksum) == (SBDataset.url, f"md5:{SBDataset.md5}")


@pytest.mark.parametrize("one", DATA_SETS.values(), ids=list(DATA_SETS))
def test_an_entry_agrees_with_itself(one):
    assert one.short is PUBLISHED[one.name]
    needed = one.chosen(())
    assert sum(archive.size for archive in needed) == pytest.approx(one.short.size, rel=0.01)
    assert one.layout
    assert bool(one.registration) == any(not archive.urls for archive in one.archives)
    assert {count.part for count in one.counts} <= {"", *one.parts}
    for archive in needed:
        assert archive.folder.startswith(one.short.folder) or one.short.folder.startswith(archive.folder)


def test_the_list_says_what_is_absent_and_how_to_get_it(wavegen):
    outcome = wavegen("data", "--json")
    rows = {row["name"]: row for row in json.loads(outcome.out)}
    assert list(rows) == list(PUBLISHED)
    assert rows["voc"]["status"] == "absent"
    assert rows["voc"]["next"] == "wavegen data get voc"
    assert rows["cityscapes"]["next"] == "wavegen data get cityscapes --from FOLDER"
    assert "wavegen data get voc" in wavegen("data").out


def test_a_narrow_terminal_cuts_no_command(wavegen, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    assert "wavegen data get cityscapes --from FOLDER\n" in wavegen("data").out


def test_the_list_says_what_is_present_and_the_next_command(wavegen, tmp_path):
    folder = tmp_path / "data" / "speech" / "ARCTIC" / "cmu_us_bdl_arctic"
    (folder / "wav").mkdir(parents=True)
    (folder / "wav" / "a.wav").write_bytes(bytes(100))
    row = next(row for row in json.loads(wavegen("data", "--json").out) if row["name"] == "cmu-arctic")
    assert (row["status"], row["parts"], row["files"], row["bytes"]) == ("present", ["bdl"], 1, 100)
    assert row["next"].startswith("wavegen train ")


def test_info_describes_a_data_set_and_refuses_an_unknown_one(wavegen):
    assert "VOCdevkit/VOC2012/JPEGImages" in wavegen("data", "info", "voc").out
    unknown = wavegen("data", "info", "vox")
    assert (unknown.code, unknown.err.count("\n")) == (2, 1)
    assert "did you mean 'voc'?" in unknown.err
