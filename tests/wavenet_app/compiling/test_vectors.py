"""The vectors of the compiled kernels round to the nearest bfloat16, take parts of rows, and know their exp."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from wavenet_app.compiling.vectors import LANES, copy, load, store
from wavenet_app.network.stack.functions import squash_and_activate
from wavenet_app.network.stack.kernels import SQUASH_ERROR


@njit
def move(target, target_place, source, source_place, count):
    store(target, target_place, count, load(source, source_place, count))


@njit
def copy_part(target, target_place, source, source_place, count):
    copy(target, target_place, source, source_place, count)


@given(st.lists(st.integers(0, 2**32 - 1), min_size=LANES, max_size=LANES))
@settings(deadline=None)
def test_rounding_to_bfloat16_is_that_of_pytorch(bits: list[int]) -> None:
    numbers = np.array(bits, np.uint32).view(np.float32)
    narrow = np.empty(LANES, np.uint16)
    move(narrow, 0, numbers, 0, LANES)
    found = torch.from_numpy(narrow).view(torch.bfloat16).float()
    torch.testing.assert_close(
        found, torch.from_numpy(numbers.copy()).bfloat16().float(), rtol=0, atol=0, equal_nan=True
    )
    back = np.empty(LANES, np.float32)
    move(back, 0, narrow, 0, LANES)
    torch.testing.assert_close(torch.from_numpy(back), found, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("dtype", [np.float32, np.uint16])
@pytest.mark.parametrize("count", [0, 1, 7, 15, 16, 40])
@pytest.mark.parametrize("function", [move, copy_part])
def test_only_what_is_there_is_read_and_written(dtype: type, count: int, function) -> None:
    source = np.arange(1, 60).astype(dtype)
    target = np.zeros(60, dtype)
    function(target, 5, source, 3, count)
    expected = np.zeros(60, dtype)
    taken = min(count, LANES)
    expected[5 : 5 + taken] = source[3 : 3 + taken]
    np.testing.assert_array_equal(target, expected)


def test_the_sigmoids_keep_their_stated_error() -> None:
    line = np.concatenate([np.linspace(-60, 60, 40_000), np.linspace(-3, 3, 40_000)]).astype(np.float32)
    generator = np.random.default_rng(0)
    squashed = np.stack([line, generator.permutation(line)], axis=1)
    exact = 1 / (1 + np.exp(-squashed.astype(np.float64)))
    rows = len(line)
    activated = np.empty((rows, 1), np.float32)
    biases, joined = np.zeros((1, 2), np.float32), np.empty((1, 1), np.float32)
    squash_and_activate(squashed, 0, rows, biases, 2**62, 0, activated, joined, 0, rows)
    worst = np.abs(squashed - exact).max()
    assert SQUASH_ERROR / 4 < worst < SQUASH_ERROR
    np.testing.assert_allclose(activated[:, 0], exact[:, 1] * (1 - 2 * exact[:, 0]), atol=3 * SQUASH_ERROR)
