"""Backbones: images to features at a chosen output stride, the last stages dilated instead of down-sampled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import mobilenet_v3_large, resnet50, resnet101

from segmentation.config import BackboneName, NormName
from segmentation.network.mobilenet_v2 import early_padded_features
from segmentation.network.norm import MakeNorm, make_norm
from wavenet_app.core.dilated import DilatedConv, ResidualBlock
from wavenet_app.core.dilation import dilation_cycle


class Backbone(nn.ModuleDict):
    """A chain of stages, some of whose outputs are handed on.

    Args:
        stages: name -> stage, in the order they run in; the names are those of torchvision's state dicts.
        taps: stage -> "low_level" (stride 4 or less, for the decoder), "middle" (for the auxiliary head) or "out".
        channels: tap -> its width.
    """

    def __init__(self, stages: Mapping[str, nn.Module], taps: Mapping[str, str], channels: Mapping[str, int]) -> None:
        super().__init__(stages)
        self.taps = dict(taps)
        self.channels = dict(channels)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Returns tap -> (batch, channels, height, width) for images (batch, 3, height, width)."""
        features = {}
        hidden = images
        for name, stage in self.items():
            hidden = stage(hidden)
            if name in self.taps:
                features[self.taps[name]] = hidden
        return features


def build_backbone(name: BackboneName, output_stride: int, norm: NormName) -> Backbone:
    """Returns a backbone with random weights.

    Args:
        name: "dilated", "resnet50", "resnet101", "mobilenet_v2" or "mobilenet_v3_large".
        output_stride: pixels of the image to one of the last features: 4, 8 or 16; for "dilated" also 1 or 2.
        norm: name of the normalisation.
    """
    if name == "dilated":
        return _gated(output_stride, make_norm(norm))
    if name == "mobilenet_v3_large":
        return _mobilenet_v3(output_stride, make_norm(norm, eps=1e-3, momentum=0.01))  # as torchvision trained it
    if name == "mobilenet_v2":
        return _mobilenet_v2(output_stride, make_norm(norm))
    return _resnet(name, output_stride, make_norm(norm))


def dilate(blocks: Iterable[nn.Module], *, first: int, rest: int) -> None:
    """Takes the stride out of a stage's blocks, and dilates their convolutions instead.

    Parameters and their names stay, so state dicts of the strided stage still load.
    Source: Chen et al. 2017, "Rethinking Atrous Convolution", section 3.1.

    Args:
        blocks: the blocks of the stage, in order.
        first: dilation of the first block's convolutions.
        rest: dilation of the other blocks' convolutions.
    """
    for index, block in enumerate(blocks):
        for parent in list(block.modules()):
            for name, child in list(parent.named_children()):
                if not isinstance(child, nn.Conv2d):
                    continue
                if child.kernel_size == (1, 1):
                    child.stride = (1, 1)
                else:
                    setattr(parent, name, _dilated(child, rest if index else first))


def _dilated(convolution: nn.Conv2d, dilation: int) -> DilatedConv:
    made = DilatedConv(
        convolution.in_channels,
        convolution.out_channels,
        kernel_size=convolution.kernel_size[0],
        dilation=dilation,
        ndim=2,
        causal=False,
        bias=convolution.bias is not None,
        groups=convolution.groups,
    )
    made.load_state_dict(convolution.state_dict())
    return made


def _resnet(name: BackboneName, output_stride: int, norm: MakeNorm) -> Backbone:
    net = (resnet50 if name == "resnet50" else resnet101)(norm_layer=norm)
    # As in torchvision, a stage's first block keeps the dilation of the stage before it.
    dilation = 1
    for stage, stride in ((net.layer2, 8), (net.layer3, 16), (net.layer4, 32)):
        if stride > output_stride:
            dilate(stage, first=dilation, rest=2 * dilation)
            dilation *= 2
    stages = {stage: module for stage, module in net.named_children() if stage not in ("avgpool", "fc")}
    taps = {"layer1": "low_level", "layer3": "middle", "layer4": "out"}
    return Backbone(stages, taps, {"low_level": 256, "middle": 1024, "out": 2048})


