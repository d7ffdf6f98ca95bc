"""What the numbers of the network's last layer mean: here, one of the mu-law codes."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor


def categorical_bits(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Returns the mean code length, in bits per sample, of the targets that count.

    This is the cross-entropy of the softmax (van den Oord et al. 2016, section 2.2) in base 2.

    Args:
        logits: (batch, time, quantization_channels), any float type; the softmax is taken in float32.
        targets: int64 (batch, time), codes.
        mask: bool (batch, time), true where a target counts.

    Returns:
        A scalar; 0 where nothing counts.
    """
    nats = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="none")
    counted = mask.flatten()
    return (nats * counted).sum() / (counted.sum().clamp(min=1) * math.log(2))
