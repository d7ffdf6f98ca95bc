import pytest
from archive_server import Served, serving
from small_archives import coco_files, lj_files, serving_set, tar_of, voc_files, zip_of

from wavenet_app.downloads import catalogue
from wavenet_app.downloads.data_set import Count

CONTENTS = {
    "voc": [tar_of(voc_files())],
    "ljspeech": [tar_of(lj_files(), "bz2")],
    "coco": [
        zip_of({f"annotations/instances_{split}2017.json": b"{}" for split in ("train", "val")}),
        zip_of(coco_files("val")),
        zip_of(coco_files("train")),
    ],
    "cityscapes": [
        zip_of({"gtFine/train/a/a_gtFine_labelIds.png": b"1", "README": b"r"}),
        zip_of({"leftImg8bit/train/a/a_leftImg8bit.png": b"2", "README": b"r"}),
    ],
}
COUNTS = {
    "voc": [
        Count("pascal_voc/VOCdevkit/VOC2012/JPEGImages", ".jpg", 6),
        Count(
            "pascal_voc/VOCdevkit/VOC2012/SegmentationClass",
            ".png",
            6,
            "pascal_voc/VOCdevkit/VOC2012/JPEGImages",
            ".jpg",
        ),
    ],
    "ljspeech": [Count("speech/LJSpeech-1.1/wavs", ".wav", 12)],
}


@pytest.fixture
def server():
    with serving() as running:
        yield running


@pytest.fixture
def served(server, monkeypatch):
    """The catalogue with small data sets that the loopback server has; yields the server."""
    for name, contents in CONTENTS.items():
        one = catalogue.DATA_SETS[name]
        urls = []
        for archive, content in zip(one.archives, contents, strict=False):
            server.files[archive.name] = Served(content)
            urls.append((server.url(archive.name),) if archive.urls else ())
        monkeypatch.setitem(catalogue.DATA_SETS, name, serving_set(one, contents, urls, COUNTS.get(name)))
    return server
