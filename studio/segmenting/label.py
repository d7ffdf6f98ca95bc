"""A picture through a DeepLab: its mask, what the classes are, and how much of the picture each takes."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segmentation.checkpoints.names import PREFIXES, SUFFIXES, find_segmenter
from studio.web.requests import plain_model_name
from studio.web.uploads import Upload
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.core.runs import BEST, run_names

MOST_PIXELS = 24_000_000
"""Of a picture that is labelled for the page; `wavegen seg-predict` takes larger ones."""

_KEPT = 2  # models that stay loaded
_STRIDES = (None, 1, 2, 4, 8, 16)


@dataclass(frozen=True)
class LabelRequest:
    """How a picture is labelled.

    Attributes:
        model: name of a run or file.
        scales: numbers separated by commas.
        flip: whether to average over the mirrored picture too.
        output_stride: None for that of the training.
    """

    model: str
    scales: str
    flip: bool
    output_stride: int | None

    def __post_init__(self) -> None:
        if self.output_stride not in _STRIDES:
            raise UserError(f"the output stride is 1, 2, 4, 8 or 16, not {self.output_stride}")

    @property
    def command(self) -> str:
        """The options of `wavegen seg-predict` that give the same mask."""
        scales = "" if self.scales == "1" else f" --scales {self.scales}"
        stride = "" if self.output_stride is None else f" --output-stride {self.output_stride}"
        return f"{scales}{' --flip' if self.flip else ''}{stride}"


def segmenter_names(folder: DataFolder) -> list[str]:
    """Returns the names of the DeepLabs in a data folder: runs, then files."""
    files = (
        path for prefix in PREFIXES for suffix in SUFFIXES for path in folder.pretrained.glob(f"{prefix}*{suffix}")
    )
    return [*run_names(folder.segmentation_runs, BEST), *sorted({path.name for path in files})]


class Labelling:
    """Labels one picture at a time, with the models that were used last kept in memory.

    Args:
        folder: the data folder.
    """

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder
        self._loaded: dict[tuple[LabelRequest, int], Any] = {}

    def find(self, model: str) -> Path:
        """Returns the file of a model.

        Raises:
            UserError: there is none of that name, or it is a path.
        """
        return find_segmenter(plain_model_name(model), self._folder)

    def label(self, upload: Upload, request: LabelRequest, path: Path) -> dict[str, Any]:
        """Returns the mask of a picture as a PNG in the colours of its classes, and the share of each class.

        Args:
            upload: the picture.
            request: how it is labelled.
            path: the file of the model.

        Raises:
            UserError: the picture or the model cannot be read, or an option does not fit.
        """
        import torch

        from segmentation.checkpoints.segmenter import class_names
        from segmentation.datasets.image_files import read_image

        image: list[NDArray[np.uint8]] = []
        upload.checked(_refuse_large)
        upload.checked(lambda path: image.append(read_image(path)))
        segmenter, labeller = self._open(request, path)
        mask = labeller.label(torch.from_numpy(image[0].transpose(2, 0, 1))).numpy()
        shares = np.bincount(mask.ravel(), minlength=len(segmenter.table.palette)) / mask.size
        names, palette = class_names(segmenter), segmenter.table.palette
        return {
            "width": mask.shape[1],
            "height": mask.shape[0],
            "mask": base64.b64encode(mask_png(mask, palette)).decode(),
            "protocol": str(labeller),
            "command": f"wavegen seg-predict {request.model} {upload.name}{request.command}",
            "classes": [
                {"name": names[number], "colour": palette[number].tolist(), "share": float(shares[number])}
                for number in np.argsort(-shares)
                if shares[number]
            ],
        }

    def _open(self, request: LabelRequest, path: Path) -> Any:
        from segmentation.prediction.options import LabelOptions, open_labeller

        key = request, path.stat().st_mtime_ns
        if key not in self._loaded:
            self._loaded = dict(list(self._loaded.items())[1 - _KEPT :])
            options = LabelOptions(
                request.model, scales=request.scales, flip=request.flip, output_stride=request.output_stride
            )
            self._loaded[key] = open_labeller(options, self._folder)
        return self._loaded[key]


def mask_png(mask: NDArray[np.uint8], palette: NDArray[np.uint8]) -> bytes:
    """Returns a mask in the colours of its classes, as a PNG with a palette.

    As in the overlays of `wavegen seg-predict`, a class that is black is transparent.

    Args:
        mask: class ids, (height, width).
        palette: colour of every class, (num_classes, 3).
    """
    from PIL import Image

    picture = Image.fromarray(mask)
    picture.putpalette(palette.astype(np.uint8).tobytes())
    opacity = bytes(255 if colour.any() else 0 for colour in palette)
    whole = io.BytesIO()
    picture.save(whole, format="PNG", transparency=opacity)
    return whole.getvalue()


def _refuse_large(path: Path) -> None:
    from segmentation.datasets.image_files import file_facts

    width, height = file_facts(path).size
    if width * height > MOST_PIXELS:
        raise UserError(
            f"{path} has {width * height / 1e6:.0f} million pixels, and the page takes {MOST_PIXELS / 1e6:.0f}; use "
            "wavegen seg-predict"
        )
