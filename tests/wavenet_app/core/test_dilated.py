"""The dilated block: what its outputs depend on, and what they must not."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from wavenet_app.core.dilated import DilatedConv, ResidualBlock, dilation_cycle, receptive_field

dilation_lists = st.lists(st.integers(1, 5), min_size=1, max_size=4)


def reached(stack: list[ResidualBlock], shape: tuple[int, ...], centre: tuple[int, ...]) -> Tensor:
    """Returns where the gradient of the stack's output at `centre` is not zero, the shape of one channel."""
    inputs = torch.rand(1, 2, *shape, dtype=torch.float64).mul(0.01).requires_grad_()
    hidden = inputs
    for block in stack:
        hidden, _ = block(hidden)
    hidden[(0, slice(None), *centre)].sum().backward()
    assert inputs.grad is not None
    return inputs.grad[0].abs().sum(0) > 0


def extent(touched: Tensor, axis: int) -> tuple[int, int]:
    """Returns the first and last touched index along an axis."""
    places = touched.nonzero()[:, axis]
    return int(places.min()), int(places.max())


@given(dilation_lists, st.sampled_from([2, 3]), st.sampled_from([1, 2]), st.sampled_from(["gated", "relu"]))
@settings(deadline=None, max_examples=25)
def test_gradient_reaches_exactly_the_receptive_field_of_causal_stacks(dilations, kernel_size, ndim, activation):
    field = receptive_field(kernel_size, dilations)
    stack = _stack(dilations, kernel_size, ndim, activation, causal=True)
    last = field + 1
    touched = reached(stack, (last + 3,) * ndim, (last,) * ndim)
    for axis in range(ndim):
        assert extent(touched, axis) == (last - field + 1, last)


