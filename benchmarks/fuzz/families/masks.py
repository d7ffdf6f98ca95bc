"""Folders of images and masks in all layouts: damaged images, other palettes and sizes, lists of classes, outlines."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import image_sets
import numpy as np
from mutations import TEXTS, json_of, mutated_bytes, mutated_text, mutated_values
from PIL import Image
from worker import Door

from families.coco import through_the_door
from segmentation.api import _pixels
from segmentation.checking.write_classes import write_classes
from segmentation.datasets.image_files import file_facts
from segmentation.datasets.labels import voc_palette
from wavenet_app.core.data_folder import DataFolder

MODES = ("1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "I", "I;16", "F")
TEXT_SUFFIXES = (".txt", ".csv", ".json")


def write_seeds(folder: Path) -> None:
    """Writes a small data set of each format, and of each coding of masks."""
    colours = np.array([[0, 0, 0], [128, 0, 0], [0, 128, 0], [9, 9, 200]], np.uint8)
    ids = {f"{stem}.png": image_sets.stripes([0, 1, 2, 255]) for stem in "abcdef"}
    image_sets.write_custom(folder / "ids", ids, "road\nsky\ncar\n")
    image_sets.write_custom(folder / "values", ids, "road = 0\nsky = 1\ncar = 2\nignore = 255\n")
    image_sets.write_custom(folder / "none", {f"{stem}.png": image_sets.stripes([0, 255]) for stem in "abcdef"}, None)
    image_sets.write_custom(folder / "jpeg", {f"{stem}.jpg": image_sets.stripes([0, 255]) for stem in "abcdef"}, None)
    image_sets.write_custom(folder / "tiff", {f"{stem}.tif": image_sets.stripes([0, 1, 300]) for stem in "abcd"}, None)
    image_sets.write_custom(folder / "indexed", ids, "road\nsky\ncar\n", palette=voc_palette(256))
    painted = {f"{stem}.png": colours[image_sets.stripes([0, 1, 2, 3])] for stem in "abcdef"}
    lines = [f"c{place} = {' '.join(map(str, colour))}" for place, colour in enumerate(colours)]
    image_sets.write_custom(folder / "colours", painted, "\n".join(lines))
    image_sets.write_custom(folder / "cvat", painted, None)
    lines = ["# label:color_rgb:parts:actions", *(f"c{i}:{','.join(map(str, c))}::" for i, c in enumerate(colours))]
    (folder / "cvat" / "labelmap.txt").write_text("\n".join(lines))
    image_sets.write_custom(folder / "roboflow", ids, None)
    (folder / "roboflow" / "_classes.csv").write_text("Pixel Value, Class\n0, road\n1, sky\n2, car\n")
    image_sets.write_voc(folder / "voc", voc_palette(256))
    image_sets.write_cityscapes(folder / "cityscapes")
    image_sets.write_ade_challenge(folder / "ade")
    image_sets.write_ade_full(folder / "ade_full")
    for number in range(6):
        shapes = [
            {"label": label, "points": [[1, 1], [9, 2], [8, 9]][:count], "shape_type": kind}
            for label, count, kind in (("cat", 3, "polygon"), ("dog", 2, "rectangle"), ("cat", 2, "circle"))
        ]
        image_sets.save(folder / "labelme" / f"{number}.jpg", image_sets.picture(number))
        content = {"shapes": shapes, "imagePath": f"{number}.jpg", "imageHeight": 12, "imageWidth": 16}
        (folder / "labelme" / f"{number}.json").write_text(json.dumps(content))


def doors(choose: random.Random, seeds: Path, place: Path) -> Iterator[Door]:
    """Mutates one or two files of a data set, and yields its door, and that of a lone image."""
    root = place / "set"
    shutil.copytree(choose.choice(sorted(seeds.iterdir())), root)
    files = sorted(path for path in root.rglob("*") if path.is_file())
    lists = [path for path in files if path.suffix in TEXT_SUFFIXES]
    changed = []
    for _ in range(choose.randint(1, 2)):
        path = choose.choice(lists if lists and choose.random() < 0.4 else files)
        if path.is_file() and path not in changed:
            _spoil(choose, path)
            changed.append(path)
    yield from through_the_door(choose, root, place)
    for path in changed:
        if path.is_file() and path.suffix not in TEXT_SUFFIXES:
            yield lambda path=path: file_facts(path)  # type: ignore[misc]
            yield lambda path=path: _pixels(path)  # type: ignore[misc]
    if choose.random() < 0.3:
        for path in lists:
            if path.is_file():
                path.unlink()
        yield lambda: write_classes(str(root), DataFolder(place / "data"))


def _spoil(choose: random.Random, path: Path) -> None:
    if choose.random() < 0.06:
        return _misplace(choose, path)
    if path.suffix == ".json" and choose.random() < 0.8:
        path.write_bytes(json_of(choose, mutated_values(choose, json.loads(path.read_text()))))
    elif path.suffix in TEXT_SUFFIXES:
        path.write_bytes(mutated_text(choose, path.read_text("utf-8", "replace")))
    elif choose.random() < 0.5:
        path.write_bytes(mutated_bytes(choose, path.read_bytes()))
    else:
        _repaint(choose, path)
    return None


def _misplace(choose: random.Random, path: Path) -> None:
    """Removes a file, or leaves something else in its place."""
    action = choose.choice(("gone", "folder", "link", "empty", "name"))
    if action == "name":
        name = choose.choice([text for text in TEXTS if "/" not in text and "\0" not in text and len(text) < 50])
        path.rename(path.with_name(f"{name}{path.stem}{choose.choice(('', path.suffix, path.suffix.upper()))}"))
        return
    path.unlink()
    if action == "folder":
        path.mkdir()
    elif action == "link":
        path.symlink_to("nowhere")
    elif action == "empty":
        path.touch()


def _repaint(choose: random.Random, path: Path) -> None:
    """Writes an image of another mode, size, palette, orientation or number of pages, or with other values."""
    mode = choose.choice(MODES)
    height, width = choose.choice(((12, 16), (12, 16), (13, 16), (16, 12), (1, 1), (24, 32), (12, 5000), (900, 1200)))
    random_pixels = np.random.default_rng(choose.randrange(2**32))
    image = Image.fromarray(random_pixels.integers(0, choose.choice((2, 5, 256)), (height, width), dtype=np.uint8))
    if mode == "P":
        image.putpalette(random_pixels.integers(0, 256, 3 * choose.choice((1, 2, 256)), dtype=np.uint8).tobytes())
    else:
        image = image.convert(mode)
    exif = Image.Exif()
    exif[0x0112] = choose.choice((1, 3, 6, 8, 9, 0))
    kind = choose.choice(("PNG", "TIFF", "GIF", "JPEG", "BMP", "WEBP"))
    more = {"save_all": True, "append_images": [image] * 2} if choose.random() < 0.1 else {}
    try:
        image.save(path, format=kind, exif=exif, **more)
    except (OSError, ValueError, TypeError, KeyError):  # this format has no such mode
        image.convert("RGB").save(path, format="PNG")
