"""The loss of a training on images: cross-entropy without ignored pixels, and weights of the classes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from segmentation.datasets.broken import BrokenFiles
from segmentation.datasets.dataset import SegmentationDataset, evenly_spread
from segmentation.datasets.labels import IGNORE
from wavenet_app.core.errors import UserError

BALANCING_MASKS = 500
"""Most training masks that class weights are computed from, evenly spread."""


def cross_entropy(scores: Tensor, mask: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Returns the mean cross-entropy over the pixels that are not ignored; 0 if there are none, where torch's is NaN.

    Args:
        scores: before the softmax, (batch, num_classes, height, width).
        mask: class ids, 255 = ignore, int64 (batch, height, width).
        class_weights: shape (num_classes,); the mean is weighted by them.

    >>> ignored = torch.full((1, 2, 2), IGNORE)
    >>> cross_entropy(torch.zeros(1, 3, 2, 2), ignored).item()
    0.0
    """
    total = F.cross_entropy(scores.float(), mask, class_weights, ignore_index=IGNORE, reduction="sum")
    least = 1 if class_weights is None else torch.finfo(torch.float32).tiny
    return total / pixel_weight(mask, class_weights).clamp(min=least)


def pixel_weight(mask: Tensor, class_weights: Tensor | None) -> Tensor:
    """Returns the number of pixels that are not ignored, each times its class weight, shape ().

    Args:
        mask: class ids, 255 = ignore, int64 (batch, height, width).
        class_weights: shape (num_classes,); None for 1 each.

    >>> pixel_weight(torch.tensor([[[0, 1, IGNORE]]]), torch.tensor([0.5, 2.0])).item()
    2.5
    """
    counts = mask != IGNORE
    return counts.sum() if class_weights is None else (class_weights[mask.where(counts, 0)] * counts).sum()


def balanced_weights(dataset: SegmentationDataset, progress: Callable[[int, int], None]) -> list[float]:
    """Returns a weight per class that is greater for rarer ones, 1.4 to 50: 1 / ln(1.02 + share of the pixels).

    Source: Paszke et al. 2016, "ENet", section 5.2.

    Args:
        dataset: the training split; at most `BALANCING_MASKS` masks are read.
        progress: called with the number of masks read, and of all.

    Raises:
        UserError: more masks cannot be used than `BrokenFiles` allows.
    """
    broken = BrokenFiles(dataset)
    chosen = evenly_spread(len(dataset), BALANCING_MASKS)
    counts: NDArray[np.int64] = np.zeros(IGNORE + 1, dtype=np.int64)
    for done, index in enumerate(chosen, start=1):
        try:
            counts += np.bincount(dataset.mask(index).ravel(), minlength=IGNORE + 1)
        except UserError as error:
            broken.add(index, error)
        progress(done, len(chosen))
    pixels = counts[: dataset.num_classes]
    return (1 / np.log(1.02 + pixels / max(1, int(pixels.sum())))).tolist()
