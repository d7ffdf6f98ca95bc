"""Categories of any COCO file become classes: each with one name, one id to write back and one IoU."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_sets import box, write_coco

from segmentation.datasets.formats.coco.categories import _COCO_IDS, class_table, is_coco
from segmentation.datasets.formats.coco.dataset import CocoDataset
from segmentation.datasets.labels import IGNORE
from segmentation.evaluation.metrics import SegmentationScores
from wavenet_app.core.errors import UserError


def own_set(root: Path, categories: list[dict], used: list[int], split: str = "val") -> Path:
    """A COCO set with an image for each used category, which covers its left half."""
    write_coco(root, [[{"category_id": one, "segmentation": box(0, 0, 20, 40), "area": 2000}] for one in used], split)
    path = root / "annotations" / f"instances_{split}2017.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "categories": categories}))
    return root


def category(number: int, name: str, parent: str | None = None) -> dict:
    return {"id": number, "name": name, **({"supercategory": parent} if parent else {})}


def table(categories: list[dict], used: set[int] = frozenset()):
    filled = [{"supercategory": None, **one} for one in categories]
    return class_table(filled, "auto", Path("file.json"), set(used))


def test_own_categories_are_not_vocs(tmp_path):
    dataset = CocoDataset(own_set(tmp_path, [category(1, "cell"), category(2, "dog")], [1, 2]), "val")
    assert dataset.classes == ("background", "cell", "dog")
    assert [np.unique(dataset.mask(place)).tolist() for place in range(2)] == [[0, 1], [0, 2]]
    assert CocoDataset(tmp_path, "val", "voc").classes[12] == "dog"
    assert is_coco([category(1, "person"), category(90, "toothbrush")])
    assert not is_coco([category(2, "person")])


def test_category_0_keeps_its_id_and_background_gets_another(tmp_path):
    dataset = CocoDataset(own_set(tmp_path, [category(0, "cell"), category(1, "wall")], [0, 1]), "val")
    assert np.unique(dataset.mask(0)).tolist() == [0, 1]
    raw = dataset.labels.decode(dataset.mask(0))
    assert set(np.unique(raw)) == {0, 256}
    np.testing.assert_array_equal(dataset.labels.encode(raw), dataset.mask(0))


def test_a_background_category_is_class_0(tmp_path):
    dataset = CocoDataset(own_set(tmp_path, [category(5, "Background"), category(7, "cell")], [5, 7]), "val")
    assert dataset.classes == ("background", "cell")
    assert np.unique(dataset.mask(0)).tolist() == [0]
    assert np.unique(dataset.labels.decode(dataset.mask(1))).tolist() == [5, 7]
    assert "the category 'Background' is the background" in dataset.remarks[0]


def test_categories_of_one_name_stay_apart():
    made = table([category(1, "cat"), category(4, "cat"), category(9, "dog")])
    assert made.names == ("background", "cat (1)", "cat (4)", "dog")
    scores = SegmentationScores(np.eye(4, dtype=np.int64), made.names)
    assert len(dict(zip(scores.classes, scores.iou, strict=True))) == 4


def test_a_root_that_no_annotation_has_is_dropped_with_a_note(tmp_path):
    categories = [category(0, "animals"), category(1, "cat", "animals"), category(2, "dog", "animals")]
    dataset = CocoDataset(own_set(tmp_path, categories, [1, 2]), "val")
    assert dataset.classes == ("background", "cat", "dog")
    assert "no annotation has the category 'animals'" in dataset.remarks[0]
    own_set(tmp_path, categories, [0], "train")
    for split in ("val", "train"):
        assert CocoDataset(tmp_path, split).classes == ("background", "animals", "cat", "dog"), "training uses it"


def test_two_categories_of_one_id_are_refused():
    with pytest.raises(UserError, match="two categories have the id 3"):
        table([category(3, "cat"), category(3, "dog")])


def two_splits(root: Path, train: list[dict], val: list[dict]) -> Path:
    """A COCO set whose files list these categories and use all of their own."""
    for split, categories in (("train", train), ("val", val)):
        own_set(root, categories, [one["id"] for one in categories], split)
    return root


@pytest.mark.parametrize(
    ("val", "named"),
    [
        ([category(1, "cell"), category(2, "cat")], "category 2 is 'dog' in annotations/instances_train2017.json and"),
        ([category(1, "dog"), category(2, "cell")], "category 1 is 'cell' in"),
        ([category(1, "cell"), category(7, "dog")], "'dog' is category 2 in"),
    ],
)
def test_files_whose_ids_mean_different_names_are_refused(tmp_path, wavegen, val, named):
    two_splits(tmp_path, [category(1, "cell"), category(2, "dog")], val)
    for split in ("train", "val"):
        with pytest.raises(UserError, match="the same categories"):
            CocoDataset(tmp_path, split)
    code, _, said = wavegen("seg-train", tmp_path, "--max-steps", 1)
    assert (code, said.count("\n")) == (2, 1)
    assert named in said


def test_a_category_of_one_file_alone_is_a_class_of_both_splits(tmp_path):
    two_splits(tmp_path, [category(1, "ant"), category(2, "bee"), category(3, "cow")], [category(3, "cow")])
    for split in ("train", "val"):
        dataset = CocoDataset(tmp_path, split)
        assert dataset.classes == ("background", "ant", "bee", "cow")
        assert np.unique(dataset.mask(len(dataset) - 1)).tolist() == [0, 3]
        lists = "instances_train2017.json lists 'ant', 'bee', which annotations/instances_val2017.json does not"
        assert lists in dataset.remarks[0]


def test_splits_of_which_only_one_has_vocs_classes_are_not_trained_on(tmp_path, wavegen):
    whole = [category(number, name) for name, number in _COCO_IDS.items()]
    own_set(tmp_path, [category(1, "person"), category(91, "drone")], [1, 91], "train")
    own_set(tmp_path, whole, [1], "val")
    code, _, said = wavegen("seg-train", tmp_path, "--max-steps", 1)
    assert (code, said.count("\n")) == (2, 1)
    assert "class 1 is 'person' in train and 'aeroplane' in val" in said


def test_ids_beyond_16_bits_are_replaced_by_the_classes():
    made = table([category(7_000_001, "cat"), category(-5, "dog")])
    assert made.names == ("background", "dog", "cat")
    assert made.labels.raw_ids == (0, 1, 2)
    assert "raw ids are the classes" in made.remarks[0]


names = st.sampled_from(["background", "cat", "dog", "animal", "cell"])


@given(st.dictionaries(st.integers(0, 300), names, min_size=1, max_size=8), st.sets(st.integers(0, 300)))
def test_every_class_has_its_own_name_and_raw_id(ids, used):
    categories = [category(number, name, "animal") for number, name in ids.items()]
    try:
        made = table(categories, used)
    except UserError:
        return
    assert len(set(made.names)) == len(made.names) == len(set(made.labels.raw_ids))
    classes = np.array([*range(len(made.names)), IGNORE])
    np.testing.assert_array_equal(made.labels.encode(made.labels.decode(classes)), classes)


@pytest.mark.shared_data
def test_a_background_category_that_users_report_is_read(shared_cases):
    assert CocoDataset(shared_cases / "coco_bgcat", "train").classes == ("background", "dog")
