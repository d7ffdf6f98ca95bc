"""Use a trained DeepLab from Python: load it, and label images.

import segmentation

mask = segmentation.load("camvid").predict("street.jpg")
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps

from segmentation.checkpoints.names import find_segmenter
from segmentation.checkpoints.segmenter import Segmenter, class_names, load_segmenter
from segmentation.datasets.image_files import read_image, rgb_of
from segmentation.prediction import inference
from segmentation.prediction.options import LARGEST_SCALE, SMALLEST_WINDOW, fit_scales
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.device import training_device
from wavenet_app.core.errors import UserError
from wavenet_app.core.numbers import checked_number, checked_whole


def load(
    name: str | Path,
    *,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    window: int | None = None,
    output_stride: int | None = None,
    device: str | None = None,
    data_dir: str | Path | None = None,
) -> Labeller:
    """Returns a trained DeepLab, ready to label images.

    Args:
        name: a checkpoint file, the name of a run, or a deeplab_*.pth in the data folder.
        scales: sizes of the image to average over, as factors of at most 8.
        flip: whether to average over the mirrored image too.
        window: side of overlapping windows in pixels, at least 16; None for whole images, unless they are huge.
        output_stride: 1, 2, 4, 8 or 16 (1 and 2 for the backbone "dilated"), for files that do not store it; None for
            the stride in training.
        device: "cpu" or "cuda"; None for the best one here.
        data_dir: the data folder; None for $WAVEGEN_DATA, else ./data.

    Raises:
        UserError: no checkpoint has that name, it cannot be read, or a value is out of range.
    """
    factors = tuple(checked_number("each of scales", scale) for scale in scales)
    if not fit_scales(factors):
        raise UserError(f"scales must be numbers above 0 and at most {LARGEST_SCALE:g}, not {list(scales)}")
    if window is not None:
        window = checked_whole("window", window, least=SMALLEST_WINDOW)
    if output_stride is not None:
        output_stride = checked_whole("output_stride", output_stride)
    folder = DataFolder.at(None if data_dir is None else Path(data_dir))
    segmenter = load_segmenter(find_segmenter(str(name), folder), output_stride)
    protocol = inference.Protocol(factors, flip, window)
    return Labeller(segmenter, protocol, device or training_device())


class Labeller:
    """A trained DeepLab. Make one with `load`.

    Attributes:
        path: the checkpoint.
        classes: names of the classes; a mask's value is the place of a class in them.
        palette: colour of every class, uint8, (classes, 3).
    """

    def __init__(self, segmenter: Segmenter, protocol: inference.Protocol, device: str) -> None:
        self.path = segmenter.path
        self.classes = class_names(segmenter)
        self.palette = segmenter.table.palette
        model = segmenter.model.to(device)
        self._labeller = inference.Labeller(
            model, segmenter.mean, segmenter.std, protocol, segmenter.image_scale, segmenter.pad_to
        )

    def __repr__(self) -> str:
        """Its file and number of classes."""
        return f"<Labeller {self.path}, {len(self.classes)} classes>"

    def predict(self, image: str | Path | Image.Image | NDArray[Any]) -> NDArray[np.uint8]:
        """Returns the most probable class of every pixel, uint8, (height, width).

        Args:
            image: of any size: a file, a PIL image, or an array (height, width, 3) or (height, width) of uint8. Files
                and PIL images are turned upright by their EXIF orientation.

        Raises:
            UserError: the file cannot be read, or the array is no image.
        """
        pixels = _pixels(image)
        return self._labeller.label(torch.from_numpy(np.array(pixels.transpose(2, 0, 1), order="C"))).numpy()


def _pixels(image: str | Path | Image.Image | NDArray[Any]) -> NDArray[np.uint8]:
    """Returns an image as uint8 (height, width, 3)."""
    if isinstance(image, str | Path):
        return read_image(Path(image))
    if isinstance(image, Image.Image):
        return rgb_of(ImageOps.exif_transpose(image), "the image")
    array = np.asarray(image)
    if (
        array.dtype != np.uint8
        or array.ndim not in (2, 3)
        or (array.ndim == 3 and array.shape[2] != 3)
        or not array.size
    ):
        raise UserError(
            f"an image array must be uint8 of the shape (height, width, 3) or (height, width), not {array.dtype} "
            f"of the shape {array.shape}"
        )
    return np.repeat(array[..., None], 3, axis=2) if array.ndim == 2 else array
