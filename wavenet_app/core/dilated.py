"""The dilated block that WaveNet (one dimension) and DeepLab (two dimensions) are both made of."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavenet_app.core.dilation import dilation_cycle, receptive_field

__all__ = ["DilatedConv", "ResidualBlock", "dilation_cycle", "receptive_field"]

_CONVOLUTIONS = {1: F.conv1d, 2: F.conv2d}


class DilatedConv(nn.Module):
    """A strideless dilated convolution that keeps the size of its input.

    Causal padding stands wholly before the input along every axis, so the output at a place depends on that place and
    earlier ones alone. Same padding is split between both ends; where it is odd, the end gets one more.

    Source: van den Oord et al. 2016, section 2.1 (causal); Yu and Koltun 2016, section 2 (dilated, two dimensions).

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: taps along each axis.
        dilation: spacing of the taps, in samples or pixels.
        ndim: 1 for (batch, channels, time), 2 for (batch, channels, height, width).
        causal: causal padding if true, else same padding.
        bias: whether a bias is added.
        groups: number of parts of the channels that are convolved separately; `in_channels` makes it depthwise.

    Raises:
        ValueError: `ndim` is neither 1 nor 2.

    >>> DilatedConv(4, 8, kernel_size=2, dilation=16)(torch.zeros(1, 4, 100)).shape
    torch.Size([1, 8, 100])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int,
        dilation: int = 1,
        ndim: int = 1,
        causal: bool = True,
        bias: bool = True,
        groups: int = 1,
    ) -> None:
        super().__init__()
        if ndim not in _CONVOLUTIONS:
            raise ValueError(f"ndim must be 1 or 2, not {ndim}")
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.ndim = ndim
        self.causal = causal
        self.groups = groups
        reach = (kernel_size - 1) * dilation
        before = reach if causal else reach // 2
        self.padding = (before, reach - before) * ndim
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels // groups, *[kernel_size] * ndim))
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws weights with variance 1 / fan-in and sets the bias to zero."""
        nn.init.normal_(self.weight, std=1 / math.sqrt(self.weight[0].numel()))
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, inputs: Tensor) -> Tensor:
        """Returns (batch, out_channels, *space) for `inputs` of shape (batch, in_channels, *space)."""
        if not self.causal and self.kernel_size % 2:
            return self._centred(inputs)
        return self.forward_by_padding(inputs)

    def forward_by_padding(self, inputs: Tensor) -> Tensor:
        """Returns what `forward` does, by padding first and convolving then: the reference for `forward`."""
        padded = F.pad(inputs, self.padding) if any(self.padding) else inputs
        return _CONVOLUTIONS[self.ndim](padded, self.weight, self.bias, dilation=self.dilation, groups=self.groups)

    def _centred(self, inputs: Tensor) -> Tensor:
        """Convolves with the same padding at both ends, which needs no padded copy.

        Taps that fall outside the input at every position would only multiply zeros, and are skipped: at the large
        rates of image pyramids, on small images, these are most of them.
        """
        half = self.kernel_size // 2
        weight: Tensor = self.weight
        padding = []
        for axis, size in enumerate(inputs.shape[2:], start=2):
            reach = min(half, (size - 1) // self.dilation)
            if reach < half:
                weight = weight.narrow(axis, half - reach, 2 * reach + 1)
            padding.append(reach * self.dilation)
        return _CONVOLUTIONS[self.ndim](
            inputs, weight, self.bias, padding=padding, dilation=self.dilation, groups=self.groups
        )


class ResidualBlock(nn.Module):
    """Dilated convolution, activation, and two 1x1 projections: back onto the residual stream, and onto the skip sum.

    The gated activation is tanh(filter) x sigmoid(gate), the first half of the convolution's channels being the
    filter; conditioning is added inside both (van den Oord et al. 2016, sections 2.3 to 2.5).

    Args:
        residual_channels: width of the input and of the residual output.
        dilation_channels: width of the activation.
        skip_channels: width of the skip output; 0 leaves it out.
        kernel_size: taps along each axis.
        dilation: spacing of the taps.
        ndim: 1 for (batch, channels, time), 2 for (batch, channels, height, width).
        causal: causal padding if true, else same padding.
        activation: "gated", or "relu".
        norm: makes the normalisation of a number of channels that stands before the activation; None for none.
        global_channels: width of a condition that holds everywhere, such as a speaker; 0 for none.
        local_channels: width of a condition that varies with the place, such as a mel spectrogram; 0 for none.
        projects_residual: false for the last block of a stack, whose residual output is not used.
    """

    def __init__(
        self,
        residual_channels: int,
        dilation_channels: int,
        *,
        skip_channels: int = 0,
        kernel_size: int = 2,
        dilation: int = 1,
        ndim: int = 1,
        causal: bool = True,
        activation: Literal["gated", "relu"] = "gated",
        norm: Callable[[int], nn.Module] | None = None,
        global_channels: int = 0,
        local_channels: int = 0,
        projects_residual: bool = True,
    ) -> None:
        super().__init__()
        self.activation = activation
        inner = 2 * dilation_channels if activation == "gated" else dilation_channels

        def pointwise(inputs: int, outputs: int, *, bias: bool) -> DilatedConv:
            return DilatedConv(inputs, outputs, kernel_size=1, ndim=ndim, bias=bias)

        self.dilated = DilatedConv(
            residual_channels,
            inner,
            kernel_size=kernel_size,
            dilation=dilation,
            ndim=ndim,
            causal=causal,
            bias=norm is None,
        )
        self.norm = norm(inner) if norm else None
        self.global_projection = pointwise(global_channels, inner, bias=False) if global_channels else None
        self.local_projection = pointwise(local_channels, inner, bias=False) if local_channels else None
        self.residual = pointwise(dilation_channels, residual_channels, bias=True) if projects_residual else None
        self.skip = pointwise(dilation_channels, skip_channels, bias=True) if skip_channels else None

    def forward(
        self, inputs: Tensor, global_condition: Tensor | None = None, local_condition: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Returns the residual output and the skip output.

        Args:
            inputs: (batch, residual_channels, *space).
            global_condition: (batch, global_channels), where the block has a global projection.
            local_condition: (batch, local_channels, *space), where the block has a local projection.

        Returns:
            (batch, residual_channels, *space), which is the input itself where nothing is projected back, and
            (batch, skip_channels, *space) or None.

        Raises:
            ValueError: a condition is missing, or given to a block without its projection.
        """
        hidden = self.dilated(inputs)
        if self.norm is not None:
            hidden = self.norm(hidden)
        spaceless = global_condition
        if global_condition is not None:
            spaceless = global_condition.reshape(*global_condition.shape, *[1] * self.dilated.ndim)
        for name, projection, condition in (
            ("global", self.global_projection, spaceless),
            ("local", self.local_projection, local_condition),
        ):
            if (projection is None) != (condition is None):
                raise ValueError(f"the block {'needs' if projection else 'was built without'} a {name} condition")
            if projection is not None:
                hidden = hidden + projection(condition)
        if self.activation == "gated":
            filtered, gate = hidden.chunk(2, dim=1)
            activated = torch.tanh(filtered) * torch.sigmoid(gate)
        else:
            activated = F.relu(hidden)
        outputs = inputs if self.residual is None else inputs + self.residual(activated)
        return outputs, None if self.skip is None else self.skip(activated)
