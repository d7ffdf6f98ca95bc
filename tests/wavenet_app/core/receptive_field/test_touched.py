"""Which inputs an output depends on: cases worked out by hand, and nets of every kind tried one input at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from segmentation.config import SegmentationModelConfig
from segmentation.network.context import ContextModule
from segmentation.network.deeplab import build_model
from wavenet_app.core.dilated import DilatedConv, ResidualBlock, dilation_cycle, receptive_field
from wavenet_app.core.receptive_field.effective import effective_field
from wavenet_app.core.receptive_field.touched import global_layers, reach, structural_twin, touched_map


def stack(dilations, *, kernel_size, ndim, causal):
    return nn.Sequential(
        *(
            DilatedConv(2, 2, kernel_size=kernel_size, dilation=dilation, ndim=ndim, causal=causal)
            for dilation in dilations
        )
    )


def centre_touched(net, channels, space):
    twin = structural_twin(net)
    middle = tuple(size // 2 for size in space)
    return touched_map(lambda inputs: twin(inputs)[(..., *middle)], channels, space), middle


def test_two_taps_and_ten_doublings_see_1024_samples_without_a_hole():
    twin = structural_twin(stack(dilation_cycle(10), kernel_size=2, ndim=1, causal=True))
    touched = touched_map(lambda inputs: twin(inputs)[..., -1], 2, (2_000,))
    assert touched.sum() == 1_024
    assert reach(touched, (1_999,)) == ((1_023, 0),)


def test_the_context_module_sees_67_by_67_though_it_begins_as_the_identity():
    net = ContextModule(3)
    touched, middle = centre_touched(net, 3, (81, 75))
    assert touched.sum() == 67 * 67
    assert reach(touched, middle) == ((33, 33), (33, 33))
    # untrained, it hands each score on: the gradient stays at home
    energy = effective_field(
        lambda inputs: net(inputs)[..., 40, 37], torch.rand(2, 3, 81, 75), torch.Generator().manual_seed(0)
    )
    assert np.argwhere(energy).tolist() == [[40, 37]]


def test_three_layers_of_spacing_two_touch_49_of_169_cells():
    touched, middle = centre_touched(stack([2, 2, 2], kernel_size=3, ndim=2, causal=False), 2, (21, 21))
    assert reach(touched, middle) == ((6, 6), (6, 6))
    assert touched.sum() == 49
    box = touched[4:17, 4:17]
    assert box.size == 169
    assert np.array_equal(np.argwhere(box) % 2, np.zeros((49, 2)))


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=5),
    st.integers(2, 4),
    st.booleans(),
)
def test_a_stack_touches_the_sums_of_its_taps(dilations, kernel_size, causal):
    size = 2 * receptive_field(kernel_size, dilations) + 1
    twin = structural_twin(stack(dilations, kernel_size=kernel_size, ndim=1, causal=causal))
    place = size - 1 if causal else size // 2
    touched = touched_map(lambda inputs: twin(inputs)[..., place], 2, (size,))
    expected = {place}
    for dilation in dilations:
        span = (kernel_size - 1) * dilation
        first = -span if causal else -(span // 2)
        expected = {at + first + tap * dilation for at in expected for tap in range(kernel_size)}
    assert set(np.flatnonzero(touched)) == expected
    assert max(expected) - min(expected) + 1 == receptive_field(kernel_size, dilations)


@pytest.mark.parametrize(
    "net",
    [
        nn.Sequential(nn.Conv2d(2, 3, 3, 2, 1), nn.BatchNorm2d(3), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)),
        nn.Sequential(nn.Conv2d(2, 4, 5, padding=4, dilation=2, groups=2), nn.Hardswish(), nn.AvgPool2d(2)),
        nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.Upsample(scale_factor=2, mode="bilinear"), nn.Sigmoid()),
    ],
    ids=["strided", "grouped", "enlarged"],
)
def test_what_is_touched_is_what_a_change_of_one_input_reaches(net):
    # the reference: the net's own output, each input changed in turn, over many inputs and weights
    net = net.eval()
    space = (11, 13)
    outputs = net(torch.zeros(1, 2, *space)).shape[2:]
    place = tuple(size // 2 for size in outputs)
    twin = structural_twin(net)
    touched = touched_map(lambda inputs: twin(inputs)[(..., *place)], 2, space)
    reached = np.zeros(space, dtype=bool)
    with torch.no_grad():
        for _ in range(6):
            for parameter in net.parameters():
                parameter.normal_()
            image = torch.randn(1, 2, *space)
            for index in np.ndindex(space):
                changed = image.clone()
                changed[(..., *index)] += 10
                difference = net(changed)[(..., *place)] - net(image)[(..., *place)]
                reached[index] |= bool(difference.abs().max() > 1e-6)
    assert np.array_equal(touched, reached)


@pytest.mark.parametrize("ndim", [1, 2])
def test_a_hundred_gated_blocks_lose_no_path(ndim):
    class Stack(nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = nn.ModuleList(
                ResidualBlock(2, 2, kernel_size=3, ndim=ndim, causal=False, norm=nn.Identity) for _ in range(100)
            )

        def forward(self, hidden):
            for block in self.blocks:
                hidden, _ = block(hidden)
            return hidden

    space = (211,) if ndim == 1 else (203, 3)
    touched, middle = centre_touched(Stack(), 2, space)
    assert reach(touched, middle)[0] == (100, 100)


def test_the_net_itself_is_left_as_it_was():
    net = build_model(SegmentationModelConfig(backbone="mobilenet_v3_large", num_classes=3)).train()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    structural_twin(net)
    assert net.training
    assert all(parameter.requires_grad for parameter in net.parameters())
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    assert global_layers(net) == ["AdaptiveAvgPool2d"]


def test_the_gradient_of_random_nets_falls_on_touched_inputs_alone():
    generator = torch.Generator().manual_seed(1)
    net = stack([2, 4, 2], kernel_size=3, ndim=2, causal=False)
    touched, middle = centre_touched(net, 2, (31, 31))
    energy = effective_field(
        lambda inputs: net(inputs)[(..., *middle)], torch.randn(3, 2, 31, 31, generator=generator), generator
    )
    assert np.array_equal(energy > 0, touched)