def _mobilenet_v3(output_stride: int, norm: MakeNorm) -> Backbone:
    features = mobilenet_v3_large(norm_layer=norm).features
    # The stages that start with blocks 4, 7 and 13 would run at strides 8, 16 and 32 (Howard et al. 2019, table 1).
    # As in torchvision, a stage's first block is dilated like the others.
    dilation = 1
    for stage, stride in ((features[4:7], 8), (features[7:13], 16), (features[13:16], 32)):
        if stride > output_stride:
            dilation *= 2
            dilate(stage, first=dilation, rest=dilation)
    taps = {"3": "low_level", "4": "middle", "16": "out"}
    return Backbone(dict(features.named_children()), taps, {"low_level": 24, "middle": 40, "out": 960})


def _mobilenet_v2(output_stride: int, norm: MakeNorm) -> Backbone:
    features = early_padded_features(output_stride, norm)
    taps = {"3": "low_level", "6": "middle", "17": "out"}
    return Backbone(dict(features.named_children()), taps, {"low_level": 24, "middle": 32, "out": 320})


class GatedStage(nn.Module):
    """A convolution onto a new width, then WaveNet's stack in two dimensions: gated blocks and the sum of their skips.

    Args:
        in_channels: channels of the input.
        channels: width of the residual stream and of each half of the gates.
        out_channels: width of the skip sum.
        stride: of the first convolution.
        dilations: spacing of the blocks' taps, a block each.
        norm: makes the normalisation of a number of channels.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        out_channels: int,
        *,
        stride: int,
        dilations: tuple[int, ...],
        norm: MakeNorm,
    ) -> None:
        super().__init__()
        self.entry = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)
        self.entry_norm = norm(channels)
        self.blocks = nn.ModuleList(
            ResidualBlock(
                channels,
                channels,
                skip_channels=out_channels,
                kernel_size=3,
                dilation=dilation,
                ndim=2,
                causal=False,
                norm=norm,
                projects_residual=layer < len(dilations) - 1,
            )
            for layer, dilation in enumerate(dilations)
        )
        self.skip_norm = norm(out_channels)

    def forward(self, inputs: Tensor) -> Tensor:
        """Returns (batch, out_channels, height / stride, width / stride)."""
        hidden = F.relu(self.entry_norm(self.entry(inputs)))
        total: Tensor | float = 0.0
        for block in self.blocks:
            hidden, skip = block(hidden)
            total = total + skip
        return F.relu(self.skip_norm(total))


def _gated(output_stride: int, norm: MakeNorm) -> Backbone:
    strides, widened = {}, {}
    reached = 1
    for name, stride in (("stem", 2), ("fine", 4), ("middle", 8), ("coarse", 16)):
        after = min(stride, output_stride)
        # Without a halving, taps stand twice as far apart, so that the field in pixels stays the same.
        strides[name], widened[name] = after // reached, stride // after
        reached = after

    def stage(name: str, in_channels: int, channels: int, dilations: tuple[int, ...]) -> GatedStage:
        spacing = tuple(dilation * widened[name] for dilation in dilations)
        return GatedStage(in_channels, channels, 2 * channels, stride=strides[name], dilations=spacing, norm=norm)

    stages = {
        "stem": nn.Sequential(nn.Conv2d(3, 32, 3, stride=strides["stem"], padding=1, bias=False), norm(32), nn.ReLU()),
        "fine": stage("fine", 32, 32, (1, 2)),
        "middle": stage("middle", 64, 64, (1, 2, 4)),
        "coarse": stage("coarse", 128, 128, dilation_cycle(4, repeats=2)),
    }
    taps = {"fine": "low_level", "middle": "middle", "coarse": "out"}
    return Backbone(stages, taps, {"low_level": 64, "middle": 128, "out": 256})
