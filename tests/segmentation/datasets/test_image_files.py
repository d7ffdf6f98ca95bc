"""Image files of every mode become RGB, in memory that large images have."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from segmentation.datasets import image_files
from segmentation.datasets.image_files import read_image, rgb_of


def of_mode(mode: str) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (11, 7, 4), dtype=np.uint8)
    if mode == "I;16":
        return Image.fromarray(pixels[..., 0].astype(np.uint16) * 16)
    image = Image.fromarray(pixels).convert("RGB").convert(mode)
    if mode == "P":
        image.info["transparency"] = 3
    return image


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16"])
def test_bands_give_the_pixels_of_the_whole(monkeypatch, mode):
    image = of_mode(mode)
    monkeypatch.setattr(image_files, "_BAND_ROWS", 100)
    whole = rgb_of(image, "the image")
    expected = np.asarray(image) >> 4 if mode == "I;16" else np.asarray(image.convert("RGB"))
    np.testing.assert_array_equal(whole, np.broadcast_to(expected.reshape(11, 7, -1), (11, 7, 3)))
    monkeypatch.setattr(image_files, "_BAND_ROWS", 3)
    np.testing.assert_array_equal(rgb_of(image, "the image"), whole)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_upright(tmp_path, orientation):
    image = of_mode("RGB")
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / "a.png", exif=exif)
    shape = read_image(tmp_path / "a.png").shape
    assert shape == ((7, 11, 3) if orientation > 4 else (11, 7, 3))
    assert read_image(tmp_path / "a.png", upright=False).shape == (11, 7, 3)


_LARGE = """
import resource, sys
import numpy as np
from pathlib import Path
from segmentation.checkpoints.segmenter import ClassTable
from segmentation.datasets.formats.shapes import ShapesDataset
from segmentation.datasets.image_files import read_image
from segmentation.prediction.predict import _indexed, _laid_over, _png, _raw
table = ClassTable.of_dataset(ShapesDataset("val", count=1))
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before = peak()
image = read_image(Path(sys.argv[1]))
mask = np.zeros(image.shape[:2], dtype=np.uint8)
for draw in (_indexed, _laid_over, _raw):
    _png(draw(image, mask, table))
print((peak() - before) / mask.size)
"""


@pytest.mark.slow
def test_a_large_image_and_its_pictures_take_ten_bytes_a_pixel_at_most(tmp_path):
    Image.new("RGB", (9_000, 9_000), (10, 90, 200)).save(tmp_path / "large.png")
    done = subprocess.run(
        [sys.executable, "-c", _LARGE, str(tmp_path / "large.png")], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) < 10
