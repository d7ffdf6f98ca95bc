"""COCO files that tools and hands have written: read, or refused in one line with the file and the entry's id."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_sets import box, write_coco
from pycocotools import mask as run_lengths

from segmentation.datasets.catalogue import recognise
from segmentation.datasets.formats.coco.annotations import check_outline, drawn, outline_area
from segmentation.datasets.formats.coco.dataset import CocoDataset
from wavenet_app.core.errors import UserError

SQUARE = {"category_id": 1, "segmentation": box(0, 0, 36, 36), "area": 36 * 36}
AREA = 36 * 36


def changed(root: Path, change, split: str = "val") -> CocoDataset:
    """A COCO set of two images with a person each, whose JSON was changed."""
    write_coco(root, [[SQUARE], [SQUARE]], split)
    path = root / "annotations" / f"instances_{split}2017.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return CocoDataset(root, split)


def put(section: str, key: str, value: object):
    return lambda content: content[section][1].update({key: value})


def person_pixels(dataset: CocoDataset) -> list[int]:
    return [int((dataset.mask(place) == 15).sum()) for place in range(len(dataset))]


@pytest.mark.parametrize("area", [None, 0, -1, "absent"])
def test_an_area_that_is_not_stated_is_measured(tmp_path, area):
    def without_area(content):
        for annotation in content["annotations"]:
            annotation.update({"area": area})
            if area == "absent":
                del annotation["area"]

    dataset = changed(tmp_path, without_area, "train")
    assert (len(dataset), dataset.skipped) == (2, ())


def test_a_size_that_is_not_stated_is_the_files(tmp_path):
    def without_size(content):
        del content["images"][0]["height"]
        content["images"][1]["width"] = None

    assert person_pixels(changed(tmp_path, without_size)) == [AREA, AREA]


@pytest.mark.parametrize("name", ["sub/{}", "val2017/{}", "train2017/{}", "C:\\photos\\{}", "/mnt/photos/{}"])
def test_a_file_name_may_hold_folders(tmp_path, name):
    write_coco(tmp_path, [[]], "train")

    def with_folders(content):
        for image in content["images"]:
            image["file_name"] = name.format(image["file_name"])

    write_coco(tmp_path, [[SQUARE], [SQUARE]])
    if name.startswith("sub"):
        (tmp_path / "val2017" / "sub").mkdir()
        (tmp_path / "val2017" / "000000000000.jpg").rename(tmp_path / "val2017" / "sub" / "000000000000.jpg")
    dataset = changed(tmp_path, with_folders)
    assert [dataset.image_path(place).name for place in range(2)] == ["000000000000.jpg", "000000000001.jpg"]
    assert all((tmp_path / "val2017") in dataset.image_path(place).parents for place in range(2))


def test_the_images_may_lie_in_a_folder_of_that_name(tmp_path):
    write_coco(tmp_path, [[SQUARE]])
    (tmp_path / "images").mkdir()
    (tmp_path / "val2017").rename(tmp_path / "images" / "val2017")
    assert person_pixels(CocoDataset(tmp_path, "val")) == [AREA]


@pytest.mark.parametrize(
    ("file", "images"),
    [
        ("annotations/instances_{}.json", "images/{}"),
        ("annotations/instances_{}.json", "images"),
        ("annotations/instances_{}.json", "{}"),
        ("{}/_annotations.coco.json", "{}"),
    ],
)
def test_exports_of_other_tools_are_found(tmp_path, file, images):
    for split, name in (("train", "train"), ("val", "valid")):
        write_coco(tmp_path / "made", [[SQUARE], [SQUARE]], split)
        target = tmp_path / "set" / file.format(name)
        folder = tmp_path / "set" / images.format(name)
        for made in (target.parent, folder):
            made.mkdir(parents=True, exist_ok=True)
        (tmp_path / "made" / "annotations" / f"instances_{split}2017.json").rename(target)
        for path in (tmp_path / "made" / f"{split}2017").iterdir():
            path.rename(folder / path.name)
    assert recognise(tmp_path / "set")[0].name == "COCO"
    for split in ("train", "val"):
        assert person_pixels(CocoDataset(tmp_path / "set", split)) == [AREA, AREA]


@pytest.mark.parametrize("file", ["annotations/instances_default.json", "result.json"])
def test_a_file_of_all_images_is_split_by_name(tmp_path, file):
    write_coco(tmp_path, [[SQUARE]] * 5)
    (tmp_path / "val2017").rename(tmp_path / "images")
    path = tmp_path / "annotations" / "instances_val2017.json"
    content = json.loads(path.read_text())
    for image in content["images"]:
        image["file_name"] = f"images\\{image['file_name']}"
    path.unlink()
    (tmp_path / file).write_text(json.dumps(content))
    training, validation = CocoDataset(tmp_path, "train"), CocoDataset(tmp_path, "val")
    assert (len(training), len(validation)) == (4, 1)
    assert "1 of 5 are held out" in training.remarks[0]
    assert recognise(tmp_path)[0].name == "COCO"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (put("annotations", "area", {}), "annotation 2: area should be a valid number, not '{}'"),
        (put("annotations", "area", float("nan")), "annotation 2: area should be a finite number"),
        (put("annotations", "segmentation", [[0, 0, 9, 0, [], 9]]), "annotation 2: segmentation should be a valid num"),
        (put("annotations", "segmentation", [[0, 0, 9, 0, float("nan"), 9]]), "annotation 2: segmentation should be a"),
        (put("annotations", "segmentation", [[0, 0, 9, 0, 1e8, 9]]), "annotation 2: a polygon reaches from 0 to 1e+08"),
        (put("annotations", "segmentation", [[0, 0, 9, 0, 9, 9, 1]]), "annotation 2: a polygon has 7 numbers"),
        (put("annotations", "segmentation", "outline"), "annotation 2: segmentation should be polygons or run lengths"),
        (put("annotations", "segmentation", {"size": [40, 40], "counts": [2**31, 1]}), "annotation 2: run lengths add"),
        (
            put("annotations", "segmentation", {"size": [9, 9], "counts": [81]}),
            "annotation 2: run lengths are of 9 x 9",
        ),
        (
            put("annotations", "segmentation", {"size": [40, 40], "counts": [-1]}),
            "annotation 2: segmentation should be",
        ),
        (put("annotations", "segmentation", {"size": [40, 40], "counts": "oooooooo"}), "annotation 2: the compressed"),
        (put("annotations", "segmentation", {"size": [40, 40], "counts": "Zé"}), "annotation 2: the compressed run l"),
        (put("annotations", "segmentation", {"counts": [1600]}), "annotation 2: segmentation field required"),
        (put("annotations", "image_id", None), "annotation 2: image_id should be"),
        (put("annotations", "category_id", 99), "annotation 2: category 99 is not in the file's categories"),
        (put("images", "file_name", 7), "image 1: file_name should be a valid string, not '7'"),
        (put("images", "height", 10**9), "image 1: height should be less than or equal to 65535"),
        (put("images", "id", 0), "two images have the id 0"),
        (lambda content: content["categories"][1].pop("name"), "category 3: name field required"),
        (lambda content: content["annotations"].append(5), "annotation number 3: should be an object, not '5'"),
        (lambda content: content.update(images={}), "images should be a valid array"),
    ],
)
def test_what_cannot_be_used_is_one_line_with_its_id(tmp_path, change, said):
    with pytest.raises(UserError) as error:
        changed(tmp_path, change)
    assert said in str(error.value)
    assert "instances_val2017.json" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "[" * 100_000, '{"images": [', "\x00", '{"images": [{"id": 1e999}]}'])
def test_text_that_is_no_json_is_one_line(tmp_path, text):
    write_coco(tmp_path, [[SQUARE]])
    (tmp_path / "annotations" / "instances_val2017.json").write_text(text)
    with pytest.raises(UserError) as error:
        CocoDataset(tmp_path, "val")
    assert "\n" not in str(error.value)


def test_a_file_of_an_editor_with_a_byte_order_mark_is_read(tmp_path):
    write_coco(tmp_path, [[SQUARE]])
    path = tmp_path / "annotations" / "instances_val2017.json"
    text = path.read_text()
    for encoding in ("utf-8-sig", "utf-16"):
        path.write_text(text, encoding=encoding)
        assert person_pixels(CocoDataset(tmp_path, "val")) == [AREA]


def test_a_size_that_the_file_does_not_have_names_both(tmp_path):
    dataset = changed(tmp_path, lambda content: content["images"][1].update(height=41, width=65_535))
    with pytest.raises(UserError, match=r"1\.jpg is 40 x 40, but its annotations say 65535 x 41"):
        dataset.mask(1)


def test_annotations_of_images_that_are_not_listed_are_counted(tmp_path):
    dataset = changed(tmp_path, put("annotations", "image_id", 77))
    assert dataset.remarks == ("1 annotations belong to images that instances_val2017.json does not list",)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_run_lengths_are_decoded_as_cocos_code_does(height, width, seed, share):
    inside = np.asfortranarray(np.random.default_rng(seed).random((height, width)) < share).astype(np.uint8)
    encoded = run_lengths.encode(inside)
    outline = {"size": [height, width], "counts": encoded["counts"].decode()}
    check_outline(outline, height, width)
    np.testing.assert_array_equal(drawn(outline, height, width), inside)
    assert outline_area(outline) == inside.sum()


@given(st.text(st.characters(min_codepoint=40, max_codepoint=120), max_size=12))
@settings(max_examples=200, deadline=None)
def test_any_compressed_text_is_drawn_or_refused(text):
    outline = {"size": [6, 5], "counts": text}
    try:
        check_outline(outline, 6, 5)
    except ValueError:
        return
    assert drawn(outline, 6, 5).shape == (6, 5)


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["area_missing", "area_none", "bgcat", "images_dir", "nosize", "prefix", "sub"])
def test_sets_that_users_report_are_read(shared_cases, name):
    for split in ("train", "val"):
        dataset = CocoDataset(shared_cases / f"coco_{name}", split)
        assert len(dataset) == 4
        assert all(len(np.unique(dataset[place].mask.numpy())) == 2 for place in range(4))


@pytest.mark.shared_data
def test_a_file_found_by_fuzzing_is_refused(shared_cases):
    with pytest.raises(UserError, match=r"instances_train2017.json, annotation 1: segmentation should be a valid numb"):
        CocoDataset(shared_cases / "coco_fuzz_1", "train")
