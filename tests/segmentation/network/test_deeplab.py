"""DeepLab: torchvision's function with our blocks, any size, a batch of one, every norm."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from reference_deeplab import ODD_SIZES, TORCHVISIONS, both_heads, in_torchvisions_shape, reference, torchvisions
from torch import nn

from segmentation.checkpoints.layouts import recognise
from segmentation.config import SegmentationModelConfig
from segmentation.network.backbone import build_backbone
from segmentation.network.context import CONTEXT_DILATIONS, ContextModule
from segmentation.network.deeplab import DeepLab, build_model, class_layers
from wavenet_app.core.dilated import DilatedConv, ResidualBlock
from wavenet_app.core.dilation import receptive_field


@pytest.mark.parametrize(
    "backbone", [pytest.param(name, marks=pytest.mark.slow) if name == "resnet101" else name for name in TORCHVISIONS]
)
@pytest.mark.parametrize("stride", [8, 16])
def test_logits_of_both_heads_are_torchvisions_at_every_size(backbone, stride):
    theirs = torchvisions(backbone, stride=stride)
    ours = build_model(in_torchvisions_shape(backbone, stride=stride))
    ours.load_state_dict(theirs.state_dict(), strict=True)
    for size in ((64, 96), *ODD_SIZES):
        images = torch.randn(1, 3, *size)
        with torch.no_grad():
            expected = theirs(images)
        found = both_heads(ours, images)
        for head in ("out", "aux"):
            assert_equal_scores(found[head], expected[head])


@pytest.mark.parametrize("backbone", ["mobilenet_v2", "resnet50", pytest.param("resnet101", marks=pytest.mark.slow)])
@pytest.mark.parametrize("architecture", ["deeplab_v3", "deeplab_v3plus"])
@pytest.mark.parametrize("stride", [8, 16])
def test_logits_are_deeplabv3plus_pytorchs_at_every_size(backbone, architecture, stride):
    theirs = reference(backbone, plus=architecture == "deeplab_v3plus", stride=stride)
    _, shape, weights = recognise(theirs.state_dict())
    ours = build_model(SegmentationModelConfig(**shape, output_stride=stride)).eval()
    ours.load_state_dict(weights, strict=True)
    # unlike ours, its MobileNetV2 takes no side below 3
    for size in ((64, 96), *(size for size in ODD_SIZES if min(size) > 2)):
        images = torch.randn(1, 3, *size)
        with torch.no_grad():
            assert_equal_scores(ours(images)["out"], theirs(images))


def assert_equal_scores(found: torch.Tensor, expected: torch.Tensor) -> None:
    largest = expected.abs().max()
    assert largest > 0.01
    assert (found - expected).abs().max() <= 1e-5 * largest


def test_gradients_are_torchvisions():
    theirs = torchvisions("mobilenet_v3_large").train()
    ours = build_model(in_torchvisions_shape("mobilenet_v3_large"))
    ours.load_state_dict(theirs.state_dict())
    for model in (theirs, ours):
        model.double().train()
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
    images = torch.randn(2, 3, 61, 75, dtype=torch.float64)
    for model in (theirs, ours):
        results = model(images)
        (results["out"].square().mean() + results["aux"].square().mean()).backward()
    gradients = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name].grad, msg=lambda text, name=name: f"{name}: {text}")


BACKBONES = ["dilated", "resnet50", "mobilenet_v2", "mobilenet_v3_large"]


@pytest.mark.parametrize(
    ("backbone", "output_stride"),
    [*itertools.product(BACKBONES, (4, 8, 16)), ("dilated", 2), ("dilated", 1)],
)
@pytest.mark.parametrize("size", [(64, 96), (65, 93)], ids=str)
def test_backbones_keep_their_stride_and_name_their_widths(backbone, output_stride, size):
    net = build_backbone(backbone, output_stride, "batch").eval()
    with torch.no_grad():
        features = net(torch.randn(1, 3, *size))
    assert set(features) == {"low_level", "middle", "out"}
    assert features["low_level"].shape[2:] == features_of(size, min(4, output_stride), backbone)
    assert features["out"].shape[2:] == features_of(size, output_stride, backbone)
    for tap, feature in features.items():
        assert feature.shape[1] == net.channels[tap]


def features_of(size: tuple[int, int], stride: int, backbone: str) -> tuple[int, ...]:
    if backbone == "mobilenet_v2":  # its first convolution, at stride 2, has no padding
        return tuple(math.ceil((side - 1) // 2 * 2 / stride) for side in size)
    return tuple(math.ceil(side / stride) for side in size)


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("architecture", ["deeplab_v3", "deeplab_v3plus"])
@pytest.mark.parametrize("separable", [False, True])
def test_every_dilated_convolution_is_the_shared_one(backbone, architecture, separable):
    config = SegmentationModelConfig(
        backbone=backbone, architecture=architecture, separable=separable, context=True, output_stride=8
    )
    model = DeepLab(config)
    dilations = set()
    for module in model.modules():
        if isinstance(module, DilatedConv):
            assert module.ndim == 2
            dilations.add(module.dilation)
        assert not isinstance(module, nn.Conv2d) or module.dilation == (1, 1)
    assert {2, 4, 12, 24, 36, *CONTEXT_DILATIONS} <= dilations


@pytest.mark.parametrize("size", [(1, 1), (17, 1), (2, 50), (48, 64)], ids=str)
@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("architecture", ["deeplab_v3", "deeplab_v3plus"])
def test_any_size_has_scores_of_its_size(size, backbone, architecture):
    model = small_model(architecture=architecture, backbone=backbone).eval()
    with torch.no_grad():
        scores = model(torch.randn(1, 3, *size))["out"]
    assert scores.shape == (1, 3, *size)
    assert scores.isfinite().all()


def test_the_default_model_runs_the_shared_block():
    blocks = [
        module for module in build_model(SegmentationModelConfig()).modules() if isinstance(module, ResidualBlock)
    ]
    assert len(blocks) == 13
    assert {block.dilated.dilation for block in blocks} == {1, 2, 4, 8}


@pytest.mark.parametrize("output_stride", [1, 2, 4, 8])
def test_at_a_smaller_stride_the_dilated_backbone_spreads_its_taps(output_stride):
    dilations = [
        [block.dilated.dilation for block in build_backbone("dilated", stride, "batch")["coarse"].blocks]
        for stride in (16, output_stride)
    ]
    assert [16 // output_stride * dilation for dilation in dilations[0]] == dilations[1]


RATES = {
    ("resnet50", 16): {"layer4": [1, 2, 2]},
    ("resnet50", 8): {"layer3": [1, *[2] * 5], "layer4": [2, 4, 4]},
    ("resnet50", 4): {"layer2": [1, *[2] * 3], "layer3": [2, *[4] * 5], "layer4": [4, 8, 8]},
    ("mobilenet_v3_large", 16): {"13": [2], "14": [2], "15": [2]},
    ("mobilenet_v3_large", 8): {**{str(block): [2] for block in range(7, 13)}, "13": [4], "14": [4], "15": [4]},
    ("mobilenet_v2", 16): {"14": [1], "15": [2], "16": [2], "17": [2]},
    ("mobilenet_v2", 8): {"7": [1], **{str(b): [2] for b in range(8, 15)}, "15": [4], "16": [4], "17": [4]},
}
"""Backbone and output stride -> stage -> the dilations of its convolutions that are wider than one pixel."""


@pytest.mark.parametrize(("backbone", "output_stride"), RATES)
def test_each_halving_less_doubles_the_dilation_of_what_follows(backbone, output_stride):
    net = build_backbone(backbone, output_stride, "batch")
    found = {}
    for name, stage in net.items():
        rates = [m.dilation for m in stage.modules() if isinstance(m, DilatedConv) and m.kernel_size > 1]
        if rates:
            found[name] = rates
    assert found == RATES[backbone, output_stride]


@pytest.mark.parametrize("norm", ["batch", "frozen", "group", "synchronised"])
@pytest.mark.parametrize("backbone", ["dilated", "mobilenet_v2", "mobilenet_v3_large"])
@pytest.mark.parametrize("size", [(16, 16), (33, 40)], ids=str)
def test_a_batch_of_one_trains_with_every_norm(norm, backbone, size):
    model = small_model(norm=norm, backbone=backbone, auxiliary_head=True).train()
    results = model(torch.randn(1, 3, *size))
    assert set(results) == {"out", "aux"}
    sum(scores.square().mean() for scores in results.values()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_frozen_norms_of_the_backbone_do_not_move_and_the_heads_do():
    model = small_model(norm="frozen").train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.randn(2, 3, 32, 32))["out"].square().mean().backward()
    optimizer.step()
    after = model.state_dict()
    norms = [name for name in before if "bn" in name or "norm" in name or name.endswith("running_mean")]
    assert any(name.startswith("backbone") for name in norms)
    for name in norms:
        if name.startswith("backbone"):
            assert torch.equal(before[name], after[name]), name
    assert not torch.equal(
        before["classifier.aspp.project.1.running_mean"], after["classifier.aspp.project.1.running_mean"]
    )


def test_the_auxiliary_head_speaks_in_training_only():
    model = small_model(auxiliary_head=True)
    images = torch.randn(1, 3, 32, 32)
    assert set(model.eval()(images)) == {"out"}
    assert set(model.train()(images)) == {"out", "aux"}
    assert set(small_model().train()(images)) == {"out"}


def test_parameter_groups_hold_every_parameter_once():
    model = small_model(auxiliary_head=True, context=True)
    backbone, head = model.parameter_groups()
    assert {id(parameter) for parameter in backbone} == {id(parameter) for parameter in model.backbone.parameters()}
    assert sorted(map(id, backbone + head)) == sorted(map(id, model.parameters()))
    assert any(parameter is model.context.last.weight for parameter in head)


def test_equal_generators_draw_equal_weights():
    states = []
    for seed in (5, 5, 6):
        config = SegmentationModelConfig(backbone="dilated", aspp_channels=8, context=True, auxiliary_head=True)
        states.append(build_model(config, torch.Generator().manual_seed(seed)).state_dict())
    assert all(torch.equal(states[0][name], tensor) for name, tensor in states[1].items())
    assert not torch.equal(states[0]["backbone.stem.0.weight"], states[2]["backbone.stem.0.weight"])


def test_first_scores_are_near_zero_and_the_class_layers_are_named():
    model = small_model(auxiliary_head=True)
    assert class_layers(model) == ["classifier.classifier.3", "aux_classifier.4"]
    assert class_layers(small_model(architecture="deeplab_v3")) == ["classifier.4"]
    with torch.no_grad():
        for scores in both_heads(model, torch.randn(1, 3, 64, 64)).values():
            assert scores.abs().max() < 1


def test_context_begins_as_the_identity_and_sees_67_by_67():
    module = ContextModule(2).double()
    scores = torch.rand(1, 2, 80, 80, dtype=torch.float64)
    assert torch.equal(module(scores), scores)
    for parameter in module.parameters():
        nn.init.uniform_(parameter, 0.01, 0.1)
    scores.requires_grad_()
    module(scores)[0, :, 40, 40].sum().backward()
    touched = (scores.grad[0].sum(0) > 0).nonzero()
    field = receptive_field(3, CONTEXT_DILATIONS)
    assert field == 67
    assert touched.amin(0).tolist() == [40 - 33] * 2
    assert touched.amax(0).tolist() == [40 + 33] * 2
    assert len(touched) == field**2


def test_the_gated_backbone_learns_what_a_pixel_shows():
    """A few steps on halves of an image separate bright from dark."""
    torch.manual_seed(0)
    model = small_model(num_classes=2)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    masks = torch.zeros(2, 32, 32, dtype=torch.int64)
    masks[0, :, 16:] = 1
    masks[1, 16:] = 1
    images = masks[:, None].expand(-1, 3, -1, -1) * 2.0 - 1
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images)["out"], masks)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 < losses[0]


def small_model(**changes) -> DeepLab:
    """Returns a model of the gated backbone with three classes and a slim head."""
    return build_model(
        SegmentationModelConfig(**{"backbone": "dilated", "num_classes": 3, "aspp_channels": 16, **changes})
    )
