"""The energy of a gradient against derivatives known by hand, and the radii that hold it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wavenet_app.core.receptive_field.effective import effective_field, radius, spread


def test_the_energy_is_the_sum_of_all_squared_derivatives():
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(5, 4, 6, generator=generator)  # outputs, channels, places
    energy = effective_field(
        lambda inputs: torch.einsum("oct,bct->bo", matrix, inputs), torch.zeros(4_000, 4, 6), generator
    )
    assert energy == pytest.approx(matrix.square().sum((0, 1)).numpy(), rel=0.1)


def test_inputs_are_averaged():
    inputs = [torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 0.0]])]
    energy = effective_field(lambda hidden: hidden.square().sum(), inputs, torch.Generator())
    assert energy.tolist() == [(4 + 36) / 2, 16 / 2]


def test_the_same_generator_gives_the_same_field():
    def of_three(inputs):
        return torch.stack([inputs[..., 0], inputs[..., 1] ** 2, inputs[..., :2].prod(-1)])

    fields = [effective_field(of_three, torch.ones(3, 1, 4), torch.Generator().manual_seed(7)) for _ in range(2)]
    assert np.array_equal(*fields)
    assert not fields[0][2:].any()


def test_radii_of_a_cross():
    energy = np.zeros((9, 9))
    energy[4, 4] = 5.0
    energy[4, 1] = energy[7, 4] = 2.0
    energy[0, 0] = 1.0
    assert radius(energy, (4, 4), 0.5) == 0.0
    assert radius(energy, (4, 4), 0.9) == 3.0
    assert radius(energy, (4, 4), 0.95) == pytest.approx(32**0.5)
    assert radius(energy, (4, 4), 1.0) == pytest.approx(32**0.5)


def test_no_gradient_has_no_radius():
    assert radius(np.zeros(8), (7,), 0.5) is None


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=40).filter(any), st.floats(0.01, 0.99), st.data())
def test_a_radius_holds_its_share_and_no_smaller_one_does(values, share, data):
    energy = np.array(values)
    place = data.draw(st.integers(0, len(values) - 1))
    found = radius(energy, (place,), share)
    distances = np.abs(np.arange(len(values)) - place)
    assert energy[distances <= found].sum() >= (share - 1e-9) * energy.sum()
    assert energy[distances < found].sum() <= (share + 1e-9) * energy.sum()
    grown = spread(energy, (place,))
    assert np.all(np.diff(grown.shares) >= 0)
    assert grown.shares[-1] == pytest.approx(1)
