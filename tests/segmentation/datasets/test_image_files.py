"""Image files of every mode become RGB, in memory that large images have."""

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segmentation.datasets import image_files
from segmentation.datasets.image_files import read_image, rgb_of
from wavenet_app.core.errors import UserError


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


def _write_deep_colour(path: Path, pixels: np.ndarray) -> Path:
    """Writes a PNG of 16 bits a channel, which Pillow cannot; pixels are (height, width, 2 to 4)."""
    height, width, channels = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    head = struct.pack(">IIBBBBB", width, height, 16, {2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n"
    for kind, data in ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
        content += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("channels", [2, 3, 4])
@pytest.mark.parametrize(("greatest", "bits"), [(4_095, 12), (16_383, 14), (16_384, None), (65_535, None), (0, None)])
def test_colours_of_few_bits_in_channels_of_sixteen_are_refused(tmp_path, channels, greatest, bits):
    pixels = np.linspace(0, greatest, 5 * 7 * channels).astype(np.uint16).reshape(5, 7, channels)
    pixels[-1, -1] = greatest
    path = _write_deep_colour(tmp_path / "deep.png", pixels)
    if bits is None:
        colours = pixels[..., [0, 0, 0]] if channels == 2 else pixels[..., :3]
        np.testing.assert_array_equal(read_image(path), colours >> 8)
    else:
        with pytest.raises(UserError, match=rf"deep\.png fill only {bits} of 16 bits a channel"):
            read_image(path)
