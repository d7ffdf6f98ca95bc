"""References for DeepLab: the models of torchvision, and DeepLabV3Plus-Pytorch built from torch layers."""

from __future__ import annotations

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision import models as torchvision_backbones
from torchvision.models import segmentation as torchvision_models
from torchvision.models.mobilenetv3 import MobileNetV3, _mobilenet_v3_conf
from torchvision.models.segmentation.deeplabv3 import _deeplabv3_mobilenetv3, _deeplabv3_resnet

from segmentation.config import SegmentationModelConfig
from segmentation.network.deeplab import DeepLab

ODD_SIZES = ((33, 47), (129, 161), (338, 75), (61, 513), (1, 17))
"""Heights and widths that are no whole multiples of any output stride."""

TORCHVISIONS = {
    "mobilenet_v3_large": torchvision_models.deeplabv3_mobilenet_v3_large,
    "resnet50": torchvision_models.deeplabv3_resnet50,
    "resnet101": torchvision_models.deeplabv3_resnet101,
}

STRIDES = {"mobilenet_v3_large": 16, "resnet50": 8, "resnet101": 8}
"""Backbone -> output stride at which torchvision builds it."""


@torch.no_grad()
def with_random_statistics(model: nn.Module, seed: int = 0) -> nn.Module:
    """Gives all batch norms statistics and scales like after training."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
            module.weight.uniform_(0.2, 0.8, generator=generator)
            module.bias.normal_(0, 0.2, generator=generator)
    return model


def torchvisions(backbone: str, *, num_classes: int = 21, stride: int | None = None) -> nn.Module:
    """Returns torchvision's DeepLabV3 with random weights, at the stride it comes with or at another one."""
    if stride in (None, STRIDES[backbone]):
        build = TORCHVISIONS[backbone]
        model = build(weights=None, weights_backbone=None, num_classes=num_classes, aux_loss=True)
    elif backbone == "mobilenet_v3_large":
        settings, last = _mobilenet_v3_conf(backbone, dilated=True)
        for block in settings[6:]:  # what would stand at stride 16 and beyond
            block.dilation = 4 if block.dilation == 2 else 2
        model = _deeplabv3_mobilenetv3(MobileNetV3(settings, last), num_classes, aux=True)
    else:
        net = getattr(torchvision_backbones, backbone)(replace_stride_with_dilation=[False, stride == 8, True])
        model = _deeplabv3_resnet(net, num_classes, aux=True)
    return with_random_statistics(model).eval()


def in_torchvisions_shape(backbone: str, *, stride: int | None = None) -> SegmentationModelConfig:
    """Returns our settings of the model that `torchvisions` builds."""
    return SegmentationModelConfig(
        architecture="deeplab_v3",
        backbone=backbone,
        output_stride=stride or STRIDES[backbone],
        atrous_rates=(12, 24, 36),
        auxiliary_head=True,
    )


@torch.no_grad()
def both_heads(model: DeepLab, images: Tensor) -> dict[str, Tensor]:
    """Returns the scores of a model in evaluation mode, including those of its auxiliary head."""
    model.eval().training = True  # only for the model itself: its norms and dropouts stay in evaluation mode
    return model(images)


