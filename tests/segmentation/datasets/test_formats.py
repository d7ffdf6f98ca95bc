"""Every format is recognised by its content and gives masks of class ids; what is missing is named."""

import json
from pathlib import Path

import numpy as np
import pytest
from image_sets import (
    box,
    picture,
    save,
    stripes,
    write_ade_challenge,
    write_ade_full,
    write_cityscapes,
    write_coco,
    write_custom,
    write_voc,
)
from pycocotools import mask as run_lengths

from segmentation.datasets import catalogue
from segmentation.datasets.catalogue import FORMATS, open_dataset, recognise
from segmentation.datasets.format import Format, FormatOption, has_folders
from segmentation.datasets.formats.ade20k import CLASSES as ADE_CLASSES
from segmentation.datasets.formats.coco.dataset import CocoDataset
from segmentation.datasets.formats.shapes import CLASSES, ShapesDataset
from segmentation.datasets.labels import IGNORE, voc_palette
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError

PALETTE = voc_palette(256)


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return DataFolder(tmp_path)


def ids(dataset, index: int = 0) -> list[int]:
    """The ids of a mask's first row, from left to right, each once."""
    row = dataset[index].mask.numpy()[0]
    return [int(row[place]) for place in range(len(row)) if place == 0 or row[place] != row[place - 1]]


@pytest.mark.parametrize("level", [".", "VOCdevkit", "VOCdevkit/VOC2012"])
def test_voc_is_found_at_every_level_and_read_by_index(folder, tmp_path, level):
    write_voc(tmp_path / "pascal_voc", PALETTE)
    dataset = open_dataset(str(tmp_path / "pascal_voc" / level), folder, "train")
    assert (dataset.split, len(dataset), dataset.num_classes) == ("train", 2, 21)
    assert ids(dataset) == [0, 15, 255, 20]
    assert dataset.classes[15] == "person"
    assert dataset.image_path(0).name == "a.jpg"
    np.testing.assert_array_equal(dataset.palette, PALETTE[:21])
    assert len(open_dataset("voc", folder, "val")) == 1


def test_voc_gives_the_pairs_of_torchvisions_reader(folder, tmp_path):
    from torchvision.datasets import VOCSegmentation

    write_voc(tmp_path / "pascal_voc", PALETTE)
    theirs = VOCSegmentation(str(tmp_path / "pascal_voc"), image_set="train")
    ours = open_dataset("voc", folder, "train")
    assert [str(ours.image_path(place)) for place in range(len(ours))] == theirs.images
    for place in range(len(ours)):
        np.testing.assert_array_equal(ours.mask(place), np.asarray(theirs[place][1]))


def test_voc_trains_on_segmentation_class_aug_without_validation_images(folder, tmp_path):
    base = write_voc(tmp_path / "pascal_voc", PALETTE)
    for stem in "abcd":
        save(base / "SegmentationClassAug" / f"{stem}.png", stripes([1, 2]))
    save(base / "JPEGImages" / "d.jpg", picture())
    dataset = open_dataset("voc", folder, "train")
    assert dataset.split == "trainaug"
    assert [dataset.image_path(place).stem for place in range(len(dataset))] == ["a", "b", "d"]
    assert "SegmentationClassAug" in dataset.remarks[0]
    (base / "ImageSets" / "Segmentation" / "trainaug.txt").write_text("/JPEGImages/d.jpg /SegmentationClassAug/d.png\n")
    assert len(open_dataset("voc", folder, "train")) == 1


def test_voc_trains_on_sbd(folder, tmp_path):
    from scipy.io import savemat

    base = write_voc(tmp_path / "pascal_voc", PALETTE)
    sbd = tmp_path / "pascal_voc" / "benchmark_RELEASE" / "dataset"
    (sbd / "cls").mkdir(parents=True)
    for stem in "abcd":
        savemat(sbd / "cls" / f"{stem}.mat", {"GTcls": {"Segmentation": stripes([0, 7]).astype(np.uint8)}})
    save(sbd / "img" / "d.jpg", picture())
    dataset = open_dataset("voc", folder, "train")
    assert dataset.split == "trainaug"
    assert [dataset.image_path(place).stem for place in range(len(dataset))] == ["a", "b", "d"]
    assert ids(dataset, 0) == [0, 15, 255, 20], "VOC's own mask comes before SBD's"
    assert ids(dataset, 2) == [0, 7]
    assert base in dataset.mask_path(0).parents


