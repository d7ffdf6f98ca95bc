"""Scores a model on a data set: whole images at their own resolution, one confusion matrix over all of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from segmentation.datasets.batches import ValidationImages, loaded
from segmentation.datasets.dataset import FileNote, SegmentationDataset
from segmentation.evaluation.metrics import ConfusionMatrix, SegmentationScores
from segmentation.prediction.inference import Labeller


@dataclass(frozen=True)
class Evaluation:
    """What was measured, and how.

    Attributes:
        scores: of all images together, at the size of their masks.
        dataset: the images.
        images: how many of them were scored.
        windowed: how many of those were cut into windows because of their size, without a --window.
        labeller: the model, with its protocol.
        broken: images that cannot be used, which are not scored.
    """

    scores: SegmentationScores
    dataset: SegmentationDataset
    images: int
    windowed: int
    labeller: Labeller
    broken: tuple[FileNote, ...] = ()

    @property
    def skipped(self) -> tuple[FileNote, ...]:
        """Files that are not scored: those that the data set skips, and broken ones."""
        return (*self.dataset.skipped, *self.broken)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON; NaN becomes None."""
        scores, protocol = self.scores, self.labeller.protocol
        return {
            "dataset": self.dataset.name,
            "format": self.dataset.format,
            "split": self.dataset.split,
            "images": self.images,
            "images_in_split": len(self.dataset),
            "skipped": [str(note) for note in self.skipped],
            "protocol": {
                "output_stride": self.labeller.model.config.output_stride,
                "image_scale": self.labeller.image_scale,
                "scales": list(protocol.scales),
                "flip": protocol.flip,
                "window": protocol.window,
                "too_large_to_be_seen_whole": self.windowed,
                "ignored": 255,
            },
            "mean_iou": _number(scores.mean_iou),
            "pixel_accuracy": _number(scores.pixel_accuracy),
            "iou": {name: _number(float(iou)) for name, iou in zip(scores.classes, scores.iou, strict=True)},
            "absent": list(scores.absent),
            "only_predicted": list(scores.only_predicted),
            "confusion": scores.confusion.tolist(),
        }


def evaluate(
    labeller: Labeller,
    dataset: SegmentationDataset,
    *,
    limit: int | None = None,
    workers: int = 0,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Evaluation:
    """Labels the images of a split and counts every pixel that is not ignored.

    Args:
        labeller: model and protocol; its classes are those of the data set.
        dataset: the split.
        limit: images to score, evenly spread; None for all.
        workers: processes that read images.
        progress: called with the number of images done, and of all.

    Raises:
        UserError: more images or masks cannot be used than `BrokenFiles` allows.
    """
    images = ValidationImages(dataset, limit=limit)
    device = next(labeller.model.parameters()).device
    matrix = ConfusionMatrix(dataset.classes)
    windowed = 0
    broken: list[FileNote] = []
    for done, item in enumerate(loaded(images, num_workers=workers, on_broken=broken.append), start=1):
        image, mask = item["image"], item["mask"]
        windowed += labeller.is_too_large(*mask.shape)
        matrix.update(labeller.label(image.to(device)), mask.to(device, torch.uint8))
        progress(done, len(images))
    return Evaluation(matrix.scores(), dataset, len(images) - len(broken), windowed, labeller, tuple(broken))


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
