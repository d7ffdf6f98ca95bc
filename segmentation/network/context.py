"""The context module: class scores refined by what is around them, at exponentially growing dilations."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavenet_app.core.dilated import DilatedConv

CONTEXT_DILATIONS = (1, 1, 2, 4, 8, 16, 1)


class ContextModule(nn.Module):
    """Seven 3x3 layers at dilations 1, 1, 2, 4, 8, 16, 1, and a 1x1: each score sees 67 x 67 scores around it.

    This is the basic form: every layer has as many channels as there are classes, the 3x3 are cut off at zero, and all
    begin as the identity, so that training starts from the scores cut off at zero.
    Source: Yu and Koltun 2016, "Multi-Scale Context Aggregation by Dilated Convolutions", section 3, table 1, eq. 4.

    Args:
        num_classes: channels of the scores.

    >>> scores = torch.rand(1, 3, 20, 30)
    >>> torch.equal(ContextModule(3)(scores), scores)
    True
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            DilatedConv(num_classes, num_classes, kernel_size=3, dilation=dilation, ndim=2, causal=False)
            for dilation in CONTEXT_DILATIONS
        )
        self.last = DilatedConv(num_classes, num_classes, kernel_size=1, ndim=2)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Makes every layer the identity."""
        for layer in (*self.layers, self.last):
            assert isinstance(layer, DilatedConv)
            nn.init.dirac_(layer.weight)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, scores: Tensor) -> Tensor:
        """Returns (batch, num_classes, height, width) for scores of that shape."""
        for layer in self.layers:
            scores = F.relu(layer(scores))
        return self.last(scores)
