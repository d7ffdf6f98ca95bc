"""A mask for each object becomes part of one class; Label Studio's own files are named with the export to take."""

import json

import numpy as np
import pytest
from image_sets import picture, save

from segmentation.datasets.catalogue import open_dataset, recognise
from segmentation.datasets.formats.instance_masks import InstanceMaskDataset
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError


def write_bowl(root, count=6):
    """Images of 20 x 30 pixels, number n with n + 1 objects, each a column of its own."""
    for number in range(count):
        name = f"{number:02x}cell"
        save(root / name / "images" / f"{name}.png", picture(number, 20, 30))
        for place in range(number + 1):
            mask = np.zeros((20, 30), dtype=np.uint8)
            mask[:, 3 * place] = 255
            save(root / name / "masks" / f"{place}.png", mask)
    return root


def test_the_masks_of_an_image_are_one_class(tmp_path):
    root = write_bowl(tmp_path / "stage1_train")
    save(tmp_path / "stage1_test" / "x" / "images" / "x.png", picture(9, 20, 30))
    assert recognise(tmp_path)[1] == root
    seen = set()
    for split in ("train", "val"):
        dataset = open_dataset(str(tmp_path), DataFolder(tmp_path / "data"), split)
        assert dataset.classes == ("background", "object")
        assert "masks of single objects in" in dataset.remarks[0]
        for index in range(len(dataset)):
            number = int(dataset.image_path(index).stem[:2], 16)
            seen.add(number)
            expected = np.zeros((20, 30), dtype=np.uint8)
            expected[:, : 3 * number + 1 : 3] = 1
            np.testing.assert_array_equal(dataset.mask(index), expected)
    assert seen == set(range(6))


def test_an_image_without_masks_and_a_mask_of_another_size_are_named(tmp_path):
    root = write_bowl(tmp_path)
    for folder in root.iterdir():
        save(folder / "masks" / "0.png", np.ones((5, 5), dtype=np.uint8))
    dataset = InstanceMaskDataset(root, "train")
    with pytest.raises(UserError, match="is 5 x 5, but its image is 30 x 20"):
        dataset.mask(0)
    for path in (root / dataset.image_path(0).stem / "masks").iterdir():
        path.unlink()
    assert "image without a mask" in str(InstanceMaskDataset(root, "train").skipped[0])


def tasks(kind: str) -> str:
    value = {"format": "rle", "rle": [0, 1, 2], "brushlabels": ["cell"]}
    if kind == "polygonlabels":
        value = {"points": [[0, 0], [50, 0], [50, 50]], "polygonlabels": ["cell"]}
    result = {"type": kind, "original_width": 30, "original_height": 20, "value": value}
    return json.dumps([{"id": 1, "data": {"image": "/data/upload/a.png"}, "annotations": [{"result": [result]}]}])


@pytest.mark.parametrize(("kind", "export"), [("brushlabels", "'Brush labels to COCO'"), ("polygonlabels", "'COCO'")])
@pytest.mark.parametrize("place", ["tasks.json", "annotations/tasks.json", "labels/a.json"])
def test_tasks_of_label_studio_are_named_with_the_export_to_take(tmp_path, wavegen, kind, export, place):
    root = tmp_path / "cells"
    save(root / "images" / "a.png", picture(0, 20, 30))
    (root / place).parent.mkdir(exist_ok=True)
    (root / place).write_text(tasks(kind))
    code, _, said = wavegen("seg-check", root)
    assert (code, said.count("\n")) == (2, 1)
    assert f"{place} holds tasks of Label Studio" in said
    assert f"as {export}, unpack that as" in said


def test_tasks_beside_masks_change_nothing(tmp_path):
    save(tmp_path / "images" / "a.png", picture(0, 20, 30))
    save(tmp_path / "images" / "b.png", picture(0, 20, 30))
    for name in ("a", "b"):
        save(tmp_path / "masks" / f"{name}.png", np.eye(20, 30, dtype=np.uint8))
    (tmp_path / "tasks.json").write_text(tasks("brushlabels"))
    assert len(open_dataset(str(tmp_path), DataFolder(tmp_path / "data"), "train")) == 1
