"""`segmentation.load` from Python: the masks of the command line, from a path, a PIL image or an array."""

import numpy as np
import pytest
from PIL import Image
from tiny_segmentation import TINY_DEEPLAB

import segmentation
from wavenet_app.core.errors import UserError


@pytest.fixture
def labeller(wavegen, tmp_path):
    assert wavegen("seg-train", "--max-steps", 1, "--name", "x", "--logger", "none", *TINY_DEEPLAB).code == 0
    return segmentation.load("x", data_dir=tmp_path / "data")


@pytest.mark.parametrize("size", [(1, 1), (37, 53), (96, 64)])
def test_all_ways_to_give_an_image_make_the_mask_of_the_command_line(labeller, wavegen, tmp_path, size):
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    path = tmp_path / "a.png"
    Image.fromarray(pixels).save(path)
    assert wavegen("seg-predict", "x", path, "--out", tmp_path / "out").code == 0
    expected = np.asarray(Image.open(tmp_path / "out" / "masks" / "a.png"))
    for image in (path, str(path), Image.open(path), pixels):
        mask = labeller.predict(image)
        assert (mask.dtype, mask.shape) == (np.uint8, size)
        np.testing.assert_array_equal(mask, expected)
    assert mask.max() < len(labeller.classes) == len(labeller.palette)


def test_grey_arrays_count_as_three_equal_channels(labeller):
    grey = np.random.default_rng(0).integers(0, 256, (20, 30), dtype=np.uint8)
    np.testing.assert_array_equal(labeller.predict(grey), labeller.predict(np.stack([grey] * 3, axis=2)))


@pytest.mark.parametrize("array", [np.zeros((4, 4, 3)), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4), np.uint8)])
def test_an_array_that_is_no_image_is_refused(labeller, array):
    with pytest.raises(UserError, match="image array must be uint8"):
        labeller.predict(array)


def test_an_unknown_name_lists_the_runs(labeller, tmp_path):
    with pytest.raises(UserError, match="x"):
        segmentation.load("y", data_dir=tmp_path / "data")


@pytest.mark.parametrize(
    "wrong",
    [{"scales": ()}, {"scales": (0,)}, {"scales": ("x",)}, {"scales": (9,)}, {"window": 3}, {"output_stride": 8.5}],
)
def test_numbers_that_make_no_sense_are_errors_that_name_the_argument(tmp_path, wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        segmentation.load("y", data_dir=tmp_path / "data", **wrong)