class ReferenceSeparable(nn.Module):
    """A separable 3x3 convolution with the parameter names of DeepLabV3Plus-Pytorch."""

    def __init__(self, inputs: int, outputs: int, rate: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, inputs, 3, padding=rate, dilation=rate, groups=inputs, bias=False),
            nn.Conv2d(inputs, outputs, 1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class ReferenceASPP(nn.Module):
    """The pyramid of DeepLabV3Plus-Pytorch in torch layers."""

    def __init__(self, inputs: int, rates: tuple[int, ...], *, separable: bool) -> None:
        super().__init__()
        branches = [nn.Sequential(nn.Conv2d(inputs, 256, 1, bias=False), nn.BatchNorm2d(256), nn.ReLU())]
        branches += [
            nn.Sequential(spatial(inputs, 256, rate, separable=separable), nn.BatchNorm2d(256), nn.ReLU())
            for rate in rates
        ]
        pool = nn.AdaptiveAvgPool2d(1)
        branches.append(nn.Sequential(pool, nn.Conv2d(inputs, 256, 1, bias=False), nn.BatchNorm2d(256), nn.ReLU()))
        self.convs = nn.ModuleList(branches)
        self.project = nn.Sequential(nn.Conv2d(1280, 256, 1, bias=False), nn.BatchNorm2d(256), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return self.project(torch.cat([enlarged(branch(x), x) for branch in self.convs], 1))


class ReferenceHead(nn.Module):
    """The V3 or V3+ head with the parameter names of DeepLabV3Plus-Pytorch."""

    def __init__(
        self, widths: tuple[int, int], num_classes: int, rates: tuple[int, ...], *, plus: bool, separable: bool
    ) -> None:
        super().__init__()
        low_level, out = widths
        aspp = ReferenceASPP(out, rates, separable=separable)
        self.plus = plus
        if plus:
            self.project = nn.Sequential(nn.Conv2d(low_level, 48, 1, bias=False), nn.BatchNorm2d(48), nn.ReLU())
            self.aspp = aspp
        last = [
            spatial(304 if plus else 256, 256, 1, separable=separable),
            nn.BatchNorm2d(256),
            nn.ReLU(),
            nn.Conv2d(256, num_classes, 1),
        ]
        self.classifier = nn.Sequential(*last) if plus else nn.Sequential(aspp, *last)

    def forward(self, low_level: Tensor, out: Tensor) -> Tensor:
        if not self.plus:
            return self.classifier(out)
        low_level = self.project(low_level)
        return self.classifier(torch.cat([low_level, enlarged(self.aspp(out), low_level)], 1))


class ReferenceInvertedResidual(nn.Module):
    """A block of MobileNetV2 that pads the input of its first 1x1, as DeepLabV3Plus-Pytorch does."""

    def __init__(self, inputs: int, outputs: int, *, stride: int, dilation: int, expansion: int) -> None:
        super().__init__()
        hidden = expansion * inputs
        expand = [without_padding(inputs, hidden, 1)] if expansion > 1 else []
        depthwise = without_padding(hidden, hidden, 3, stride=stride, dilation=dilation, groups=hidden)
        self.conv = nn.Sequential(
            *expand, depthwise, nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        )
        self.padding = [dilation] * 4
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        made = self.conv(F.pad(x, self.padding))
        return x + made if self.adds else made


def reference_mobilenet(stride: int) -> nn.ModuleDict:
    """Returns MobileNetV2 under the names of DeepLabV3Plus-Pytorch."""
    widths = [16] + [24] * 2 + [32] * 3 + [64] * 4 + [96] * 3 + [160] * 3 + [320]
    halving = {8: (1, 3), 16: (1, 3, 6)}[stride]
    # the first block of a stage that no longer halves keeps the dilation before it
    dilations = {8: [1] * 7 + [2] * 7 + [4] * 3, 16: [1] * 14 + [2] * 3}[stride]
    layers: list[nn.Module] = [without_padding(3, 32, 3, stride=2)]
    before = 32
    for index, width in enumerate(widths):
        layers.append(
            ReferenceInvertedResidual(
                before,
                width,
                stride=2 if index in halving else 1,
                dilation=dilations[index],
                expansion=6 if index else 1,
            )
        )
        before = width
    named = [(str(number), layer) for number, layer in enumerate(layers)]
    return nn.ModuleDict(
        {
            "low_level_features": nn.Sequential(OrderedDict(named[:4])),
            "high_level_features": nn.Sequential(OrderedDict(named[4:])),
        }
    )


def without_padding(inputs: int, outputs: int, kernel: int, **options: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, bias=False, **options), nn.BatchNorm2d(outputs), nn.ReLU6())


def reference_resnet(backbone: str, stride: int) -> nn.ModuleDict:
    """Returns torchvision's ResNet, which DeepLabV3Plus-Pytorch has a copy of."""
    net = getattr(torchvision_backbones, backbone)(replace_stride_with_dilation=[False, stride == 8, True])
    return nn.ModuleDict({name: module for name, module in net.named_children() if name not in ("avgpool", "fc")})


class ReferenceDeepLab(nn.Module):
    """A model whose state dict looks as one of DeepLabV3Plus-Pytorch.

    The features stand at about (size / stride), the scores are enlarged to the size of the images at once, corners not
    aligned; V3+ takes its low-level features at stride 4.
    """

    def __init__(self, backbone: str, num_classes: int, stride: int, *, plus: bool, separable: bool) -> None:
        super().__init__()
        is_mobilenet = backbone == "mobilenet_v2"
        self.backbone = reference_mobilenet(stride) if is_mobilenet else reference_resnet(backbone, stride)
        self.taps = ("low_level_features", "high_level_features") if is_mobilenet else ("layer1", "layer4")
        widths = (24, 320) if is_mobilenet else (256, 2048)
        rates = {8: (12, 24, 36), 16: (6, 12, 18)}[stride]
        self.classifier = ReferenceHead(widths, num_classes, rates, plus=plus, separable=separable)

    def forward(self, images: Tensor) -> Tensor:
        features = {}
        hidden = images
        for name, stage in self.backbone.items():
            features[name] = hidden = stage(hidden)
        return enlarged(self.classifier(*(features[tap] for tap in self.taps)), images)


def spatial(inputs: int, outputs: int, rate: int, *, separable: bool) -> nn.Module:
    if separable:
        return ReferenceSeparable(inputs, outputs, rate)
    return nn.Conv2d(inputs, outputs, 3, padding=rate, dilation=rate, bias=False)


def enlarged(maps: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(maps, size=like.shape[2:], mode="bilinear", align_corners=False)


def reference(
    backbone: str = "resnet50",
    *,
    plus: bool = True,
    separable: bool = False,
    stride: int = 16,
    num_classes: int = 21,
) -> nn.Module:
    model = ReferenceDeepLab(backbone, num_classes, stride, plus=plus, separable=separable)
    return with_random_statistics(model).eval()
