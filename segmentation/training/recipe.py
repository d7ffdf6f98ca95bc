"""Values for the settings that a run leaves unset: image scale and crop, optimizer and loss, budget."""

from __future__ import annotations

from typing import Any

from segmentation.checking.check import SplitReport
from segmentation.config import SMALLEST_CROP, SegmentationConfig, SegmentationTrainingConfig
from wavenet_app.core.settings import override

DEFAULT_MINUTES = 30.0
BUILT_IN_MINUTES = 3.0
"""Default for the built-in data set, which is learned in a few minutes."""

MOST_CROP = {"cuda": 512, "mps": 256, "cpu": 256}
"""Device -> pixels along a side of the crops, at most, where the setting is unset."""

SEEN_SIDE = 256
"""Pixels of the longer side of what the model sees on a CPU, where the setting is unset."""

LEAST_IMAGE_SCALE = 0.25

VALIDATIONS = 30
LEAST_VALIDATE_SECONDS = 60.0

_GRAIN = 16  # crops are whole multiples of it, as features are
_SAME_SHAPE = 1.1  # by how much the proportions of images of one shape may differ


def fit_to_images(config: SegmentationConfig, images: SplitReport, device: str) -> SegmentationConfig:
    """Returns the settings with the image scale and crop size that suit the images and the device.

    On a CPU a run sees few images, and each at half its size costs a quarter (measured in docs/results/notebook.md).

    Args:
        config: the settings.
        images: the report on the training split.
        device: "cpu", "cuda" or "mps".
    """
    width, height = images.largest or (_GRAIN, _GRAIN)
    scale = config.data.image_scale
    if scale is None:
        scale = min(1.0, max(LEAST_IMAGE_SCALE, SEEN_SIDE / max(width, height))) if device == "cpu" else 1.0
    training = {}
    if config.training.crop_size is None:
        sides = (height, width) if _alike(images) else (max(height, width),) * 2
        training["crop_size"] = [min(MOST_CROP[device], _grained(scale * side)) for side in sides]
    return override(config, {"data": {"image_scale": scale}, "training": training})


def fit_to_start(training: SegmentationTrainingConfig, *, from_scratch: bool) -> dict[str, Any]:
    """Returns values for the unset settings of the optimizer, the loss and the random resizing.

    Trained weights get the gradient descent, loss and scales of the papers. From random weights, AdamW learns much more
    in the same time, rare classes are learned late unless they weigh more, and a smaller range of scales wastes fewer
    crops on images of half their size surrounded by ignored pixels.

    Args:
        training: the settings.
        from_scratch: whether the model starts from random weights.
    """
    optimizer = training.optimizer or ("adamw" if from_scratch else "sgd")
    adaptive = optimizer == "adamw"
    chosen: dict[str, Any] = {
        "scale_range": (0.75, 1.5) if from_scratch else (0.5, 2.0),
        "class_weights": "balanced" if from_scratch else "none",
        "optimizer": optimizer,
        "learning_rate": 2e-3 if adaptive else 0.01,
        "head_factor": 1.0 if from_scratch else 10.0,
        "weight_decay": 0.01 if adaptive else 1e-4,
    }
    return {name: value for name, value in chosen.items() if getattr(training, name) is None}


def fit_to_budget(config: SegmentationConfig) -> SegmentationConfig:
    """Returns the settings with a budget, and with validations spread over it."""
    training = config.training
    minutes = training.minutes
    if minutes is None and training.max_steps is None:
        minutes = BUILT_IN_MINUTES if config.data.dataset is None else DEFAULT_MINUTES
    between = training.validate_seconds
    if between is None:
        between = max(LEAST_VALIDATE_SECONDS, 60 * (minutes or 0) / VALIDATIONS)
    return override(config, {"training": {"minutes": minutes, "validate_seconds": between}})


def _alike(images: SplitReport) -> bool:
    """Whether the smallest and the largest image have the same proportions, nearly."""
    if images.smallest is None or images.largest is None:
        return False
    one, other = (width / height for width, height in (images.smallest, images.largest))
    return max(one, other) / min(one, other) < _SAME_SHAPE


def _grained(pixels: float) -> int:
    return max(SMALLEST_CROP, -(-round(pixels) // _GRAIN) * _GRAIN)
