"""The layouts of labelling tools and competitions are recognised, with their own validation."""

from pathlib import Path

import numpy as np
import pytest
from image_sets import picture, save, stripes

from segmentation.datasets.catalogue import recognise
from segmentation.datasets.formats.custom.dataset import CustomDataset
from segmentation.datasets.formats.custom.layouts import find_layout

LAYOUTS = {
    "kinds": ("images/train/{}.jpg", "masks/train/{}.png", "images/valid/{}.jpg", "masks/valid/{}.png"),
    "splits": ("train/images/{}.jpg", "train/masks/{}.png", "valid/images/{}.jpg", "valid/masks/{}.png"),
    "other names": (
        "Training/Image/{}.jpg",
        "Training/Label/{}.png",
        "Validation/Image/{}.jpg",
        "Validation/Label/{}.png",
    ),
    "roboflow": ("train/{}.jpg", "train/{}_mask.png", "valid/{}.jpg", "valid/{}_mask.png"),
    "carvana": ("train/{}.jpg", "train_masks/{}_mask.gif", "val/{}.jpg", "val_masks/{}_mask.gif"),
    "prefixed": ("train_images/{}.jpg", "train_masks/{}.png", "val_images/{}.jpg", "val_masks/{}.png"),
}


def write(root: Path, patterns: tuple[str, ...], classes: tuple[str, str] | None = None) -> Path:
    """Three training images and two for validation, with an image for testing that has no mask."""
    if "Training" in patterns[0]:
        patterns = tuple(
            pattern.replace("Training", "training").replace("Validation", "validation") for pattern in patterns
        )
    for image, mask, names in ((*patterns[:2], "abc"), (*patterns[2:], "de")):
        for number, name in enumerate(names):
            save(root / image.format(name), picture(number))
            save(root / mask.format(name), stripes([0, 1]))
    if classes is not None:
        (root / classes[0]).write_text(classes[1])
    return root


@pytest.mark.parametrize("patterns", LAYOUTS.values(), ids=LAYOUTS)
def test_a_layout_is_recognised_with_its_own_validation(tmp_path, patterns):
    root = write(tmp_path / "set", patterns, ("classes.txt", "ground\ncell\n"))
    format, found = recognise(tmp_path)
    assert (format.name, found) == ("custom", root)
    training, validation = CustomDataset(root, "train"), CustomDataset(root, "val")
    assert [training.image_path(place).stem for place in range(len(training))] == ["a", "b", "c"]
    assert [validation.image_path(place).stem for place in range(len(validation))] == ["d", "e"]
    assert not any("held out" in remark for remark in training.remarks)
    assert training.classes == ("ground", "cell")
    assert np.unique(validation.mask(0)).tolist() == [0, 1]


@pytest.mark.parametrize("patterns", LAYOUTS.values(), ids=LAYOUTS)
def test_without_validation_some_images_are_held_out_of_training(tmp_path, patterns):
    root = write(tmp_path, (*patterns[:2], *patterns[:2]), ("classes.txt", "ground\ncell\n"))
    training, validation = CustomDataset(root, "train"), CustomDataset(root, "val")
    paths = [dataset.image_path(place) for dataset in (training, validation) for place in range(len(dataset))]
    assert (len(training), len(validation), len(set(paths))) == (4, 1, 5)


def test_images_beside_their_masks_need_no_folders(tmp_path):
    for name in "abcde":
        save(tmp_path / f"{name}.jpg", picture())
        save(tmp_path / f"{name}_mask.png", stripes([0, 1]))
    save(tmp_path / "lonely.jpg", picture())
    (tmp_path / "_classes.csv").write_text("Pixel Value, Class\n0, background\n1, cell\n")
    training = CustomDataset(tmp_path, "train")
    assert (len(training), training.classes) == (4, ("background", "cell"))
    assert "lonely.jpg" in [note.path.name for note in training.skipped]
    assert "masks end in '_mask'" in training.remarks[1]


def test_roboflows_table_lies_in_the_training_folder(tmp_path):
    table = ("train/_classes.csv", "Pixel Value, Class\n0, background\n1, cell\n")
    root = write(tmp_path, LAYOUTS["roboflow"], table)
    assert CustomDataset(root, "train").classes == CustomDataset(root, "val").classes == ("background", "cell")


@pytest.mark.parametrize("name", ["train/a.jpg", "images/a.jpg", "images/a.jpg labels/a.txt", "a.jpg b_mask.png"])
def test_folders_without_masks_are_no_data_set(tmp_path, name):
    for one in name.split():
        (tmp_path / one).parent.mkdir(parents=True, exist_ok=True)
        if one.endswith("txt"):
            (tmp_path / one).write_text("0 0.5 0.5 0.1 0.1")
        else:
            save(tmp_path / one, picture())
    assert find_layout(tmp_path) is None


@pytest.mark.shared_data
def test_an_export_of_roboflow_that_users_report_has_its_own_validation(shared_cases):
    training, validation = (CustomDataset(shared_cases / "roboflow_moved", split) for split in ("train", "val"))
    assert (len(training), len(validation)) == (6, 2)