def test_voc_masks_that_were_saved_in_colour_are_read_through_the_palette(folder, tmp_path):
    base = write_voc(tmp_path / "pascal_voc", PALETTE)
    save(base / "SegmentationClass" / "a.png", PALETTE[stripes([0, 15, 255, 20])])
    dataset = open_dataset("voc", folder, "train")
    assert ids(dataset) == [0, 15, 255, 20]
    assert "colours" in dataset.notes[0].problem
    save(base / "SegmentationClass" / "a.png", picture())
    with pytest.raises(UserError, match="not VOC's"):
        dataset.mask(0)


def test_voc_names_what_its_lists_lack(folder, tmp_path):
    base = write_voc(tmp_path / "pascal_voc", PALETTE)
    (base / "SegmentationClass" / "a.png").unlink()
    dataset = open_dataset("voc", folder, "train")
    assert len(dataset) == 1
    assert [note.path.name for note in dataset.skipped] == ["a.jpg"]
    (base / "JPEGImages" / "b.jpg").unlink()
    with pytest.raises(UserError, match=r"no labelled image; 2 files are skipped, the first is .*a.jpg"):
        open_dataset("voc", folder, "train")
    (base / "ImageSets" / "Segmentation" / "train.txt").unlink()
    with pytest.raises(UserError, match=r"train.txt is missing"):
        open_dataset("voc", folder, "train")


@pytest.mark.parametrize(
    ("content", "stems"),
    [
        (b"\xef\xbb\xbfa\nb", ["a", "b"]),
        ("a\r\nb\r\n".encode("utf-16"), ["a", "b"]),
        (b"a.rf.1\r\n\r\nb c\r\n", ["a.rf.1", "b c"]),
        (b"a.jpg\nb.png\n", ["a", "b"]),
        (b"/JPEGImages/a.rf.1.jpg /SegmentationClass/a.rf.1.png\nb 1\n", ["a.rf.1", "b"]),
    ],
)
def test_voc_lists_are_read_as_editors_and_shells_write_them(folder, tmp_path, content, stems):
    base = write_voc(tmp_path / "pascal_voc", PALETTE)
    for stem, ending in (("a.rf.1", "JPG"), ("b c", "png")):
        save(base / "JPEGImages" / f"{stem}.{ending}", picture())
        save(base / "SegmentationClass" / f"{stem}.png", stripes([0, 15]), PALETTE)
    (base / "ImageSets" / "Segmentation" / "train.txt").write_bytes(content)
    dataset = open_dataset("voc", folder, "train")
    assert [dataset.image_path(place).stem for place in range(len(dataset))] == stems
    assert dataset.skipped == ()


def test_a_voc_list_that_is_no_text_is_one_line(folder, tmp_path):
    base = write_voc(tmp_path / "pascal_voc", PALETTE)
    (base / "ImageSets" / "Segmentation" / "train.txt").write_bytes(b"\x80\xff\x00")
    with pytest.raises(UserError, match=r"train.txt is no text; save it as UTF-8"):
        open_dataset("voc", folder, "train")


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["voc_bom", "voc_utf16", "voc_dots", "voc_jpgcase"])
def test_voc_lists_that_users_report_are_read(shared_cases, folder, name):
    dataset = open_dataset(str(shared_cases / name), folder, "train")
    assert len(dataset) == (3 if name == "voc_dots" else 2)
    assert dataset.skipped == ()


def test_cityscapes_trains_on_nineteen_of_its_ids_and_exports_raw_ones(folder, tmp_path):
    write_cityscapes(tmp_path / "cityscapes")
    dataset = open_dataset("cityscapes", folder, "train")
    assert (len(dataset), dataset.num_classes, dataset.classes[0]) == (2, 19, "road")
    assert ids(dataset) == [255, 0, 255, 18]
    assert dataset.palette[0].tolist() == [128, 64, 128]
    assert np.unique(dataset.labels.decode(dataset.mask(0))).tolist() == [0, 7, 33]
    (tmp_path / "cityscapes" / "leftImg8bit" / "train" / "aachen" / "Thumbs.db").write_text("")
    (tmp_path / "cityscapes/gtFine/train/aachen/aachen_000001_000019_gtFine_labelIds.png").unlink()
    again = open_dataset("cityscapes", folder, "train")
    assert (len(again), len(again.skipped)) == (1, 1)


