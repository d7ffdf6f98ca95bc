"""The page's arithmetic of dilated stacks and of votes, held against the program's own and scipy's."""

import numpy as np
import pytest
import torch
from scipy.stats import binomtest
from torch import nn

from wavenet_app.config import preset
from wavenet_app.core.dilated import DilatedConv
from wavenet_app.core.dilation import dilation_cycle, receptive_field
from wavenet_app.core.receptive_field.touched import structural_twin, touched_map
from wavenet_app.network.model import WaveNet

pytestmark = pytest.mark.slow


def run(module_page, code: str, *arguments: object):
    """Returns what an expression of the module's members gives."""
    module, _, rest = code.partition(".")
    return module_page.evaluate(
        f"async (a) => {{ const m = await import('./page/{module}.js'); return m.{rest}; }}", arguments
    )


STACKS = [
    (2, (1, 2, 4, 8)),
    (3, (1, 2, 4)),
    (2, (1, 3, 9)),
    (3, (2, 2, 2)),
    (2, (5,)),
    (3, (1, 1, 4, 2)),
    (2, dilation_cycle(6, repeats=2)),
]


@pytest.mark.parametrize(("kernel", "dilations"), STACKS)
def test_the_field_and_its_holes_are_those_of_the_net(module_page, kernel, dilations):
    field = receptive_field(kernel, dilations)
    assert run(module_page, "stack.receptiveField(a[0], a[1])", kernel, dilations) == field
    layers = [DilatedConv(1, 1, kernel_size=kernel, dilation=dilation) for dilation in dilations]
    twin = structural_twin(nn.Sequential(*layers))
    touched = touched_map(lambda inputs: twin(inputs)[..., -1], 1, (field,))
    reached = run(module_page, "stack.reached(a[0], a[1])", kernel, dilations)
    np.testing.assert_array_equal(reached, touched)
    assert run(module_page, "stack.holes(a[0], a[1], 1)", kernel, dilations) == pytest.approx(1 - touched.mean())
    lit = run(module_page, "stack.dependencies(a[0], a[1], a[2])[0].size", kernel, dilations, field - 1)
    assert lit == touched.sum()


@pytest.mark.parametrize("dilations", [(2, 2, 2), (1, 2, 3), (1, 2, 4)])
def test_the_holes_of_a_picture_are_those_of_the_net(module_page, dilations):
    field = receptive_field(3, dilations)
    layers = [DilatedConv(1, 1, kernel_size=3, dilation=dilation, ndim=2, causal=False) for dilation in dilations]
    twin = structural_twin(nn.Sequential(*layers))
    touched = touched_map(lambda inputs: twin(inputs)[..., field // 2, field // 2], 1, (field, field))
    assert run(module_page, "stack.holes(3, a[0], 2)", dilations) == pytest.approx(1 - touched.mean())
    lit = run(module_page, "stack.dependencies(3, a[0], a[1], true)[0].size", dilations, field // 2)
    assert lit**2 == touched.sum()


@pytest.mark.parametrize(("kernel", "dilations"), [(2, (1, 2, 4)), (3, dilation_cycle(5, repeats=2)), (2, (7,))])
@pytest.mark.parametrize("width", ["tiny", "small", "base"])
def test_the_parameters_are_those_of_the_net(module_page, kernel, dilations, width):
    config = preset(width).model.model_copy(update={"kernel_size": kernel, "dilations": dilations})
    expected = sum(parameter.numel() for parameter in WaveNet(config, torch.Generator()).parameters())
    assert run(module_page, "stack.waveNetParameters(a[0], a[1], m.WIDTHS[a[2]])", kernel, dilations, width) == expected
    assert run(module_page, "stack.receptiveField(a[0], [1, ...a[1]])", kernel, dilations) == config.receptive_field


def test_the_parameters_of_a_stack_of_pictures(module_page):
    layers = [DilatedConv(16, 16, kernel_size=3, dilation=dilation, ndim=2) for dilation in (1, 2, 4)]
    expected = sum(parameter.numel() for layer in layers for parameter in layer.parameters())
    assert run(module_page, "stack.stackParameters(3, [1, 2, 4], 16)") == expected


@pytest.mark.parametrize(("wins", "count"), [(0, 0), (0, 1), (5, 10), (9, 10), (1, 12), (30, 41), (100, 250)])
def test_the_significance_is_that_of_the_exact_test(module_page, wins, count):
    expected = binomtest(wins, count).pvalue if count else 1
    assert run(module_page, "binomial.twoSided(a[0], a[1])", wins, count) == pytest.approx(expected, rel=1e-6)
