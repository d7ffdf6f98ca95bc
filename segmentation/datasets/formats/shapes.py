"""The built-in data set: discs, squares and triangles on uneven ground, drawn from a seed without files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segmentation.datasets.dataset import SegmentationDataset, Split
from segmentation.datasets.format import Format
from segmentation.datasets.labels import LabelMap, distinct_palette

NAME = "shapes"
FORMAT_NAME = "built-in shapes"
CLASSES = ("background", "disc", "square", "triangle")
SIZE = 96  # pixels, both ways
COUNTS: dict[Split, int] = {"train": 200, "val": 40}
SEED = 0

# Mean colour of each class; single shapes differ from it by up to _COLOUR_SPREAD, so neighbouring classes overlap.
_COLOURS = np.array([[0.45, 0.45, 0.45], [0.75, 0.35, 0.3], [0.35, 0.7, 0.35], [0.35, 0.4, 0.75]])
_COLOUR_SPREAD = 0.18
_NOISE = 0.06  # standard deviation
_SHAPES = (2, 5)  # fewest and most in an image
_RADIUS = (9.0, 20.0)  # pixels
_SPLIT_NUMBER: dict[Split, int] = {"train": 0, "val": 1}


class ShapesDataset(SegmentationDataset):
    """Images of a few shapes, coloured by class with some spread, over a slope of brightness and noise.

    An image depends only on the seed, the split and its number, so a larger count keeps the earlier images.

    Args:
        split: "train" or "val".
        count: number of images; None for 200 or 40.
        size: height and width in pixels.
        seed: of all images.
    """

    def __init__(self, split: Split, *, count: int | None = None, size: int = SIZE, seed: int = SEED) -> None:
        number = COUNTS[split] if count is None else count
        paths = [Path(NAME) / split / f"{index:04d}" for index in range(number)]
        super().__init__(
            name=NAME,
            format=FORMAT_NAME,
            split=split,
            classes=CLASSES,
            palette=distinct_palette(len(CLASSES)),
            labels=LabelMap.identity(len(CLASSES)),
            images=paths,
            masks=paths,
        )
        self._size = size
        self._key = [seed, _SPLIT_NUMBER[split]]

    def image(self, index: int) -> NDArray[np.uint8]:
        """Returns an image, shape (size, size, 3)."""
        return self._drawn(index)[0]

    def mask(self, index: int) -> NDArray[np.uint8]:
        """Returns a mask of class ids, shape (size, size)."""
        return self._drawn(index)[1]

    def _drawn(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        generator = np.random.default_rng([*self._key, index])
        rows, columns = np.mgrid[: self._size, : self._size].astype(np.float64)
        slope = generator.uniform(-0.2, 0.2, size=2)
        ground = (rows / self._size - 0.5) * slope[0] + (columns / self._size - 0.5) * slope[1]
        image = _COLOURS[0] + ground[..., None]
        mask = np.zeros((self._size, self._size), dtype=np.uint8)
        for _ in range(generator.integers(_SHAPES[0], _SHAPES[1] + 1)):
            class_id = int(generator.integers(1, len(CLASSES)))
            inside = _shape(class_id, rows, columns, generator)
            image[inside] = _COLOURS[class_id] + generator.uniform(-_COLOUR_SPREAD, _COLOUR_SPREAD, size=3)
            mask[inside] = class_id
        image = image + _NOISE * generator.standard_normal(image.shape)
        return (np.clip(image, 0, 1) * 255).round().astype(np.uint8), mask


def _shape(
    class_id: int, rows: NDArray[np.float64], columns: NDArray[np.float64], generator: np.random.Generator
) -> NDArray[np.bool_]:
    """Returns which pixels a shape of random place, size and turn covers."""
    size = len(rows)
    down, right = rows - generator.uniform(0, size), columns - generator.uniform(0, size)
    radius, angle = generator.uniform(*_RADIUS), generator.uniform(0, 2 * np.pi)
    if CLASSES[class_id] == "disc":
        return down**2 + right**2 <= radius**2
    corners = 4 if CLASSES[class_id] == "square" else 3
    # A regular polygon is where no side's normal points further out than the sides are from the centre.
    normals = angle + 2 * np.pi * np.arange(corners) / corners
    reach = np.max([np.cos(turn) * right + np.sin(turn) * down for turn in normals], axis=0)
    return reach <= radius * np.cos(np.pi / corners)


FORMAT = Format(
    name=FORMAT_NAME,
    argument=NAME,
    open=lambda _root, split, _name, _options: ShapesDataset(split),
    default_folder=None,
)
