"""The quality of predicted masks: one confusion matrix over a whole data set, and the scores that follow from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics.classification import MulticlassConfusionMatrix

from segmentation.datasets.labels import IGNORE


@dataclass(frozen=True)
class SegmentationScores:
    """A confusion matrix and its scores.

    Attributes:
        confusion: pixels of class `row` that were predicted as class `column`, int64, (num_classes, num_classes).
        classes: name of every class.
    """

    confusion: NDArray[np.int64]
    classes: tuple[str, ...]

    @cached_property
    def iou(self) -> NDArray[np.float64]:
        """Intersection over union of every class, true positives / (true or predicted pixels), shape (num_classes,).

        Source: Everingham et al. 2015, section 4.4. NaN for an absent class.
        """
        correct = np.diag(self.confusion).astype(np.float64)
        union = self.confusion.sum(axis=0) + self.confusion.sum(axis=1) - correct
        return np.divide(correct, union, out=np.full_like(correct, np.nan), where=union > 0)

    @property
    def mean_iou(self) -> float:
        """Mean of `iou` over the classes that are not absent; NaN if all are."""
        present = self.iou[~np.isnan(self.iou)]
        return float(present.mean()) if present.size else float("nan")

    @property
    def pixel_accuracy(self) -> float:
        """Share of the pixels that have the right class, ignored ones not counted; NaN if there is none."""
        total = int(self.confusion.sum())
        return float(np.trace(self.confusion) / total) if total else float("nan")

    @property
    def absent(self) -> tuple[str, ...]:
        """Classes that are neither in the masks nor predicted; they have no IoU."""
        return tuple(name for name, value in zip(self.classes, self.iou, strict=True) if np.isnan(value))

    @property
    def only_predicted(self) -> tuple[str, ...]:
        """Classes that are predicted but in no mask; their IoU is 0, and counts in the mean."""
        true, predicted = self.confusion.sum(axis=1), self.confusion.sum(axis=0)
        return tuple(name for name, t, p in zip(self.classes, true, predicted, strict=True) if p and not t)


class ConfusionMatrix:
    """Counts predictions against masks, image by image, on any device.

    Like VOC, Cityscapes and ADE20K, it counts over the whole data set instead of averaging over images.

    Args:
        classes: name of every class.

    >>> import torch
    >>> matrix = ConfusionMatrix(["sky", "road", "tree"])
    >>> matrix.update(torch.tensor([[0, 1, 1]]), torch.tensor([[0, 1, 255]]))
    >>> scores = matrix.scores()
    >>> scores.mean_iou, scores.absent
    (1.0, ('tree',))
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = tuple(classes)
        self._metric = MulticlassConfusionMatrix(len(self.classes), ignore_index=IGNORE, validate_args=False)

    def update(self, predicted: Tensor, mask: Tensor) -> None:
        """Counts the pixels of one or several images.

        Args:
            predicted: class ids, any integer type, shape (..., height, width).
            mask: class ids, 255 = ignore, same shape and device.

        Raises:
            ValueError: the shapes differ.
        """
        if predicted.shape != mask.shape:
            raise ValueError(f"predictions of shape {tuple(predicted.shape)} against masks of {tuple(mask.shape)}")
        if self._metric.device != mask.device:
            self._metric.to(mask.device)
        self._metric.update(predicted.flatten().long(), mask.flatten().long())

    def counts(self) -> Tensor:
        """Returns the counted pixels as `SegmentationScores.confusion` has them, on the device of the masks."""
        return self._metric.compute()

    def scores(self) -> SegmentationScores:
        """Returns the scores of all counted pixels."""
        if not self._metric.update_called:
            empty = np.zeros((len(self.classes), len(self.classes)), dtype=np.int64)
            return SegmentationScores(empty, self.classes)
        return SegmentationScores(self.counts().cpu().numpy().astype(np.int64), self.classes)
