"""Writes small data sets of all formats for tests: images of noise and masks of stripes."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 12, 16


def picture(seed: int = 0, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Noise of three channels, shape (height, width, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def stripes(values: list[int], height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A mask with a vertical stripe of each value, shape (height, width)."""
    return np.repeat(np.array(values)[np.arange(width) * len(values) // width][None], height, axis=0)


def save(path: Path, pixels: np.ndarray, palette: np.ndarray | None = None, **options: object) -> Path:
    """Writes an image file; with a palette, the pixels are its indices."""
    path.parent.mkdir(parents=True, exist_ok=True)
    deep = pixels.max(initial=0) > 255
    image = Image.fromarray(pixels.astype(np.uint16 if deep else np.uint8))
    if palette is not None:
        image.putpalette(palette.astype(np.uint8).tobytes())
    image.save(path, **options)
    return path


def write_custom(root: Path, masks: dict[str, np.ndarray], classes: str | None, **options: object) -> Path:
    """A custom data set: name of the mask's file (with folder and suffix) -> mask; each gets an image."""
    for number, (name, mask) in enumerate(masks.items()):
        save(root / "masks" / name, mask, **options)
        save((root / "images" / name).with_suffix(".png"), picture(number, *mask.shape[:2]))
    if classes is not None:
        (root / "classes.txt").write_text(classes)
    return root


def write_voc(root: Path, palette: np.ndarray) -> Path:
    """VOC in the layout of its development kit: two training images and one for validation."""
    base = root / "VOCdevkit" / "VOC2012"
    lists = base / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    for split, stems in (("train", ["a", "b"]), ("val", ["c"]), ("trainval", ["a", "b", "c"])):
        (lists / f"{split}.txt").write_text("\n".join(stems) + "\n")
    for number, stem in enumerate("abc"):
        save(base / "JPEGImages" / f"{stem}.jpg", picture(number))
        save(base / "SegmentationClass" / f"{stem}.png", stripes([0, 15, 255, 20]), palette)
    return base


def write_cityscapes(root: Path) -> Path:
    """Cityscapes: two training frames and one for validation, with class ids and ignored ids."""
    for split, numbers in (("train", (0, 1)), ("val", (2,))):
        for number in numbers:
            stem = f"aachen_{number:06d}_000019"
            save(root / "leftImg8bit" / split / "aachen" / f"{stem}_leftImg8bit.png", picture(number))
            save(root / "gtFine" / split / "aachen" / f"{stem}_gtFine_labelIds.png", stripes([0, 7, 255, 33]))
    return root


def write_ade_challenge(root: Path) -> Path:
    """ADEChallengeData2016: one image per split."""
    base = root / "ADEChallengeData2016"
    for folder, name in (("training", "ADE_train_1"), ("validation", "ADE_val_1")):
        save(base / "images" / folder / f"{name}.jpg", picture())
        save(base / "annotations" / folder / f"{name}.png", stripes([0, 1, 150, 3]))
    return base


def write_ade_full(root: Path) -> Path:
    """The full release of 2021: wall, double door, and a name outside the 150 classes."""
    base = root / "ADE20K_2021_17_01"
    numbers = stripes([2978, 783, 0, 5])
    mask = np.stack([numbers // 256 * 10, numbers % 256, np.zeros_like(numbers)], axis=-1)
    for folder, name in (("training", "ADE_train_1"), ("validation", "ADE_val_1")):
        scene = base / "images" / "ADE" / folder / "urban" / "street"
        save(scene / f"{name}.jpg", picture())
        save(scene / f"{name}_seg.png", mask)
        save(scene / f"{name}_parts_1.png", mask)
    return base


CATEGORIES = [{"id": 1, "name": "person"}, {"id": 3, "name": "car"}, {"id": 13, "name": "stop sign"}]


def write_coco(root: Path, annotations: list[list[dict]], split: str = "val", size: int = 40) -> Path:
    """COCO 2017: one image for each list of annotations, which give `category_id` and `segmentation`."""
    content = {"images": [], "annotations": [], "categories": CATEGORIES}
    for number, own in enumerate(annotations):
        name = f"{number:012d}.jpg"
        save(root / f"{split}2017" / name, picture(number, size, size))
        content["images"].append({"id": number, "file_name": name, "height": size, "width": size})
        for one in own:
            filled = {"iscrowd": 0, "area": 100, **one, "image_id": number, "id": len(content["annotations"]) + 1}
            content["annotations"].append(filled)
    path = root / "annotations" / f"instances_{split}2017.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return root


def box(left: int, top: int, right: int, bottom: int) -> list[list[int]]:
    """A rectangle as COCO polygons."""
    return [[left, top, right, top, right, bottom, left, bottom]]
