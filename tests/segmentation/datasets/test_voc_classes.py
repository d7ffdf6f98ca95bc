"""Folders in VOC's layout that other tools have written have their own classes, not VOC's."""

from pathlib import Path

import numpy as np
import pytest
from image_sets import save, stripes, write_voc

from segmentation.datasets.formats.custom.class_list import read_class_list
from segmentation.datasets.formats.voc.classes import read_class_table, read_label_map
from segmentation.datasets.formats.voc.dataset import VocDataset
from segmentation.datasets.labels import IGNORE, voc_palette
from wavenet_app.core.errors import UserError

NUMBERS = ("0", "255", "256", "-1", "1.5", "", "\u00b2", "\u0663", "9" * 5_000, "0" * 5_000 + "7")
COLOURS = np.array([[0, 0, 0], [48, 112, 32], [176, 112, 32]])
LABEL_MAP = "# label:color_rgb:parts:actions\nCat:48,112,32::\nbackground:0,0,0::\nDog:176,112,32::\n"


def own_set(root: Path, masks: np.ndarray, palette: np.ndarray | None = None) -> Path:
    """VOC's layout with three images that all have this mask."""
    base = write_voc(root, voc_palette(256))
    for stem in "abc":
        save(base / "SegmentationClass" / f"{stem}.png", masks, palette)
    return base


def row(dataset: VocDataset) -> list[int]:
    values = dataset.mask(0)[0]
    return [int(values[place]) for place in range(len(values)) if place == 0 or values[place] != values[place - 1]]


@pytest.mark.parametrize("as_palette", [False, True])
def test_cvats_label_map_gives_names_and_colours_with_background_first(tmp_path, as_palette):
    ids = stripes([0, 2, 1])
    base = own_set(tmp_path, ids, COLOURS) if as_palette else own_set(tmp_path, COLOURS[ids])
    (base / "labelmap.txt").write_text(LABEL_MAP)
    dataset = VocDataset(base, "train")
    assert dataset.classes == ("background", "Cat", "Dog")
    assert row(dataset) == [0, 2, 1]
    np.testing.assert_array_equal(dataset.palette, COLOURS)
    assert dataset.remarks == (f"classes are those of {base / 'labelmap.txt'}",)


@pytest.mark.parametrize("place", [".", "SegmentationClass", "../.."])
def test_roboflows_table_gives_names_and_values(tmp_path, place):
    base = own_set(tmp_path, stripes([0, 7, 3, 255]))
    (base / place / "_classes.csv").write_text("Pixel Value, Class\n0, background\n3, dent\n7, scratch\n")
    dataset = VocDataset(base, "train")
    assert dataset.classes == ("background", "dent", "scratch")
    assert row(dataset) == [0, 2, 1, IGNORE]
    np.testing.assert_array_equal(dataset.labels.decode(dataset.mask(0)), stripes([0, 7, 3, 255]))


def test_a_list_of_names_alone_counts_indices_or_vocs_colours(tmp_path):
    base = own_set(tmp_path, stripes([0, 2, 1]))
    (base / "classes.txt").write_text("background\nscratch\ndent\n")
    assert VocDataset(base, "train").classes == ("background", "scratch", "dent")
    assert row(VocDataset(base, "train")) == [0, 2, 1]
    own_set(tmp_path / "coloured", voc_palette(3)[stripes([0, 2, 1])])
    (tmp_path / "coloured" / "classes.txt").write_text("background\nscratch\ndent\n")
    assert row(VocDataset(tmp_path / "coloured" / "VOCdevkit" / "VOC2012", "train")) == [0, 2, 1]


@pytest.mark.parametrize(
    ("masks", "palette", "said"),
    [
        (stripes([0, 30]), None, "the id 30"),
        (COLOURS[stripes([0, 1])], None, "the colour 48 112 32"),
        (stripes([0, 1]), COLOURS, "the colour 48 112 32"),
    ],
)
def test_masks_that_are_not_vocs_and_have_no_list_are_asked_about(tmp_path, masks, palette, said):
    base = own_set(tmp_path, masks, palette)
    with pytest.raises(UserError) as error:
        VocDataset(base, "train")
    assert said in str(error.value)
    assert str(base / "classes.txt") in str(error.value)
    assert "\n" not in str(error.value)


