"""DeepLabV3 and DeepLabV3+: backbone, pyramid and head, from images of any size to a score per pixel and class."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segmentation.config import NormName, SegmentationModelConfig
from segmentation.network.aspp import ASPP, convolution, pointwise
from segmentation.network.backbone import build_backbone
from segmentation.network.context import ContextModule
from segmentation.network.norm import make_norm
from wavenet_app.core.dilated import DilatedConv, ResidualBlock

LOW_LEVEL_CHANNELS = 48
"""Width that the decoder reduces the low-level features to (Chen et al. 2018, section 4.1)."""


class HeadV3(nn.Sequential):
    """Pyramid, 3x3 and 1x1 (Chen et al. 2017, section 3.3). The names of the parameters are torchvision's.

    Args:
        config: the shape of the model.
        channels: width of the last features.
    """

    def __init__(self, config: SegmentationModelConfig, channels: int) -> None:
        width = config.aspp_channels
        norm = make_norm(_head_norm(config))
        super().__init__(
            _pyramid(config, channels),
            convolution(width, width, separable=config.separable),
            norm(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, config.num_classes, 1),
        )

    def forward(self, features: dict[str, Tensor]) -> Tensor:
        """Returns scores (batch, num_classes, height, width) at the output stride."""
        return super().forward(features["out"])


class HeadV3Plus(nn.Module):
    """Pyramid, enlarged onto low-level features, then 3x3 and 1x1 (Chen et al. 2018, section 3.1).

    The names of the parameters are those of the most used implementation, DeepLabV3Plus-Pytorch, which like this class
    has one 3x3 where the paper has two.

    Args:
        config: the shape of the model.
        channels: width of the last features.
        low_level_channels: width of the low-level features.
    """

    def __init__(self, config: SegmentationModelConfig, channels: int, low_level_channels: int) -> None:
        super().__init__()
        width = config.aspp_channels
        norm = make_norm(_head_norm(config))
        self.project = pointwise(low_level_channels, LOW_LEVEL_CHANNELS, norm)
        self.aspp = _pyramid(config, channels)
        self.classifier = nn.Sequential(
            convolution(LOW_LEVEL_CHANNELS + width, width, separable=config.separable),
            norm(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, config.num_classes, 1),
        )

    def forward(self, features: dict[str, Tensor]) -> Tensor:
        """Returns scores (batch, num_classes, height, width) at the stride of the low-level features."""
        low_level = self.project(features["low_level"])
        enlarged = _resized(self.aspp(features["out"]), low_level.shape[2:])
        return self.classifier(torch.cat([low_level, enlarged], dim=1))


class AuxiliaryHead(nn.Sequential):
    """3x3 onto a quarter of the width, and 1x1: a loss that reaches the middle of the backbone on a short way.

    Args:
        config: the shape of the model.
        channels: width of the features.
    """

    def __init__(self, config: SegmentationModelConfig, channels: int) -> None:
        width = channels // 4
        super().__init__(
            convolution(channels, width, separable=False),
            make_norm(_head_norm(config))(width),
            nn.ReLU(inplace=True),
            nn.Dropout(0.1),
            nn.Conv2d(width, config.num_classes, 1),
        )


class DeepLab(nn.Module):
    """DeepLabV3 or DeepLabV3+, as the config says; `build_model` makes one.

    Args:
        config: the shape of the model.
    """

    def __init__(self, config: SegmentationModelConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = build_backbone(config.backbone, config.output_stride, config.norm)
        channels = self.backbone.channels
        self.classifier: nn.Module = (
            HeadV3(config, channels["out"])
            if config.architecture == "deeplab_v3"
            else HeadV3Plus(config, channels["out"], channels["low_level"])
        )
        self.context = ContextModule(config.num_classes) if config.context else None
        self.aux_classifier = AuxiliaryHead(config, channels["middle"]) if config.auxiliary_head else None

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Returns the scores of every pixel, before the softmax.

        The scores of ceil(height / stride) by ceil(width / stride) features are enlarged to the size of the images,
        as torchvision and DeepLabV3Plus-Pytorch do, so that their files give their numbers at every size.

        Args:
            images: (batch, 3, height, width), normalised, of any height and width from 1 on.

        Returns:
            "out": (batch, num_classes, height, width), and in training mode, of a model with an auxiliary head, "aux"
            of the same shape.
        """
        features = self.backbone(images)
        scores = self.classifier(features)
        if self.context is not None:
            scores = self.context(scores)
        results = {"out": scores}
        if self.training and self.aux_classifier is not None:
            results["aux"] = self.aux_classifier(features["middle"])
        return {name: _resized(low, images.shape[2:]) for name, low in results.items()}

    def parameter_groups(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """Returns the parameters of the backbone and those of all heads, which learn at a greater rate."""
        backbone = list(self.backbone.parameters())
        in_backbone = {id(parameter) for parameter in backbone}
        return backbone, [parameter for parameter in self.parameters() if id(parameter) not in in_backbone]


def build_model(config: SegmentationModelConfig, generator: torch.Generator | None = None) -> DeepLab:
    """Returns a DeepLab with random weights in channels-last memory, which convolutions are quicker on.

    Args:
        config: the shape of the model.
        generator: source of the initial weights; None takes torch's default one.

    >>> model = build_model(SegmentationModelConfig(backbone="dilated", num_classes=5)).eval()
    >>> model(torch.zeros(1, 3, 50, 70))["out"].shape
    torch.Size([1, 5, 50, 70])
    """
    model = DeepLab(config)
    _initialise(model, generator)
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def class_layers(model: DeepLab) -> list[str]:
    """Returns the names of the layers whose shape depends on the number of classes."""
    last = "classifier.4" if model.config.architecture == "deeplab_v3" else "classifier.classifier.3"
    return [last, *(["aux_classifier.4"] if model.aux_classifier is not None else [])]


@torch.no_grad()
def _initialise(model: DeepLab, generator: torch.Generator | None) -> None:
    """Draws the weights for ReLU (He et al. 2015, section 2.2), gates for unit variance, and first scores near zero."""
    gated = {id(layer) for block in model.modules() if isinstance(block, ResidualBlock) for layer in block.modules()}
    for part in (model.backbone, model.classifier, model.aux_classifier):
        for layer in part.modules() if part is not None else ():
            if not isinstance(layer, nn.Conv2d | DilatedConv):
                continue
            if id(layer) in gated:
                fan_in = layer.weight[0].numel()
                nn.init.normal_(layer.weight, std=fan_in**-0.5, generator=generator)
            else:
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    for name in class_layers(model):
        nn.init.normal_(model.get_submodule(name).weight, std=0.01, generator=generator)  # type: ignore[arg-type]


def _pyramid(config: SegmentationModelConfig, channels: int) -> ASPP:
    return ASPP(
        channels,
        config.aspp_channels,
        config.pyramid_rates,
        norm=make_norm(_head_norm(config)),
        separable=config.separable,
        dropout=config.dropout,
    )


def _head_norm(config: SegmentationModelConfig) -> NormName:
    # A head's statistics are learned on the new data even where the backbone's are frozen.
    return "batch" if config.norm == "frozen" else config.norm


def _resized(maps: Tensor, size: torch.Size) -> Tensor:
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=False)
