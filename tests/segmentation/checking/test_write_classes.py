"""`seg-check --write-classes` writes the list that coloured masks need, and the data set is read by it."""

import numpy as np
import pytest
from image_sets import save, stripes, write_coco, write_custom, write_voc

from segmentation.datasets.labels import voc_palette

COLOURS = np.array([[0, 0, 0], [48, 112, 32], [176, 112, 32]])
NAMES = ("train/a.png", "train/b.png", "val/c.png")


def test_colours_become_lines_and_the_check_goes_on(wavegen, tmp_path):
    root = write_custom(tmp_path / "set", dict.fromkeys(NAMES, COLOURS[stripes([0, 2, 2, 1])]), None)
    code, _, err = wavegen("seg-check", root)
    assert (code, "wavegen seg-check --write-classes" in err) == (2, True)
    code, out, err = wavegen("seg-check", root, "--write-classes")
    assert code == 0, err
    assert "classes.txt with 3 classes; give them their names there" in out.replace("\n", " ")
    assert (root / "classes.txt").read_text() == "background = 0 0 0\nclass_1 = 176 112 32\nclass_2 = 48 112 32\n"
    code, _, err = wavegen("seg-check", root, "--write-classes")
    assert (code, "exists already" in err) == (2, True)


def test_values_become_lines(wavegen, tmp_path):
    root = write_custom(tmp_path / "set", dict.fromkeys(NAMES, stripes([0, 100, 200, 255])), None)
    assert wavegen("seg-check", root, "--write-classes").code == 0
    assert (root / "classes.txt").read_text() == "class_0 = 0\nclass_1 = 100\nclass_2 = 200\n"


def test_zero_is_called_background_where_it_likely_is_and_the_guess_is_said(wavegen, tmp_path):
    root = write_custom(tmp_path / "set", dict.fromkeys(NAMES, stripes([0, 255])), None)
    outcome = wavegen("seg-check", root, "--write-classes")
    assert (root / "classes.txt").read_text() == "background = 0\nclass_1 = 255\n"
    assert "'background = 0' is a guess, and overlays leave a class of that name unpainted" in outcome.out


def test_a_folder_in_vocs_layout_gets_a_list_with_its_border_ignored(wavegen, tmp_path):
    base = write_voc(tmp_path / "set", voc_palette(256))
    for stem in "abc":
        save(base / "SegmentationClass" / f"{stem}.png", np.array([*COLOURS, [224, 224, 192]])[stripes([0, 1, 3])])
    assert wavegen("seg-check", tmp_path / "set", "--write-classes").code == 0
    assert (base / "classes.txt").read_text() == "background = 0 0 0\nclass_1 = 48 112 32\nignore = 224 224 192\n"


@pytest.mark.parametrize("kind", ["smoothed", "coco", "shapes"])
def test_what_has_no_such_list_is_one_line(wavegen, tmp_path, kind):
    if kind == "smoothed":
        noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
        write_custom(tmp_path / "set", dict.fromkeys(NAMES, noise), None)
    elif kind == "coco":
        write_coco(tmp_path / "set", [[]])
    arguments = () if kind == "shapes" else (tmp_path / "set",)
    code, _, err = wavegen("seg-check", *arguments, "--write-classes")
    assert (code, err.count("\n")) == (2, 1)
    assert {"smoothed": "more than 255 colours", "coco": "is COCO", "shapes": "built-in shapes"}[kind] in err
    assert not (tmp_path / "set" / "classes.txt").exists()
