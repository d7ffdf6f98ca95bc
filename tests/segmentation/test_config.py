"""Settings of DeepLab: rates follow the stride, and values that do not fit are named."""

import pytest

from segmentation.config import PRESETS, SegmentationModelConfig, preset
from wavenet_app.core.errors import UserError
from wavenet_app.core.settings import override, parse_assignments


def test_rates_follow_the_output_stride_unless_given():
    assert SegmentationModelConfig(output_stride=16).pyramid_rates == (6, 12, 18)
    assert SegmentationModelConfig(output_stride=8).pyramid_rates == (12, 24, 36)
    assert SegmentationModelConfig(output_stride=4).pyramid_rates == (24, 48, 72)
    assert SegmentationModelConfig(output_stride=8, atrous_rates=(3, 5)).pyramid_rates == (3, 5)


def test_every_preset_has_the_backbone_of_its_name():
    assert {preset(name).model.backbone for name in PRESETS} == {
        "mobilenet_v3_large",
        "dilated",
        "resnet50",
        "resnet101",
    }


def test_unknown_preset_lists_the_known():
    with pytest.raises(UserError, match=r"'vgg'.*mobilenet, dilated, resnet50, resnet101"):
        preset("vgg")


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("model.output_stride=32", "model.output_stride = 32"),
        ("model.output_stride=2", "mobilenet_v3_large has the output strides 4, 8 and 16, not 2"),
        ("model.atrous_rates=[0, 6]", "each rate must be at least 1"),
        ("model.num_classes=256", "model.num_classes = 256"),
        ("model.backbone=vgg", "model.backbone = 'vgg'"),
        ("model.strid=8", "no setting called model.strid; choose one of"),
        ("training.scale_range=[2, 1]", "smaller first"),
    ],
)
def test_what_does_not_fit_is_named(assignment, message):
    with pytest.raises(UserError, match=message):
        override(preset("mobilenet"), parse_assignments([assignment]))


def test_an_override_keeps_the_rest():
    changed = override(preset("resnet50"), parse_assignments(["model.output_stride=8", "training.batch_size=2"]))
    assert (changed.model.backbone, changed.model.output_stride, changed.training.batch_size) == ("resnet50", 8, 2)
