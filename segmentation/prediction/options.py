"""Options that seg-eval and seg-predict share: the checkpoint, and how it labels."""

from __future__ import annotations

from dataclasses import dataclass

from segmentation.checkpoints.names import find_segmenter
from segmentation.checkpoints.segmenter import Segmenter, load_segmenter
from segmentation.prediction.inference import LARGE_WINDOWS, Labeller, Protocol
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.device import training_device
from wavenet_app.core.errors import UserError

SMALLEST_WINDOW = 16
LARGEST_SCALE = 8.0


@dataclass(frozen=True)
class LabelOptions:
    """How to label images.

    Attributes:
        checkpoint: a file, a run's folder or name, or the name of a pretrained file.
        scales: numbers separated by commas, such as "0.5,1,1.5".
        flip: whether to average over the mirrored image too.
        window: side of sliding windows in pixels; None labels images whole.
        output_stride: 1, 2, 4, 8 or 16, for files that do not store it, or to override it.
    """

    checkpoint: str
    scales: str = "1"
    flip: bool = False
    window: int | None = None
    output_stride: int | None = None


def open_labeller(options: LabelOptions, folder: DataFolder) -> tuple[Segmenter, Labeller]:
    """Returns the model of a checkpoint, and its labeller on the best device of this machine.

    Raises:
        UserError: there is no such checkpoint, or an option does not fit.
    """
    protocol = Protocol(_scales(options.scales), options.flip, _window(options.window))
    segmenter = load_segmenter(find_segmenter(options.checkpoint, folder), options.output_stride)
    model = segmenter.model.to(training_device())
    return segmenter, Labeller(model, segmenter.mean, segmenter.std, protocol, segmenter.image_scale, segmenter.pad_to)


def windows_line(count: int) -> str:
    """Returns the note on images that were cut into windows because of their size, without a --window."""
    images = "1 image was" if count == 1 else f"{count} images were"
    return (
        f"note: {images} too large to label whole, and cut into windows of {LARGE_WINDOWS[0]} to {LARGE_WINDOWS[1]} "
        "pixels a side"
    )


def _scales(text: str) -> tuple[float, ...]:
    try:
        scales = tuple(float(part) for part in text.split(","))
    except ValueError:
        scales = ()
    if not fit_scales(scales):
        raise UserError(
            f"--scales takes numbers up to {LARGEST_SCALE:g} separated by commas, such as 0.5,1,1.5; not '{text}'"
        )
    return scales


def fit_scales(scales: tuple[float, ...]) -> bool:
    """Returns whether images can be enlarged by these factors; there must be one."""
    return bool(scales) and all(0 < scale <= LARGEST_SCALE for scale in scales)


def _window(window: int | None) -> int | None:
    if window is not None and window < SMALLEST_WINDOW:
        raise UserError(f"--window takes {SMALLEST_WINDOW} pixels or more, not {window}")
    return window
