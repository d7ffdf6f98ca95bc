"""What a WaveNet is given beside samples: who speaks, and mel frames of the sound (van den Oord et al. 2016, 2.5)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CONTEXT_FRAMES = 3
"""Frames that `LocalCondition` sees on both sides of each one."""

# What log-mel frames of speech at the training level are about, so that the first layer sees numbers of order one.
_USUAL_LEVEL, _USUAL_SPREAD = -2.0, 2.5

_MELODY_LEVEL = 2.0  # three numbers beside many


class Conditioning(NamedTuple):
    """What a batch of clips is given beside its samples.

    Attributes:
        speakers: (batch, number of speakers), the share of each speaker; None for a model without speakers.
        frames: (batch, CONTEXT_FRAMES + frames + CONTEXT_FRAMES, n_mels), log-mel, and after the bands of each frame
            the melody of its steps (see `wavenet_app.audio.melody`) for a model conditioned on it; None for a model
            without frames.
    """

    speakers: Tensor | None = None
    frames: Tensor | None = None


class Condition(NamedTuple):
    """What is added to the gates of all layers, for a stretch of time.

    At time t of the stretch that is values[:, (phase + t) // hold]. The time of a condition is that of the sample to
    be predicted, not of the newest one known.

    Attributes:
        values: (batch, steps, layers x 2 x dilation_channels), of each layer the filter before the gate.
        hold: samples a step.
        phase: samples of the first step that lie before the stretch.
    """

    values: Tensor
    hold: int
    phase: int = 0


class GlobalCondition(nn.Module):
    """An embedding for each speaker; voices are mixed by mixing embeddings.

    Args:
        speakers: how many.
        channels: width of an embedding.
    """

    def __init__(self, speakers: int, channels: int) -> None:
        super().__init__()
        self.embeddings = nn.Parameter(torch.empty(speakers, channels))

    def forward(self, speakers: Tensor) -> Tensor:
        """Returns (batch, channels) for shares (batch, speakers)."""
        return speakers.to(self.embeddings.dtype) @ self.embeddings

    def initialise(self, generator: torch.Generator | None) -> None:
        """Draws embeddings of unit variance."""
        nn.init.normal_(self.embeddings, generator=generator)


class LocalCondition(nn.Module):
    """Log-mel frames to conditions at `upsampling` steps a frame, learned: each frame's steps see its neighbours.

    The steps of a frame are channels of a convolution over frames, taken apart (Shi et al. 2016, section 3.2), so
    there are exactly frames x upsampling of them. No frame is made up: the frames around the wanted ones are given.
    What the steps say of the melody goes beside that, as it is.

    Args:
        n_mels: bands of a frame.
        channels: width of what is learned of the frames.
        upsampling: steps a frame.
        melody_channels: numbers that a step says of the melody.
    """

    def __init__(self, n_mels: int, channels: int, upsampling: int, melody_channels: int = 0) -> None:
        super().__init__()
        self.n_mels = n_mels
        self.melody_channels = melody_channels
        self.upsampling = upsampling
        # five frames, then three: together they see CONTEXT_FRAMES on both sides
        self.surroundings = nn.Conv1d(n_mels, channels, kernel_size=5)
        self.steps = nn.Conv1d(channels, upsampling * channels, kernel_size=3)

    def forward(self, frames: Tensor) -> Tensor:
        """Returns (batch, frames x upsampling, channels + melody_channels) for frames as in `Conditioning`."""
        frames = frames.to(self.steps.weight.dtype)
        scaled = (frames[..., : self.n_mels] - _USUAL_LEVEL) / _USUAL_SPREAD
        hidden = F.leaky_relu(self.surroundings(scaled.transpose(1, 2)), 0.2)
        steps = F.leaky_relu(self.steps(hidden), 0.2).transpose(1, 2)
        learned = steps.reshape(len(steps), -1, self.surroundings.out_channels)
        if not self.melody_channels:
            return learned
        inner = frames[:, CONTEXT_FRAMES : frames.shape[1] - CONTEXT_FRAMES, self.n_mels :]
        melody = inner.reshape(len(frames), learned.shape[1], self.melody_channels)
        return torch.cat([learned, _MELODY_LEVEL * melody], dim=2)

    def initialise(self, generator: torch.Generator | None) -> None:
        """Draws weights that keep the variance, and sets biases to zero."""
        for convolution in (self.surroundings, self.steps):
            fan_in = convolution.weight[0].numel()
            nn.init.normal_(convolution.weight, std=math.sqrt(2 / fan_in), generator=generator)
            assert convolution.bias is not None
            nn.init.zeros_(convolution.bias)
