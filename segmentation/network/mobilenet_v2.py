"""MobileNetV2 as DeepLabV3Plus-Pytorch changed it: each block pads its input before the channels are expanded."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import mobilenet_v2

from segmentation.network.norm import MakeNorm
from wavenet_app.core.dilated import DilatedConv

SMALLEST_SIDE = 3
"""Pixels that the first convolution, which has no padding, needs along each side."""


class UnpaddedConv(DilatedConv):
    """A dilated convolution whose input is already padded."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Returns (batch, out_channels, height - 2 * dilation, width - 2 * dilation), for 3 taps along each axis."""
        return F.conv2d(inputs, self.weight, self.bias, dilation=self.dilation, groups=self.groups)


class EarlyPaddedBlock(nn.Module):
    """An inverted residual block whose padding stands before its first 1x1.

    So the depthwise 3x3 sees what the 1x1, norm and ReLU6 make of zeros at the edges, where torchvision's sees zeros.
    Source: Sandler et al. 2018, "MobileNetV2", section 3.3, with the padding of DeepLabV3Plus-Pytorch.

    Args:
        block: a block of torchvision's MobileNetV2, whose layers it takes.
        dilation: spacing of the 3x3's taps; 0 keeps the block's own stride, undilated.
    """

    def __init__(self, block: nn.Module, dilation: int = 0) -> None:
        super().__init__()
        self.conv: nn.Sequential = block.conv  # type: ignore[assignment]
        self.is_residual = bool(block.use_res_connect)
        self.margin = dilation or 1
        depthwise = self.conv[-3]  # before it there is the 1x1 that expands, but for the first block
        assert isinstance(depthwise, nn.Sequential)
        convolution = depthwise[0]
        assert isinstance(convolution, nn.Conv2d)
        convolution.padding = (0, 0)
        if dilation:
            channels = convolution.out_channels
            depthwise[0] = UnpaddedConv(
                channels, channels, kernel_size=3, dilation=dilation, ndim=2, causal=False, bias=False, groups=channels
            )

    def forward(self, inputs: Tensor) -> Tensor:
        """Returns (batch, out_channels, height / stride, width / stride)."""
        outputs = self.conv(F.pad(inputs, (self.margin,) * 4))
        return inputs + outputs if self.is_residual else outputs


class UnpaddedStem(nn.Sequential):
    """The first 3x3, at stride 2 and without padding, its norm and ReLU6."""

    def forward(self, images: Tensor) -> Tensor:
        """Returns (batch, 32, (height - 1) // 2, (width - 1) // 2), for images that are smaller than 3 at least 1."""
        height, width = images.shape[2:]
        below, right = max(0, SMALLEST_SIDE - height), max(0, SMALLEST_SIDE - width)
        return super().forward(F.pad(images, (0, right, 0, below)) if below or right else images)


def early_padded_features(output_stride: int, norm: MakeNorm) -> nn.Sequential:
    """Returns the layers 0 to 17 of MobileNetV2, dilated where the stride would exceed the output stride.

    Args:
        output_stride: pixels of the image to one of the last features.
        norm: makes the normalisation of a number of channels.
    """
    features = mobilenet_v2(norm_layer=norm).features
    stem = features[0]
    stem[0].padding = (0, 0)
    layers: list[nn.Module] = [UnpaddedStem(*stem)]
    stride, dilation = 2, 1
    for block in list(features)[1:-1]:
        before = dilation
        if block.stride == 2:
            if stride < output_stride:
                stride *= 2
            else:
                dilation *= 2
                block.stride = 1
        is_strided = block.stride == 2
        layers.append(EarlyPaddedBlock(block, 0 if is_strided or dilation == 1 else before))
    return nn.Sequential(*layers)