def test_cityscapes_refuses_ids_that_it_does_not_have(folder, tmp_path):
    write_cityscapes(tmp_path / "cityscapes")
    path = tmp_path / "cityscapes/gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png"
    save(path, stripes([7, 90]))
    with pytest.raises(UserError, match="holds the ids 90"):
        open_dataset("cityscapes", folder, "train").mask(0)


def test_ade20k_challenge_is_shifted_by_one(folder, tmp_path):
    write_ade_challenge(tmp_path / "ade20k")
    dataset = open_dataset("ade20k", folder, "train")
    assert (dataset.format, dataset.num_classes) == ("ADE20K", 150)
    assert ids(dataset) == [255, 0, 149, 2]
    np.testing.assert_array_equal(dataset.labels.decode(dataset.mask(0)), stripes([0, 1, 150, 3]))


def test_ade20k_full_release_is_reduced_to_the_150(folder, tmp_path):
    write_ade_full(tmp_path / "ade20k")
    dataset = open_dataset("ade20k", folder, "val")
    assert dataset.format == "ADE20K, full release"
    assert len(dataset) == 1
    assert ids(dataset) == [ADE_CLASSES.index("wall"), ADE_CLASSES.index("door"), 255]


def test_ade20k_full_release_is_found_behind_links(folder, tmp_path):
    base = write_ade_full(tmp_path / "store")
    (tmp_path / "set" / "images" / "ADE").mkdir(parents=True)
    for split in ("training", "validation"):
        (tmp_path / "set" / "images" / "ADE" / split).mkdir()
        (tmp_path / "set" / "images" / "ADE" / split / "part").symlink_to(base / "images" / "ADE" / split)
    assert len(open_dataset(str(tmp_path / "set"), folder, "train")) == 1


def test_coco_draws_polygons_and_both_run_lengths(folder, tmp_path):
    inside = np.zeros((40, 40), dtype=np.uint8, order="F")
    inside[10:20, 5:15] = 1
    compressed = run_lengths.encode(inside)
    flat = inside.ravel(order="F")
    changes = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *changes.tolist(), flat.size]).tolist()
    outlines = [
        box(5, 10, 15, 20),
        {"size": [40, 40], "counts": compressed["counts"].decode()},
        {"size": [40, 40], "counts": counts},
    ]
    write_coco(tmp_path / "coco", [[{"category_id": 3, "segmentation": outline}] for outline in outlines])
    dataset = open_dataset("coco", folder, "val")
    for place in range(3):
        np.testing.assert_array_equal(dataset.mask(place), inside * dataset.classes.index("car"))


def test_coco_ignores_what_two_classes_claim_and_loose_crowds(tmp_path):
    person, car, sign = (
        {"category_id": number, "segmentation": box(left, 0, left + 10, 40)}
        for number, left in ((1, 0), (3, 5), (13, 20))
    )
    crowd = {"category_id": 1, "iscrowd": 1, "segmentation": {"size": [40, 40], "counts": [0, 1600]}}
    same = {"category_id": 1, "segmentation": box(0, 0, 10, 40)}
    write_coco(tmp_path, [[person, car, same], [person, crowd], [sign], []])
    voc, everything = CocoDataset(tmp_path, "val"), CocoDataset(tmp_path, "val", "all")
    assert ids(voc, 0) == [15, IGNORE, 7, 0]
    assert ids(voc, 1) == [15, IGNORE]
    assert ids(voc, 2) == [0], "a category outside of VOC is background"
    assert ids(voc, 3) == [0], "no annotation is background"
    assert everything.classes == ("background", "person", "car", "stop sign")
    assert ids(everything, 2) == [0, 3, 0]
    assert np.unique(everything.labels.decode(everything.mask(2))).tolist() == [0, 13]
    assert voc.labels.decode(np.array([0, 7, 15])).tolist() == [0, 3, 1]


