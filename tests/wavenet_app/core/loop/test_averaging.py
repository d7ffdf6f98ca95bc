"""Averaged weights follow the recursion of an exponential moving average, warm-up included."""

import pytest
import torch
from torch import nn

from wavenet_app.core.loop.averaging import AveragedModel, warmed_decay


@pytest.mark.parametrize(
    ("decay", "step", "expected"),
    [(0.999, 1, 2 / 11), (0.999, 90, 91 / 100), (0.9, 80, 0.9), (0.9, 79, 80 / 89), (0.9, 10**6, 0.9), (0.0, 50, 0.0)],
)
def test_the_decay_warms_up_and_then_stays(decay, step, expected):
    assert warmed_decay(decay, step) == pytest.approx(expected, rel=1e-15)


def test_the_average_is_that_of_the_recursion():
    model = nn.Linear(2, 1, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[4.0, -8.0]]))
    averaged = AveragedModel(model, decay=0.25)
    expected = model.weight.detach().clone()
    for step, kept in ((1, 2 / 11), (2, 3 / 12), (3, 0.25), (4, 0.25)):
        with torch.no_grad():
            model.weight.mul_(-0.5).add_(1)
        averaged.update(step)
        expected = kept * expected + (1 - kept) * model.weight.detach()
        torch.testing.assert_close(averaged.model.weight, expected, rtol=1e-12, atol=0)


def test_buffers_are_the_models_and_the_average_is_a_copy_without_gradients():
    model = nn.BatchNorm1d(3)
    averaged = AveragedModel(model, decay=0.9)
    model.running_mean.fill_(7)
    model.num_batches_tracked.fill_(5)
    averaged.update(1)
    assert averaged.model.running_mean.tolist() == [7, 7, 7]
    assert averaged.model.num_batches_tracked == 5
    assert averaged.model.running_mean is not model.running_mean
    assert not any(parameter.requires_grad for parameter in averaged.model.parameters())
    assert all(parameter.requires_grad for parameter in model.parameters())