def test_an_id_or_colour_that_the_list_lacks_names_the_mask(tmp_path):
    base = own_set(tmp_path, COLOURS[stripes([0, 1, 2])])
    (base / "labelmap.txt").write_text("background:0,0,0::\nCat:48,112,32::\n")
    with pytest.raises(UserError, match=r"a.png holds the colours 176 112 32, which the list of classes does not have"):
        VocDataset(base, "train").mask(0)


def test_lists_of_other_names_are_split_by_name(tmp_path):
    base = own_set(tmp_path, stripes([0, 1]))
    lists = base / "ImageSets" / "Segmentation"
    for path in lists.iterdir():
        path.unlink()
    (lists / "default.txt").write_text("a\nb\nc\n")
    training, validation = VocDataset(base, "train"), VocDataset(base, "val")
    assert (len(training), len(validation)) == (2, 1)
    assert "1 of 3 images of default.txt are held out" in training.remarks[0]
    (lists / "default.txt").rename(lists / "train.txt")
    assert (len(VocDataset(base, "train")), len(VocDataset(base, "val"))) == (2, 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cat\n", "line 1: write 'label:red,green,blue::'"),
        ("cat:1,2,300::\n", "line 1"),
        ("cat:1,2,3::\ncat:2,2,3::\n", "names 'cat' twice"),
        ("cat:1,2,3::\ndog:1,2,3::\n", "the colour 1,2,3 to two classes"),
        ("# nothing\n", "names no class"),
    ],
)
def test_a_label_map_that_cannot_be_meant_is_refused(tmp_path, text, said):
    (tmp_path / "labelmap.txt").write_text(text)
    with pytest.raises(UserError, match=said):
        read_label_map(tmp_path / "labelmap.txt")


@pytest.mark.parametrize(
    ("text", "said"),
    [("a,b\n1\n", "line 2"), ("0,a\n0,b\n", "value 0 has a class already"), ("0,a\n1,a\n", "names 'a' twice")],
)
def test_a_class_table_that_cannot_be_meant_is_refused(tmp_path, text, said):
    (tmp_path / "_classes.csv").write_text(text)
    with pytest.raises(UserError, match=said):
        read_class_table(tmp_path / "_classes.csv")


def test_the_real_palette_of_voc_is_still_voc(tmp_path):
    assert len(VocDataset(write_voc(tmp_path, voc_palette(256)), "train").classes) == 21
    grey = np.repeat(np.arange(256)[:, None], 3, axis=1)
    assert len(VocDataset(own_set(tmp_path / "grey", stripes([0, 5]), grey), "train").classes) == 21


@pytest.mark.shared_data
def test_sets_that_users_report_have_their_own_names(shared_cases):
    assert VocDataset(shared_cases / "cvat_default", "train").classes == ("background", "Cat", "Dog")
    own = VocDataset(shared_cases / "voc_own_index" / "VOCdevkit" / "VOC2007", "val")
    assert own.classes == ("background", "scratch", "dent")


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize(
    ("reader", "line"),
    [
        (read_label_map, "cat:1,2,{}::"),
        (read_class_table, "{}, cat"),
        (read_class_list, "cat = {}"),
        (read_class_list, "cat = 1 {} 2"),
    ],
)
def test_any_number_in_a_list_is_read_or_its_line_is_named(tmp_path, reader, line, number):
    path = tmp_path / "list"
    first = "value, name\n" if reader is read_class_table else ""
    path.write_text(first + line.format(number))
    most = 65_535 if line in ("{}, cat", "cat = {}") else 255
    if number.isdecimal() and len(number.lstrip("0")) < 9 and int(number[-9:]) <= most:
        assert reader(path).names == ("cat",)
        return
    with pytest.raises(UserError, match=r"line \d: write|names no class"):
        reader(path)
