"""References for DeepLab: the models of torchvision, and DeepLabV3Plus-Pytorch built from torch layers."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision import models as torchvision_backbones
from torchvision.models import segmentation as torchvision_models

from segmentation.network.deeplab import DeepLab

TORCHVISIONS = {
    "mobilenet_v3_large": torchvision_models.deeplabv3_mobilenet_v3_large,
    "resnet50": torchvision_models.deeplabv3_resnet50,
    "resnet101": torchvision_models.deeplabv3_resnet101,
}


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


def torchvisions(backbone: str, *, num_classes: int = 21) -> nn.Module:
    build = TORCHVISIONS[backbone]
    model = build(weights=None, weights_backbone=None, num_classes=num_classes, aux_loss=True)
    return with_random_statistics(model).eval()


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

    def __init__(self, num_classes: int, rates: tuple[int, ...], *, plus: bool, separable: bool) -> None:
        super().__init__()
        aspp = ReferenceASPP(2048, rates, separable=separable)
        self.plus = plus
        if plus:
            self.project = nn.Sequential(nn.Conv2d(256, 48, 1, bias=False), nn.BatchNorm2d(48), nn.ReLU())
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


class ReferenceDeepLab(nn.Module):
    """A model with the state dict of DeepLabV3Plus-Pytorch."""

    def __init__(self, num_classes: int, stride: int, *, plus: bool, separable: bool) -> None:
        super().__init__()
        net = torchvision_backbones.resnet50(replace_stride_with_dilation=[False, stride == 8, True])
        self.backbone = nn.ModuleDict(
            {name: module for name, module in net.named_children() if name not in ("avgpool", "fc")}
        )
        rates = {8: (12, 24, 36), 16: (6, 12, 18)}[stride]
        self.classifier = ReferenceHead(num_classes, rates, plus=plus, separable=separable)

    def forward(self, images: Tensor) -> Tensor:
        features = {}
        hidden = images
        for name, stage in self.backbone.items():
            features[name] = hidden = stage(hidden)
        return enlarged(self.classifier(features["layer1"], features["layer4"]), images)


def spatial(inputs: int, outputs: int, rate: int, *, separable: bool) -> nn.Module:
    if separable:
        return ReferenceSeparable(inputs, outputs, rate)
    return nn.Conv2d(inputs, outputs, 3, padding=rate, dilation=rate, bias=False)


def enlarged(maps: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(maps, size=like.shape[2:], mode="bilinear", align_corners=False)


def reference(*, plus: bool = True, separable: bool = False, stride: int = 16, num_classes: int = 21) -> nn.Module:
    return with_random_statistics(ReferenceDeepLab(num_classes, stride, plus=plus, separable=separable)).eval()
