"""Output heads: what the numbers of a network's last layer mean, and so how many bits the next sample takes.

A head is one class here. The model, the settings, the command line and the engines ask it for what they need. A new
head is one more class in this file, and its sampling rule in `fast_gen.engines.sampling` and in each compiled engine.

Three heads exist. The categorical head gives every mu-law code its own number (van den Oord et al. 2016, section 2.2).
The other two give each 16-bit sample the mass that a continuous distribution has between the sample's edges, half a
step to either side; the least and the greatest sample also get the tail beyond them. So the probabilities of all 65,536
samples add up to one, and their bits compare with those of any other predictor of 16-bit samples.

The module imports neither torch nor numpy, as the command line and the engine of the CPU use it without them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from torch import Tensor

    from wavenet_app.coding import Coding

_WIDEST_START, _NARROWEST_START = -1.5, -7.5
"""Logarithms of the greatest and the least scale at the start of training: of loud speech, and of a soft hiss."""


class Rule(IntEnum):
    """How the next sample is picked from the outputs; `fast_gen.engines.sampling` defines each rule.

    Compiled engines receive the rule as its number.
    """

    CODE = 0
    LOGISTICS = 1
    GAUSSIAN = 2


@dataclass(frozen=True)
class Head(ABC):
    """The meaning of a last layer. The fields of a head are its own settings, named as in `ModelConfig`.

    Attributes:
        name: the value of `ModelConfig.head`.
        rule: how the next sample is picked.
        one_hot_front: whether the first layer has a table with one row per code; else it multiplies the sample's value.
        ranks_codes: whether each code has its own probability, which top-k and top-p need.
        float32_output: whether the last layer computes in float32 at any precision of the other products.
        float32_products: whether products are float32 unless the user chooses a precision.
    """

    name: ClassVar[str]
    rule: ClassVar[Rule]
    one_hot_front: ClassVar[bool]
    ranks_codes: ClassVar[bool]
    float32_output: ClassVar[bool]
    float32_products: ClassVar[bool]

    @classmethod
    def settings(cls) -> tuple[str, ...]:
        """Returns the names of the settings that only this head has."""
        return tuple(field.name for field in fields(cls))

    @property
    @abstractmethod
    def coding(self) -> Coding:
        """The integers that are predicted."""

    @property
    @abstractmethod
    def output_channels(self) -> int:
        """How many numbers describe the next sample."""

    @property
    def means(self) -> slice:
        """Which outputs are means of a distribution over 16-bit samples; the categorical head has none.

        The last layer gives the difference of a mean from the newest sample; `add_newest` adds that sample. So a net
        starts as a predictor of order 1, and rounding in its layers is small beside one step instead of the full range.
        """
        return slice(0, 0)

    @property
    def nothing(self) -> int:
        """What the first layer reads before the first sample: the empty row after a table's codes, or silence."""
        return self.coding.size if self.one_hot_front else self.coding.silence

    @abstractmethod
    def bits(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Returns the bits, -log2 of the probability, of each sample.

        Args:
            outputs: (batch, time, output_channels), any float type.
            targets: int64 (batch, time), codes or 16-bit samples.

        Returns:
            (batch, time), float32 or float64.
        """

    @abstractmethod
    def initial_bias(self) -> Tensor:
        """Returns the bias of the last layer before training, (output_channels,), where its weights are zero."""

    def add_newest(self, outputs: Tensor, newest: Tensor) -> None:
        """Adds the newest 16-bit sample to the means, in place; see `means`.

        Args:
            outputs: (..., output_channels).
            newest: integers (...).
        """
        from wavenet_app.coding import STEP

        if self.means.stop > self.means.start:
            outputs[..., self.means] += (newest * STEP).unsqueeze(-1)


@dataclass(frozen=True)
class CategoricalHead(Head):
    """A logit for every mu-law code.

    Args:
        quantization_channels: number of codes.
    """

    name = "mu-law"
    rule = Rule.CODE
    one_hot_front = True
    ranks_codes = True
    float32_output = False
    float32_products = False

    quantization_channels: int = 256

    @property
    def coding(self) -> Coding:
        """Mu-law codes."""
        from wavenet_app.coding import MuLawCoding

        return MuLawCoding(self.quantization_channels)

    @property
    def output_channels(self) -> int:
        """One logit per code."""
        return self.quantization_channels

    def bits(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Returns the cross-entropy of the softmax in base 2, computed in float32."""
        import torch.nn.functional as F

        nats = F.cross_entropy(outputs.float().flatten(0, 1), targets.flatten(), reduction="none")
        return nats.view(targets.shape) / math.log(2)

    def initial_bias(self) -> Tensor:
        """Returns zeros: all codes are equally likely."""
        import torch

        return torch.zeros(self.quantization_channels)


class _SampleHead(Head):
    """A distribution over 16-bit samples; a mean must be right to a part in thousands, which bfloat16 is not."""

    one_hot_front = False
    ranks_codes = False
    float32_output = True
    float32_products = True

    @property
    def coding(self) -> Coding:
        """16-bit samples."""
        from wavenet_app.coding import SixteenBitCoding

        return SixteenBitCoding()


@dataclass(frozen=True)
class LogisticsHead(_SampleHead):
    """A mixture of logistics, discretised (Salimans et al. 2017, "PixelCNN++", section 2.1).

    The outputs are the logits of all components, then their means, then the logarithms of their scales.

    Args:
        mixtures: number of components.
    """

    name = "logistics"
    rule = Rule.LOGISTICS

    mixtures: int = 10

    @property
    def output_channels(self) -> int:
        """Three numbers per component."""
        return 3 * self.mixtures

    @property
    def means(self) -> slice:
        """The second third."""
        return slice(self.mixtures, 2 * self.mixtures)

    def bits(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Returns the bits of each sample, computed in float64.

        With a and b the distances of the upper and the lower edge from the mean, in scales, sigmoid(a) - sigmoid(b)
        equals sigmoid(a) x sigmoid(-b) x (1 - exp(b - a)). This subtracts no nearly equal numbers, even far in a tail,
        and a - b is the step in scales.
        """
        import torch
        import torch.nn.functional as F

        from wavenet_app.coding import STEP

        logits, means, scales = _doubles(outputs).chunk(3, dim=-1)
        known, scales = targets.to(means.device).unsqueeze(-1), _scales(scales)
        above, below = _edges(known, means, scales)
        inside = F.logsigmoid(above) + F.logsigmoid(-below) + (-torch.expm1(-STEP / scales)).log()
        log_masses = _with_tails(known, inside, F.logsigmoid(above), F.logsigmoid(-below))
        log_likelihood = torch.logsumexp(F.log_softmax(logits, dim=-1) + log_masses, dim=-1)
        return -log_likelihood.to(outputs.device, torch.float32) / math.log(2)

    def initial_bias(self) -> Tensor:
        """Returns components of equal weight around zero, from wide to narrow: equal ones would stay equal."""
        import torch

        places = (torch.arange(self.mixtures) + 0.5) / self.mixtures
        scales = _WIDEST_START + (_NARROWEST_START - _WIDEST_START) * places
        return torch.cat([torch.zeros(2 * self.mixtures), scales])


@dataclass(frozen=True)
class GaussianHead(_SampleHead):
    """One Gaussian (Ping et al. 2018, "ClariNet", section 3.1), here discretised. Outputs: mean, logarithm of scale."""

    name = "gaussian"
    rule = Rule.GAUSSIAN

    @property
    def output_channels(self) -> int:
        """Mean and logarithm of the scale."""
        return 2

    @property
    def means(self) -> slice:
        """The first output."""
        return slice(0, 1)

    def bits(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Returns the bits of each sample, computed in float64.

        A Gaussian's mass beyond the mean is mirrored before it, where the logarithm of its integral loses no digits.
        """
        import torch
        from torch.special import log_ndtr

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
        import torch

        return torch.tensor([0.0, (_WIDEST_START + _NARROWEST_START) / 2])


HEADS: dict[str, type[Head]] = {head.name: head for head in (CategoricalHead, LogisticsHead, GaussianHead)}
"""Value of `ModelConfig.head` -> class, the default first."""

DEFAULT_HEAD = CategoricalHead()


def mean_bits(bits: Tensor, mask: Tensor) -> Tensor:
    """Returns the mean bits of the samples that count, a scalar; 0 where none counts.

    Args:
        bits: (batch, time).
        mask: bool (batch, time), true where a sample counts.
    """
    return (bits * mask).sum() / mask.sum().clamp(min=1)


def _doubles(outputs: Tensor) -> Tensor:
    """Returns outputs as float64, on the CPU where the device has no float64."""
    import torch

    return outputs.to("cpu" if outputs.device.type == "mps" else outputs.device, torch.float64)


def _scales(logarithms: Tensor) -> Tensor:
    """Returns scales that never reach zero and that always have a gradient below the greatest scale."""
    from wavenet_app.coding import GREATEST_LOG_SCALE, LEAST_SCALE

    return LEAST_SCALE + logarithms.clamp(max=GREATEST_LOG_SCALE).exp()


def _edges(targets: Tensor, means: Tensor, scales: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the distances of the upper and the lower edge of each sample from the mean, in scales."""
    from wavenet_app.coding import STEP

    offsets = targets * STEP - means
    return (offsets + STEP / 2) / scales, (offsets - STEP / 2) / scales


def _with_tails(known: Tensor, inside: Tensor, log_below: Tensor, log_above: Tensor) -> Tensor:
    """Returns the logarithms of the masses of samples; the least and the greatest sample have a whole tail.

    Args:
        known: the samples.
        inside: logarithms of the masses between their edges.
        log_below: of those below their upper edges.
        log_above: of those above their lower edges.
    """
    import torch

    from wavenet_app.coding import SixteenBitCoding

    first, last = SixteenBitCoding.lowest, SixteenBitCoding.lowest + SixteenBitCoding.size - 1
    return torch.where(known == first, log_below, torch.where(known == last, log_above, inside))
