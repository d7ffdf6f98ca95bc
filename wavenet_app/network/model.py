"""WaveNet: the distribution of the next sample, given all the samples before it (van den Oord et al. 2016)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavenet_app.coding import STEP
from wavenet_app.config import ModelConfig
from wavenet_app.core.device import bfloat16_is_faster
from wavenet_app.core.dilated import DilatedConv, ResidualBlock
from wavenet_app.heads import DEFAULT_HEAD, Head
from wavenet_app.network.conditioning import Condition, Conditioning, GlobalCondition, LocalCondition
from wavenet_app.network.prediction.compiled import predicted_rows
from wavenet_app.network.prediction.rows import INNOVATIONS, SIZES, VALUES
from wavenet_app.network.stack.skip_sum import skip_sum

FOREVER = 2**62
"""Samples that a condition holds which never changes."""

UNCONDITIONED = Conditioning()

TYPICAL_LEVEL = 0.1
"""RMS of speech whose peaks reach 0.9, of a waveform in [-1, 1]."""

TYPICAL_FREQUENCY = 1.5
"""Half periods of a channel of the initial front over all codes."""


class CodeFront(nn.Module):
    """A causal convolution over one-hot codes, done as what it is: a sum of one table row for each tap.

    Args:
        quantization_channels: number of codes.
        residual_channels: width of the output.
        kernel_size: taps, at dilation 1.
    """

    def __init__(self, quantization_channels: int, residual_channels: int, kernel_size: int) -> None:
        super().__init__()
        self.tables = nn.Parameter(torch.empty(kernel_size, quantization_channels, residual_channels))
        self.bias = nn.Parameter(torch.zeros(residual_channels))

    def forward(self, codes: Tensor) -> Tensor:
        """Returns float32 (batch, time, residual_channels) for int64 codes (batch, time); tables[-1] is for the newest.

        Before the first code there is nothing: those taps add zero.
        """
        hidden = F.embedding(codes, self.tables[-1]) + self.bias
        for delay in range(1, min(len(self.tables), codes.shape[1])):
            hidden[:, delay:] += F.embedding(codes[:, :-delay], self.tables[-1 - delay])
        return hidden


class SampleFront(nn.Module):
    """A causal convolution over 16-bit samples, each of them one number from -1 to 1.

    Args:
        residual_channels: width of the output.
        kernel_size: taps, at dilation 1.
    """

    def __init__(self, residual_channels: int, kernel_size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(kernel_size, residual_channels))
        self.bias = nn.Parameter(torch.zeros(residual_channels))

    def forward(self, codes: Tensor) -> Tensor:
        """Returns float32 (batch, time, residual_channels) for samples (batch, time); weight[-1] is for the newest.

        Before the first sample there is silence, which is zero.
        """
        values = (codes * STEP).float().unsqueeze(-1)
        hidden = values * self.weight[-1] + self.bias
        for delay in range(1, min(len(self.weight), codes.shape[1])):
            hidden[:, delay:] += values[:, :-delay] * self.weight[-1 - delay]
        return hidden


class PredictionRows(NamedTuple):
    """What a net reads of linear prediction after each code; see `wavenet_app.network.prediction.rows`.

    Attributes:
        values: int64 (batch, time), rows of the predicted value of the next sample.
        sizes: int64 (batch, time), rows of the residual's size.
        innovations: int64 (batch, time), rows of how far this code is from its prediction.
    """

    values: Tensor
    sizes: Tensor
    innovations: Tensor


class PredictionFront(nn.Module):
    """What linear prediction adds to the first layer's input: table rows for its value, residual size and innovation.

    Args:
        residual_channels: width of the output.
        innovation: whether there is a table of innovations.
    """

    def __init__(self, residual_channels: int, *, innovation: bool) -> None:
        super().__init__()
        self.value_table = nn.Parameter(torch.zeros(VALUES, residual_channels))
        self.size_table = nn.Parameter(torch.zeros(SIZES, residual_channels))
        self.innovation_table = nn.Parameter(torch.zeros(INNOVATIONS, residual_channels)) if innovation else None

    def forward(self, rows: PredictionRows) -> Tensor:
        """Returns float32 (batch, time, residual_channels)."""
        added = F.embedding(rows.values, self.value_table) + F.embedding(rows.sizes, self.size_table)
        return added if self.innovation_table is None else added + F.embedding(rows.innovations, self.innovation_table)


class WaveNet(nn.Module):
    """Causal front, gated residual blocks, skip sum, and two 1x1 layers onto what a head reads of the next sample.

    Args:
        config: the shape of the net.
        generator: source of the initial weights; None takes torch's default one.

    >>> net = WaveNet(ModelConfig(dilations=(1, 2, 4)))
    >>> net(torch.zeros(1, 20, dtype=torch.int64)).shape
    torch.Size([1, 20, 256])
    """

    def __init__(self, config: ModelConfig, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.config = config
        self.product_dtype = torch.float32
        self.in_triton = False
        self.head = config.output_head
        self.front = (
            CodeFront(config.quantization_channels, config.residual_channels, config.kernel_size)
            if self.head.one_hot_front
            else SampleFront(config.residual_channels, config.kernel_size)
        )
        self.prediction = (
            PredictionFront(config.residual_channels, innovation=config.prediction.innovation)
            if config.prediction
            else None
        )
        self.blocks = nn.ModuleList(
            ResidualBlock(
                config.residual_channels,
                config.dilation_channels,
                skip_channels=config.skip_channels,
                kernel_size=config.kernel_size,
                dilation=dilation,
                global_channels=config.global_channels if config.speakers else 0,
                local_channels=config.local_width,
                projects_residual=layer < len(config.dilations) - 1,
            )
            for layer, dilation in enumerate(config.dilations)
        )
        self.output1 = nn.Linear(config.skip_channels, config.skip_channels)
        self.output2 = nn.Linear(config.skip_channels, config.output_channels)
        self.global_condition = (
            GlobalCondition(len(config.speakers), config.global_channels) if config.speakers else None
        )
        self.local_condition = (
            LocalCondition(config.mel.n_mels, config.local_channels, config.mel.upsampling, config.mel.melody_channels)
            if config.mel
            else None
        )
        self._initialise(generator)

    @torch.no_grad()
    def _initialise(self, generator: torch.Generator | None) -> None:
        """Draws the weights so that the residual stream and the skip sum have about unit variance at any depth."""
        depth = len(self.blocks)
        spread = 1 / math.sqrt(self.config.kernel_size)
        if isinstance(self.front, CodeFront):
            self.front.tables.copy_(spread * _waves(self.front.tables.shape, generator))
        else:
            self.front.weight.normal_(std=spread / TYPICAL_LEVEL, generator=generator)
        for block in self.blocks:
            assert isinstance(block, ResidualBlock)
            for convolution, gain in ((block.dilated, 1.0), (block.residual, depth**-0.5), (block.skip, depth**-0.5)):
                if convolution is not None:
                    fan_in = convolution.weight[0].numel()
                    convolution.weight.normal_(std=gain / math.sqrt(fan_in), generator=generator)
        self.output1.weight.normal_(std=math.sqrt(2 / self.config.skip_channels), generator=generator)
        self.output2.weight.zero_()
        self.output1.bias.zero_()
        self.output2.bias.copy_(self.head.initial_bias())
        for condition in (self.global_condition, self.local_condition):
            if condition is not None:
                condition.initialise(generator)
        for block in self.blocks:
            assert isinstance(block, ResidualBlock)
            for projection in (block.global_projection, block.local_projection):
                if projection is not None:
                    projection.weight.normal_(std=0.5 / math.sqrt(projection.weight.shape[1]), generator=generator)

    def condition(self, conditioning: Conditioning, phase: int = 0) -> Condition | None:
        """Returns what the model adds to its gates, for all layers in one product per kind of conditioning.

        Args:
            conditioning: what the model was built for, no less and no more.
            phase: samples of the first frame that lie before the stretch of time that is meant.

        Returns:
            A step for each `hold` of the mel settings; one that holds for ever where there are speakers alone; None
            for a model without conditioning.

        Raises:
            ValueError: something is missing that the model was built for, or given where it was not.
        """
        for what, module, given in (
            ("speakers", self.global_condition, conditioning.speakers),
            ("frames", self.local_condition, conditioning.frames),
        ):
            if (module is None) != (given is None):
                raise ValueError(f"the model {'needs' if given is None else 'was built without'} {what}")
        blocks: list[ResidualBlock] = list(self.blocks)  # type: ignore[arg-type]
        values: Tensor | None = None
        hold = FOREVER
        if self.local_condition is not None and conditioning.frames is not None:
            assert self.config.mel is not None
            hold = self.config.mel.hold
            values = self.local_condition(conditioning.frames) @ _joined([block.local_projection for block in blocks])
        if self.global_condition is not None and conditioning.speakers is not None:
            voice = self.global_condition(conditioning.speakers) @ _joined(
                [block.global_projection for block in blocks]
            )
            values = voice[:, None] if values is None else values + voice[:, None]
        return None if values is None else Condition(values, hold, phase)

    def predicted_rows(self, codes: Tensor) -> PredictionRows | None:
        """Returns what the model reads of linear prediction, for codes (batch, time); None for a model without it.

        It is computed on the CPU. Before the first code there is silence.
        """
        if self.config.prediction is None:
            return None
        rows = predicted_rows(self.config.prediction, self.config.coding.decode(codes.cpu().numpy()))
        return PredictionRows(*torch.from_numpy(rows).to(codes.device))

    def first_inputs(self, codes: Tensor, rows: PredictionRows | None = None) -> Tensor:
        """Returns the first layer's input, float32 (batch, time, residual_channels).

        Args:
            codes: int64 (batch, time).
            rows: what `predicted_rows` returns for these codes; None computes it.
        """
        hidden = self.front(codes)
        if self.prediction is None:
            return hidden
        known = self.predicted_rows(codes) if rows is None else rows
        assert known is not None
        return hidden + self.prediction(known)

    def forward(
        self,
        codes: Tensor,
        start: int = 0,
        condition: Condition | None = None,
        rows: PredictionRows | None = None,
    ) -> Tensor:
        """Returns how likely each next code is, as the head reads it: a logit for each, or a distribution's numbers.

        Args:
            codes: int64 (batch, time), mu-law codes or 16-bit samples. Before the first one, all activations are zero.
            start: first time step whose outputs are wanted; earlier codes serve as context.
            condition: what `condition` made, for the codes that follow those given: the first one of its stretch is
                codes[:, 1].
            rows: what linear prediction says after each code; None computes it from the codes given.

        Returns:
            (batch, time - start, output_channels), logits in `product_dtype`, a distribution's numbers in float32:
            place t is about the code that follows codes[:, start + t].

        Raises:
            ValueError: the condition is for another batch, or does not reach as far as the codes.
        """
        if condition is not None:
            batch, steps, _ = condition.values.shape
            if batch != len(codes) or steps * condition.hold < condition.phase + codes.shape[1]:
                raise ValueError(
                    f"a condition of {batch} rows and {steps * condition.hold - condition.phase} samples does not fit "
                    f"codes of the shape {tuple(codes.shape)}"
                )
        skips = skip_sum(
            self.first_inputs(codes, rows),
            list(self.blocks),  # type: ignore[arg-type]
            start=start,
            product_dtype=self.product_dtype,
            condition=condition,
            in_triton=self.in_triton,
        )
        return self._output(skips, codes[:, start:])

    def forward_by_blocks(self, codes: Tensor, conditioning: Conditioning = UNCONDITIONED, phase: int = 0) -> Tensor:
        """Returns what `forward` does, in float32, by the plain blocks: the reference that the fast path is held to.

        The blocks project the conditioning themselves, sample by sample; `phase` is as in `condition`.
        """
        hidden = self.first_inputs(codes).transpose(1, 2)
        total: Tensor | int = 0
        voice = local = None
        if self.global_condition is not None:
            voice = self.global_condition(conditioning.speakers)
        if self.local_condition is not None:
            assert self.config.mel is not None
            steps = self.local_condition(conditioning.frames).repeat_interleave(self.config.mel.hold, dim=1)
            local = steps[:, phase : phase + codes.shape[1]].transpose(1, 2)
        for block in self.blocks:
            hidden, skip = block(hidden, voice, local)
            total = total + skip
        assert isinstance(total, Tensor)
        return self._output(total.transpose(1, 2), codes)

    def _output(self, skips: Tensor, newest: Tensor) -> Tensor:
        hidden = F.relu(skips)
        for layer, output in enumerate((self.output1, self.output2)):
            if layer == 1 and self.head.float32_output:
                hidden = hidden.float()
            weight, bias = output.weight.to(hidden.dtype), output.bias.to(hidden.dtype)
            hidden = F.linear(hidden if layer == 0 else F.relu(hidden), weight, bias)
        self.head.add_newest(hidden, newest)
        return hidden


def product_dtype(precision: str, device: str, head: Head = DEFAULT_HEAD) -> torch.dtype:
    """Returns the type of the matrix products: for "auto", bfloat16 where it is faster and the head bears it.

    Args:
        precision: "auto", "float32" or "bfloat16".
        device: "cpu", "cuda" or "mps".
        head: what the outputs mean.
    """
    if precision != "auto":
        return getattr(torch, precision)
    return torch.bfloat16 if not head.float32_products and bfloat16_is_faster(device) else torch.float32


def _waves(shape: torch.Size, generator: torch.Generator | None) -> Tensor:
    """Returns tables (taps, codes, channels) of unit variance in which neighbouring codes stand for nearly the same.

    Each channel is a cosine over the code, of a random frequency and phase (Rahimi and Recht 2007, algorithm 1): what
    is learned of a code holds for its neighbours too, of which rare ones would otherwise take long to be learned.
    """
    taps, codes, channels = shape
    values = (torch.arange(codes) + 0.5) / codes * 2 - 1
    frequencies = TYPICAL_FREQUENCY * torch.randn(taps, 1, channels, generator=generator)
    phases = 2 * math.pi * torch.rand(taps, 1, channels, generator=generator)
    return math.sqrt(2) * torch.cos(math.pi * frequencies * values[:, None] + phases)


def _joined(projections: Sequence[DilatedConv | None]) -> Tensor:
    """Returns all layers' projections of a condition as one matrix (in, layers x 2 x dilation_channels)."""
    return torch.cat([projection.weight.flatten(1) for projection in projections if projection is not None]).t()
