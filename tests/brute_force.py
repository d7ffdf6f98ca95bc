"""Segmentation scores computed from sets of pixels, as a reference for tests."""

import math

import numpy as np

IGNORE = 255


def brute_force(pairs: list[tuple[np.ndarray, np.ndarray]], num_classes: int) -> tuple[list[float], float, float]:
    """IoU of each class, mean IoU and pixel accuracy, from sets of pixels without a confusion matrix."""
    predicted = {c: set() for c in range(num_classes)}
    true = {c: set() for c in range(num_classes)}
    right = total = 0
    for number, (guess, mask) in enumerate(pairs):
        for place in np.ndindex(mask.shape):
            if mask[place] == IGNORE:
                continue
            predicted[int(guess[place])].add((number, place))
            true[int(mask[place])].add((number, place))
            right += guess[place] == mask[place]
            total += 1
    unions = [predicted[c] | true[c] for c in range(num_classes)]
    iou = [len(predicted[c] & true[c]) / len(unions[c]) if unions[c] else math.nan for c in range(num_classes)]
    present = [value for value in iou if not math.isnan(value)]
    mean = sum(present) / len(present) if present else math.nan
    return iou, mean, right / total if total else math.nan