@given(dilation_lists, st.sampled_from([1, 2]))
@settings(deadline=None, max_examples=25)
def test_gradient_reaches_exactly_the_receptive_field_of_same_stacks(dilations, ndim):
    field = receptive_field(3, dilations)
    stack = _stack(dilations, 3, ndim, "gated", causal=False)
    size = field + 4
    centre = size // 2
    touched = reached(stack, (size,) * ndim, (centre,) * ndim)
    for axis in range(ndim):
        assert extent(touched, axis) == (centre - field // 2, centre + field // 2)


@given(dilation_lists, st.sampled_from([2, 3]), st.integers(1, 29))
@settings(deadline=None, max_examples=25)
def test_causal_outputs_never_depend_on_the_future(dilations, kernel_size, cut):
    stack = _stack(dilations, kernel_size, 1, "gated", causal=True)
    inputs = torch.randn(2, 2, 30, dtype=torch.float64)
    changed = inputs.clone()
    changed[:, :, cut:] += 1
    before, after = inputs, changed
    for block in stack:
        before, after = block(before)[0], block(after)[0]
    assert torch.equal(before[:, :, :cut], after[:, :, :cut])
    assert not torch.equal(before[:, :, cut:], after[:, :, cut:])


@pytest.mark.parametrize("kernel_size", [1, 2, 3])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("ndim", [1, 2])
def test_convolution_keeps_the_size(kernel_size, causal, ndim):
    convolution = DilatedConv(3, 5, kernel_size=kernel_size, dilation=3, ndim=ndim, causal=causal)
    space = (11, 7)[:ndim]
    assert convolution(torch.zeros(2, 3, *space)).shape == (2, 5, *space)


def test_causal_convolution_is_torchs_own_after_padding_in_front():
    ours = DilatedConv(3, 4, kernel_size=3, dilation=5)
    theirs = nn.Conv1d(3, 4, 3, dilation=5, padding=10)
    theirs.load_state_dict(ours.state_dict())
    inputs = torch.randn(2, 3, 40)
    torch.testing.assert_close(ours(inputs), theirs(inputs)[..., :40])


@given(
    st.sampled_from([1, 2]),
    st.sampled_from([1, 3, 5]),
    st.integers(1, 9),
    st.sampled_from([1, 2, 4]),
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
)
@settings(deadline=None, max_examples=60)
def test_leaving_out_taps_beyond_the_input_changes_neither_output_nor_gradient(ndim, taps, dilation, groups, space):
    convolution = DilatedConv(
        4, 8, kernel_size=taps, dilation=dilation, ndim=ndim, causal=False, groups=groups
    ).double()
    inputs = torch.randn(2, 4, *space[:ndim], dtype=torch.float64, requires_grad=True)
    found, expected = convolution(inputs), convolution.forward_by_padding(inputs)
    torch.testing.assert_close(found, expected)
    sources = [inputs, convolution.weight, convolution.bias]
    probe = torch.randn_like(found)
    for ours, theirs in zip(
        torch.autograd.grad(found, sources, probe), torch.autograd.grad(expected, sources, probe), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_the_end_gets_one_more_where_same_padding_is_odd():
    convolution = DilatedConv(3, 4, kernel_size=2, dilation=3, causal=False)
    inputs = torch.randn(2, 3, 10)
    padded = nn.functional.pad(inputs, (1, 2))
    expected = nn.functional.conv1d(padded, convolution.weight, convolution.bias, dilation=3)
    torch.testing.assert_close(convolution(inputs), expected)


def test_weights_are_drawn_by_the_inputs_of_one_output_and_the_bias_is_zero():
    convolution = DilatedConv(32, 64, kernel_size=3, ndim=2, groups=2)
    assert convolution.weight.std().item() == pytest.approx((16 * 9) ** -0.5, rel=0.05)
    assert not convolution.bias.any()


def test_groups_are_torchs_own():
    ours = DilatedConv(6, 6, kernel_size=5, dilation=2, ndim=2, causal=False, groups=6)
    theirs = nn.Conv2d(6, 6, 5, dilation=2, padding=4, groups=6)
    theirs.load_state_dict(ours.state_dict())
    inputs = torch.randn(2, 6, 13, 9)
    torch.testing.assert_close(ours(inputs), theirs(inputs))


def test_three_dimensions_are_refused():
    with pytest.raises(ValueError, match="ndim"):
        DilatedConv(1, 1, kernel_size=2, ndim=3)


def test_conditions_are_added_inside_the_gate():
    block = ResidualBlock(2, 3, skip_channels=4, global_channels=5, local_channels=6)
    inputs, speaker, mel = torch.randn(2, 2, 9), torch.randn(2, 5), torch.randn(2, 6, 9)
    with torch.no_grad():
        hidden = block.dilated(inputs) + block.global_projection(speaker[:, :, None]) + block.local_projection(mel)
        activated = torch.tanh(hidden[:, :3]) * torch.sigmoid(hidden[:, 3:])
        outputs, skip = block(inputs, speaker, mel)
        torch.testing.assert_close(outputs, inputs + block.residual(activated))
        torch.testing.assert_close(skip, block.skip(activated))


def test_the_projections_onto_the_streams_have_a_bias_and_those_of_conditions_none():
    block = ResidualBlock(2, 3, skip_channels=4, global_channels=5, local_channels=6)
    assert [name for name, _ in block.named_parameters() if name.endswith("bias")] == [
        "dilated.bias",
        "residual.bias",
        "skip.bias",
    ]


@pytest.mark.parametrize(("given_", "message"), [({}, "needs a global"), ({"local_condition": 1}, "without a local")])
def test_a_condition_that_does_not_fit_is_refused(given_, message):
    block = ResidualBlock(2, 3, global_channels=5 if not given_ else 0)
    arguments = {name: torch.zeros(1, 6, 9) for name in given_}
    with pytest.raises(ValueError, match=message):
        block(torch.zeros(1, 2, 9), **arguments)


def test_norm_stands_before_the_activation_and_takes_over_the_bias():
    block = ResidualBlock(2, 3, ndim=2, kernel_size=3, causal=False, activation="relu", norm=nn.BatchNorm2d)
    assert block.dilated.bias is None
    outputs, skip = block(torch.randn(2, 2, 8, 8))
    assert outputs.shape == (2, 2, 8, 8)
    assert skip is None


def test_last_block_passes_its_input_on():
    inputs = torch.randn(1, 2, 5)
    outputs, _ = ResidualBlock(2, 3, skip_channels=1, projects_residual=False)(inputs)
    assert outputs is inputs


def test_cycles():
    assert dilation_cycle(3, repeats=2, base=3) == (1, 3, 9, 1, 3, 9)
    assert receptive_field(2, dilation_cycle(10, repeats=3)) == 3070


def _stack(dilations, kernel_size, ndim, activation, *, causal) -> list[ResidualBlock]:
    generator = torch.Generator().manual_seed(sum(dilations) + kernel_size)
    stack = [
        ResidualBlock(
            2, 4, kernel_size=kernel_size, dilation=dilation, ndim=ndim, causal=causal, activation=activation
        ).double()
        for dilation in dilations
    ]
    for block in stack:
        for parameter in block.parameters():
            # no weight near zero, no unit switched off and no gate saturated: every tap must show in the gradient
            parameter.data.uniform_(0.05, 0.15, generator=generator)
    return stack