def test_coco_training_drops_near_empty_images_and_says_how_many(tmp_path):
    full = {"category_id": 1, "segmentation": box(0, 0, 40, 40), "area": 1600}
    small = {"category_id": 1, "segmentation": box(0, 0, 5, 5), "area": 25}
    write_coco(tmp_path, [[full], [small], []], split="train")
    write_coco(tmp_path, [[full], [small], []], split="val")
    training = CocoDataset(tmp_path, "train")
    assert len(training) == 1
    assert [note.problem for note in training.skipped] == ["near-empty: fewer than 1000 labelled pixels"] * 2
    assert len(CocoDataset(tmp_path, "val")) == 3


def test_coco_names_what_is_missing_or_has_no_outline(tmp_path):
    write_coco(
        tmp_path, [[{"category_id": 1, "segmentation": []}], [{"category_id": 1, "segmentation": [[1, 2, 3, 4]]}], []]
    )
    dataset = CocoDataset(tmp_path, "val")
    assert [note.path.name for note in dataset.notes] == ["000000000000.jpg", "000000000001.jpg"]
    assert ids(dataset, 1) == [0]
    (tmp_path / "val2017" / "000000000002.jpg").unlink()
    assert [note.path.name for note in CocoDataset(tmp_path, "val").skipped] == ["000000000002.jpg"]
    with pytest.raises(UserError, match=r"looked for .*train2017"):
        CocoDataset(tmp_path, "train")
    path = tmp_path / "annotations" / "instances_val2017.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "categories": [{"id": 1, "name": "cell"}]}))
    with pytest.raises(UserError, match="--coco-classes all"):
        CocoDataset(tmp_path, "val", "voc")
    path.write_text(path.read_text()[:50])
    with pytest.raises(UserError, match="cannot read the annotations"):
        CocoDataset(tmp_path, "val")


def test_shapes_follow_from_the_seed_and_need_no_file(folder):
    dataset = open_dataset(None, folder, "train")
    assert dataset.classes == CLASSES
    assert not dataset.image_path(0).exists()
    assert (open_dataset("shapes", folder, "val").image(0) != dataset.image(0)).any()
    np.testing.assert_array_equal(ShapesDataset("train", count=3).image(2), ShapesDataset("train").image(2))
    occurring = np.unique(np.concatenate([np.unique(dataset.mask(place)) for place in range(20)]))
    assert occurring.tolist() == [0, 1, 2, 3]


def test_a_path_goes_before_a_name_and_a_custom_set_is_found_by_its_name(folder, tmp_path, monkeypatch):
    write_custom(tmp_path / "custom" / "cells", {"a.png": stripes([0, 1]), "b.png": stripes([0, 1])}, "ground\ncell")
    assert open_dataset("cells", folder, "train").name == "cells"
    assert open_dataset("custom/cells", folder, "train").name == "cells"
    assert open_dataset("Custom/CELLS/", folder, "train").name == "cells"
    assert open_dataset("Cells", folder, "train").name == "cells"
    assert open_dataset("Shapes", folder, "train").classes == open_dataset(None, folder, "train").classes
    for misspelt, name in (("cell", "cells"), ("cityscape", "cityscapes"), ("shape", "shapes")):
        with pytest.raises(UserError, match=f"; did you mean '{name}'.$"):
            open_dataset(misspelt, folder, "train")
    write_custom(tmp_path / "here" / "cells", {"a.png": stripes([0, 1]), "b.png": stripes([1])}, "one\ntwo")
    monkeypatch.chdir(tmp_path / "here")
    assert open_dataset("cells", folder, "train").classes == ("one", "two")


