"""labelme's JSON files are drawn, and refused in one line where they cannot be."""

import json
from pathlib import Path

import numpy as np
import pytest
from image_sets import picture, save
from PIL import Image

from segmentation.datasets.catalogue import recognise
from segmentation.datasets.formats.labelme import LabelmeDataset
from segmentation.datasets.labels import IGNORE
from wavenet_app.core.errors import UserError

LEFT = {"label": "cell", "points": [[0, 0], [9, 0], [9, 19], [0, 19]], "shape_type": "polygon"}


def write(folder: Path, name: str, shapes: list[dict], **changes: object) -> None:
    """An image of 20 x 30 pixels and its JSON."""
    save(folder / f"{name}.jpg", picture(0, 20, 30))
    content = {"version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": f"{name}.jpg", "imageData": None}
    content |= {"imageHeight": 20, "imageWidth": 30, **changes}
    (folder / f"{name}.json").write_text(json.dumps(content))


def test_outlines_are_drawn_in_order_with_labels_as_classes(tmp_path):
    corner = {"label": "wall", "points": [[29, 9], [5, 0]], "shape_type": "rectangle"}
    disc = {"label": "__ignore__", "points": [[20, 10], [22, 10]], "shape_type": "circle"}
    for split in ("train", "val"):
        write(tmp_path / split, "a", [LEFT, corner, disc])
    assert recognise(tmp_path)[0].name == "labelme"
    dataset = LabelmeDataset(tmp_path, "train")
    assert dataset.classes == ("background", "cell", "wall")
    mask = dataset[0].mask.numpy()
    assert (mask[15, 5], mask[5, 5], mask[5, 20], mask[10, 20], mask[15, 25]) == (1, 2, 2, IGNORE, 0)


def test_labels_of_both_splits_are_classes_and_a_fifth_is_held_out(tmp_path):
    for number in range(5):
        write(tmp_path, f"{number}", [{**LEFT, "label": f"kind {number}"}])
    training, validation = LabelmeDataset(tmp_path, "train"), LabelmeDataset(tmp_path, "val")
    assert (len(training), len(validation), training.num_classes) == (4, 1, 6)
    assert training.classes == validation.classes
    assert "1 of 5 images are held out" in training.remarks[0]


def test_what_is_missing_or_has_no_area_is_named(tmp_path):
    for split in ("train", "val"):
        write(tmp_path / split, "a", [LEFT, {"label": "dot", "points": [[1, 1]], "shape_type": "point"}])
    write(tmp_path / "train", "b", [LEFT], imagePath="..\\photos\\gone.jpg")
    write(tmp_path / "train", "c", [LEFT], imagePath="..\\photos\\c.jpg", imageHeight=None)
    dataset = LabelmeDataset(tmp_path, "train")
    assert [str(note.path.name) for note in dataset.skipped] == ["b.json"]
    assert [note.detail for note in dataset.notes] == ["point"]
    assert dataset[1].mask.shape == (20, 30)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"shapes": {}}, "shapes Input should be a valid"),
        ({"imageHeight": 10**9}, "imageHeight"),
        ({"shapes": [{**LEFT, "points": [[0, float("nan")]]}]}, "shapes.0.points.0.1"),
        ({"shapes": [{**LEFT, "points": [[0, 0], [1e8, 0], [5, 5]]}]}, "far outside of its image"),
        ({"imageHeight": 30, "imageWidth": 30}, "annotations say 30 x 30"),
    ],
)
def test_what_cannot_be_drawn_is_one_line_with_the_file(tmp_path, change, said):
    for split in ("train", "val"):
        write(tmp_path / split, "a", **{"shapes": [LEFT], **change})
    with pytest.raises(UserError) as error:
        LabelmeDataset(tmp_path, "train").mask(0)
    assert said in str(error.value)
    assert "a." in str(error.value)
    assert "\n" not in str(error.value)


def test_a_photograph_that_is_stored_sideways_is_turned_as_its_outlines_are(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    for split in ("train", "val"):
        write(tmp_path / split, "a", [LEFT])
        save(tmp_path / split / "a.jpg", picture(0, 30, 20), exif=exif)
    assert LabelmeDataset(tmp_path, "train")[0].image.shape == (3, 20, 30)
    assert np.unique(LabelmeDataset(tmp_path, "train").mask(0)).tolist() == [0, 1]
