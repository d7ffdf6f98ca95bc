"""Atrous spatial pyramid pooling: one feature map seen at several dilations at once, and as a whole."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segmentation.network.norm import MakeNorm
from wavenet_app.core.dilated import DilatedConv


class SeparableConv(nn.Module):
    """A dilated convolution of each channel alone, and a 1x1 across them (Chen et al. 2018, section 3.1).

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        dilation: spacing of the 3x3 taps.
    """

    def __init__(self, in_channels: int, out_channels: int, *, dilation: int = 1) -> None:
        super().__init__()
        depthwise = DilatedConv(
            in_channels,
            in_channels,
            kernel_size=3,
            dilation=dilation,
            ndim=2,
            causal=False,
            bias=False,
            groups=in_channels,
        )
        self.body = nn.Sequential(depthwise, nn.Conv2d(in_channels, out_channels, 1, bias=False))

    def forward(self, inputs: Tensor) -> Tensor:
        """Returns (batch, out_channels, height, width)."""
        return self.body(inputs)


class ImagePooling(nn.Sequential):
    """The mean over the whole image, through a 1x1, spread over every place again.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        norm: makes the normalisation of a number of channels.
    """

    def __init__(self, in_channels: int, out_channels: int, norm: MakeNorm) -> None:
        super().__init__(nn.AdaptiveAvgPool2d(1), *pointwise(in_channels, out_channels, norm))

    def forward(self, inputs: Tensor) -> Tensor:
        """Returns (batch, out_channels, height, width), the same at every place."""
        pooled = super().forward(inputs)
        # not `expand`: its strides hide the memory layout, and all branches would be copied into the other one
        enlarged = F.interpolate(pooled, size=inputs.shape[2:], mode="bilinear", align_corners=False)
        if inputs.device.type == "cpu":
            return enlarged
        # the norm of a single pixel hides the layout too, in training
        last = inputs.is_contiguous(memory_format=torch.channels_last)
        return enlarged.contiguous(memory_format=torch.channels_last) if last else enlarged


class ASPP(nn.Module):
    """A 1x1, a dilated 3x3 for each rate and image pooling side by side, and a 1x1 over all of them.

    The names of the parameters are torchvision's.
    Source: Chen et al. 2017, "Rethinking Atrous Convolution", section 3.3.

    Args:
        in_channels: channels of the features.
        out_channels: width of each branch and of the output.
        atrous_rates: dilations, a branch each.
        norm: makes the normalisation of a number of channels.
        separable: whether the 3x3 are depthwise and pointwise.
        dropout: share of the output dropped in training.

    >>> from segmentation.network.norm import make_norm
    >>> ASPP(8, 4, (6, 12, 18), norm=make_norm("batch"))(torch.zeros(1, 8, 33, 20)).shape
    torch.Size([1, 4, 33, 20])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        atrous_rates: Sequence[int],
        *,
        norm: MakeNorm,
        separable: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            [
                pointwise(in_channels, out_channels, norm),
                *(
                    nn.Sequential(
                        convolution(in_channels, out_channels, dilation=rate, separable=separable),
                        norm(out_channels),
                        nn.ReLU(inplace=True),
                    )
                    for rate in atrous_rates
                ),
                ImagePooling(in_channels, out_channels, norm),
            ]
        )
        self.project = nn.Sequential(
            *pointwise(len(self.convs) * out_channels, out_channels, norm), nn.Dropout(dropout)
        )

    def forward(self, features: Tensor) -> Tensor:
        """Returns (batch, out_channels, height, width) for features (batch, in_channels, height, width)."""
        return self.project(torch.cat([branch(features) for branch in self.convs], dim=1))


def convolution(in_channels: int, out_channels: int, *, dilation: int = 1, separable: bool) -> nn.Module:
    """Returns a 3x3 convolution without bias that keeps the size of its input."""
    if separable:
        return SeparableConv(in_channels, out_channels, dilation=dilation)
    return DilatedConv(in_channels, out_channels, kernel_size=3, dilation=dilation, ndim=2, causal=False, bias=False)


def pointwise(in_channels: int, out_channels: int, norm: MakeNorm) -> nn.Sequential:
    """Returns a 1x1 convolution, its norm and a ReLU."""
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, bias=False), norm(out_channels), nn.ReLU(inplace=True))