def test_a_wrong_folder_says_what_was_looked_for_and_where(folder, tmp_path):
    with pytest.raises(UserError, match=r"no data set 'own': looked for the folder own, for .*own and for"):
        open_dataset("own", folder, "train")
    with pytest.raises(UserError, match=r"voc is not here .*Get it: wavegen data get voc"):
        open_dataset("voc", folder, "train")
    (tmp_path / "holiday" / "beach").mkdir(parents=True)
    save(tmp_path / "holiday" / "a.jpg", picture())
    with pytest.raises(UserError) as error:
        recognise(tmp_path / "holiday")
    for part in ("a.jpg, beach/", "images/ and masks/", "PASCAL VOC", "Cityscapes", "COCO", "ADE20K", "labelme"):
        assert part in str(error.value)
    assert "\n" not in str(error.value)
    (tmp_path / "cityscapes" / "leftImg8bit").mkdir(parents=True)
    with pytest.raises(UserError, match=r"looks like Cityscapes.*gtFine is missing"):
        recognise(tmp_path / "cityscapes")
    with pytest.raises(UserError, match="not a folder"):
        recognise(tmp_path / "holiday" / "a.jpg")


def test_a_folder_of_several_data_sets_asks_for_one(tmp_path):
    for name in ("one", "two"):
        write_custom(tmp_path / "custom" / name, {"a.png": stripes([0, 1]), "b.png": stripes([1])}, None)
    with pytest.raises(UserError, match=r"several data sets \(.*one, .*two\); name one"):
        recognise(tmp_path / "custom")


def test_coco_classes_are_only_for_coco(folder, tmp_path):
    write_cityscapes(tmp_path / "cityscapes")
    with pytest.raises(UserError, match="--coco-classes all is for COCO"):
        open_dataset("cityscapes", folder, "train", {"coco_classes": "all"})


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "num_classes", "counts"),
    [
        ("voc", 21, (2, 1)),
        ("cityscapes", 19, (3, 2)),
        ("coco", 21, (16, 10)),
        ("ade20k", 150, (2, 1)),
        ("custom/camvid", 11, (367, 101)),
        ("custom/membrane", 2, (6, 2)),
    ],
)
def test_the_real_samples_are_read(shared_images, name, num_classes, counts):
    for split, count in zip(("train", "val"), counts, strict=True):
        dataset = open_dataset(name, DataFolder(shared_images), split)
        assert (dataset.num_classes, len(dataset)) == (num_classes, count)
        sample = dataset[count - 1]
        assert sample.image.shape[1:] == sample.mask.shape
        found = np.unique(sample.mask.numpy())
        assert ((found < num_classes) | (found == IGNORE)).all()
        assert len(found) > 1


WRITERS = {
    "voc": lambda path: write_voc(path, PALETTE),
    "cityscapes": write_cityscapes,
    "coco": lambda path: write_coco(path, [[{"category_id": 1, "segmentation": box(0, 0, 20, 20)}]]),
    "ade20k": write_ade_challenge,
}


@pytest.mark.parametrize("argument", WRITERS)
def test_a_format_is_found_in_its_default_folder(folder, tmp_path, argument):
    format = next(one for one in FORMATS if one.argument == argument)
    WRITERS[argument](tmp_path / format.default_folder)
    dataset = open_dataset(argument, folder, "val")
    assert dataset.format == recognise(tmp_path / format.default_folder)[0].name == format.name
    assert format.num_classes in (None, dataset.num_classes)


def test_a_new_format_is_one_line_of_the_catalogue(folder, tmp_path, monkeypatch):
    kind = FormatOption("dot_kind", {"small": "few", "large": "many"})
    seen = []

    def opened(_root, split, name, options):
        seen.append((name, kind.chosen(options)))
        return ShapesDataset(split)

    dots = Format("Dots", "dots", opened, "dotted", holds=has_folders("dots"), options=(kind,))
    monkeypatch.setattr(catalogue, "FORMATS", (*FORMATS, dots))
    (tmp_path / "dotted" / "dots").mkdir(parents=True)
    open_dataset("dots", folder, "val")
    open_dataset("dotted", folder, "val", {"dot_kind": "large"})
    assert seen == [("dotted", "small"), ("dotted", "large")]
    with pytest.raises(UserError, match=r"--dot-kind takes small \(few\) or large \(many\), not 'huge'"):
        open_dataset(None, folder, "val", {"dot_kind": "huge"})
    write_cityscapes(tmp_path / "cityscapes")
    with pytest.raises(UserError, match=r"--dot-kind large is for Dots, but .* is Cityscapes"):
        open_dataset("cityscapes", folder, "val", {"dot_kind": "large"})
