"""What the numbers of the network's last layer mean: how likely each next sample is, and so its bits.

Three heads. The categorical one gives every mu-law code a number of its own (van den Oord et al. 2016, section 2.2).
The others give 16-bit samples the mass that a distribution over real numbers has between the sample's edges, half a
step to either side; the least and the greatest sample also get what lies beyond them. So the probabilities of all
65,536 samples add up to one, and bits are comparable with those of any other predictor of 16-bit samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.special import log_ndtr

from wavenet_app.coding import GREATEST_LOG_SCALE, LEAST_SCALE, STEP, SixteenBitCoding
from wavenet_app.config import ModelConfig

_FIRST, _LAST = SixteenBitCoding.lowest, SixteenBitCoding.lowest + SixteenBitCoding.size - 1

_WIDEST_START, _NARROWEST_START = -1.5, -7.5
"""Between these lie the logarithms of the scales that training starts from: of loud speech, and of a soft hiss."""


class Head(Protocol):
    """The meaning of a last layer."""

    def bits(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Returns the bits, -log2 of the probability, of each sample.

        Args:
            outputs: (batch, time, output_channels), any float type.
            targets: int64 (batch, time), codes or 16-bit samples.

        Returns:
            (batch, time), float32 or float64.
        """

    def initial_bias(self) -> Tensor:
        """Returns what the last layer's bias is before training, (output_channels,), where its weights are zero."""


@dataclass(frozen=True)
class CategoricalHead:
    """A logit for every mu-law code.

    Args:
        quantization_channels: number of codes.
    """

    quantization_channels: int

    def bits(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Returns the cross-entropy of the softmax, taken in float32, in base 2."""
        nats = F.cross_entropy(outputs.float().flatten(0, 1), targets.flatten(), reduction="none")
        return nats.view(targets.shape) / math.log(2)

    def initial_bias(self) -> Tensor:
        """Returns zeros: all codes are equally likely."""
        return torch.zeros(self.quantization_channels)


@dataclass(frozen=True)
class LogisticsHead:
    """A mixture of logistics, discretised (Salimans et al. 2017, "PixelCNN++", section 2.1).

    The outputs are the logits of all components, then their means, then the logarithms of their scales. What the last
    layer says of a mean is how far it lies above the newest sample; see `wavenet_app.coding.mean_places`.

    Args:
        mixtures: number of components.
    """

    mixtures: int

    def bits(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Returns the bits of each sample, by float64.

        With a and b the upper and lower edge, less the mean, in scales, sigmoid(a) - sigmoid(b) equals
        sigmoid(a) x sigmoid(-b) x (1 - exp(b - a)): no difference of nearly equal numbers, however far in a tail, and
        a - b is the step in scales.
        """
        logits, means, scales = _doubles(outputs).chunk(3, dim=-1)
        known, scales = targets.to(means.device).unsqueeze(-1), _scales(scales)
        above, below = _edges(known, means, scales)
        inside = F.logsigmoid(above) + F.logsigmoid(-below) + (-torch.expm1(-STEP / scales)).log()
        log_masses = _with_tails(known, inside, F.logsigmoid(above), F.logsigmoid(-below))
        log_likelihood = torch.logsumexp(F.log_softmax(logits, dim=-1) + log_masses, dim=-1)
        return -log_likelihood.to(outputs.device, torch.float32) / math.log(2)

    def initial_bias(self) -> Tensor:
        """Returns components of equal weight around zero, from wide to narrow: alike, they would stay alike."""
        places = (torch.arange(self.mixtures) + 0.5) / self.mixtures
        scales = _WIDEST_START + (_NARROWEST_START - _WIDEST_START) * places
        return torch.cat([torch.zeros(2 * self.mixtures), scales])


@dataclass(frozen=True)
class GaussianHead:
    """One Gaussian (Ping et al. 2018, "ClariNet", section 3.1), here discretised. Outputs: mean, logarithm of scale."""

    def bits(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Returns the bits of each sample, by float64.

        A Gaussian's mass beyond the mean is mirrored before it, where the logarithm of its integral loses no digits.
        """
        means, scales = _doubles(outputs).unbind(dim=-1)
        known = targets.to(means.device)
        above, below = _edges(known, means, _scales(scales))
        beyond = above + below > 0
        upper, lower = torch.where(beyond, -below, above), torch.where(beyond, -above, below)
        log_upper = log_ndtr(upper)
        inside = log_upper + torch.log1p(-torch.exp(log_ndtr(lower) - log_upper))
        log_likelihood = _with_tails(known, inside, log_ndtr(above), log_ndtr(-below))
        return -log_likelihood.to(outputs.device, torch.float32) / math.log(2)

    def initial_bias(self) -> Tensor:
        """Returns a Gaussian around zero as wide as soft speech."""
        return torch.tensor([0.0, (_WIDEST_START + _NARROWEST_START) / 2])


def head_of(config: ModelConfig) -> Head:
    """Returns the head of a model."""
    if config.head == "logistics":
        return LogisticsHead(config.mixtures)
    return GaussianHead() if config.head == "gaussian" else CategoricalHead(config.quantization_channels)


def mean_bits(bits: Tensor, mask: Tensor) -> Tensor:
    """Returns the mean bits of the samples that count, a scalar; 0 where nothing counts.

    Args:
        bits: (batch, time).
        mask: bool (batch, time), true where a sample counts.
    """
    return (bits * mask).sum() / mask.sum().clamp(min=1)


def _doubles(outputs: Tensor) -> Tensor:
    """Returns outputs as float64, on the CPU where the device has none."""
    return outputs.to("cpu" if outputs.device.type == "mps" else outputs.device, torch.float64)


def _scales(logarithms: Tensor) -> Tensor:
    """Returns scales that never reach zero, and whose gradient never quite does."""
    return LEAST_SCALE + logarithms.clamp(max=GREATEST_LOG_SCALE).exp()


def _edges(targets: Tensor, means: Tensor, scales: Tensor) -> tuple[Tensor, Tensor]:
    """Returns how far the upper and the lower edge of each sample lie above the mean, in scales."""
    offsets = targets * STEP - means
    return (offsets + STEP / 2) / scales, (offsets - STEP / 2) / scales


def _with_tails(known: Tensor, inside: Tensor, log_below: Tensor, log_above: Tensor) -> Tensor:
    """Returns the logarithms of the masses of samples; the least and the greatest one have a whole tail.

    Args:
        known: the samples.
        inside: logarithms of the masses between their edges.
        log_below: of those below their upper edges.
        log_above: of those above their lower edges.
    """
    return torch.where(known == _FIRST, log_below, torch.where(known == _LAST, log_above, inside))
