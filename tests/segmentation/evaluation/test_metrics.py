"""Scores of masks equal those of a scorer that counts pixel by pixel."""

import math

import numpy as np
import pytest
import torch
from brute_force import brute_force
from hypothesis import given, settings
from hypothesis import strategies as st

from segmentation.evaluation.metrics import ConfusionMatrix

IGNORE = 255


@st.composite
def scored_images(draw):
    num_classes = draw(st.integers(2, 6))
    pairs = []
    for _ in range(draw(st.integers(1, 4))):
        shape = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
        count = shape[0] * shape[1]
        guess = draw(st.lists(st.integers(0, num_classes - 1), min_size=count, max_size=count))
        ids = st.one_of(st.integers(0, num_classes - 1), st.just(IGNORE))
        mask = draw(st.lists(ids, min_size=count, max_size=count))
        pairs.append((np.array(guess, dtype=np.uint8).reshape(shape), np.array(mask, dtype=np.uint8).reshape(shape)))
    return num_classes, pairs


@given(scored_images())
@settings(max_examples=60, deadline=None)
def test_equal_to_counting_pixel_by_pixel(case):
    num_classes, pairs = case
    matrix = ConfusionMatrix([f"class {number}" for number in range(num_classes)])
    for guess, mask in pairs:
        matrix.update(torch.from_numpy(guess), torch.from_numpy(mask))
    scores = matrix.scores()
    iou, mean, accuracy = brute_force(pairs, num_classes)
    np.testing.assert_allclose(scores.iou, iou, rtol=0, atol=1e-12)
    np.testing.assert_allclose(scores.mean_iou, mean, rtol=0, atol=1e-12)
    np.testing.assert_allclose(scores.pixel_accuracy, accuracy, rtol=0, atol=1e-12)
    assert scores.absent == tuple(f"class {number}" for number, value in enumerate(iou) if math.isnan(value))


def test_it_is_counted_over_the_data_set_not_averaged_over_images():
    matrix = ConfusionMatrix(["a", "b"])
    matrix.update(torch.tensor([[0, 0, 0, 0, 0, 0, 0, 0]]), torch.tensor([[0, 0, 0, 0, 0, 0, 0, 1]]))
    matrix.update(torch.tensor([[1]]), torch.tensor([[1]]))
    assert matrix.scores().iou.tolist() == [7 / 8, 1 / 2]


def test_a_class_that_is_only_predicted_counts_as_zero_and_is_listed():
    matrix = ConfusionMatrix(["a", "b", "c"])
    matrix.update(torch.tensor([[0, 1]]), torch.tensor([[0, 0]]))
    scores = matrix.scores()
    assert scores.only_predicted == ("b",)
    assert scores.absent == ("c",)
    assert scores.mean_iou == pytest.approx(0.25)


def test_nothing_counted_has_no_scores():
    matrix = ConfusionMatrix(["a", "b"])
    assert math.isnan(matrix.scores().mean_iou)
    matrix.update(torch.tensor([[0]]), torch.tensor([[IGNORE]]))
    assert math.isnan(matrix.scores().pixel_accuracy)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="against masks"):
        ConfusionMatrix(["a", "b"]).update(torch.zeros(2, 3, dtype=torch.long), torch.zeros(3, 2, dtype=torch.long))
