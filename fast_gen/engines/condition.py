"""The conditioning of a stretch of time as an engine takes it: already projected, at its own slow rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

    from fast_gen.engines.weights import GeneratorWeights
    from wavenet_app.network.conditioning import Conditioning
    from wavenet_app.network.model import WaveNet

FOREVER = 2**62
"""Samples that a condition holds which never changes."""


@dataclass(frozen=True, eq=False)
class ChunkCondition:
    """What is added to the gates of all layers while a stretch of codes is appended.

    For code t of the stretch that is values[:, (phase + t) // hold]. There is no array for every sample on purpose: a
    mel condition changes every few dozen samples, a speaker never, so an engine reads a row or two a chunk from memory
    and keeps the rest in its cache.

    Attributes:
        values: float32 (batch, steps, layers x 2 x dilation_channels), of each layer the filter before the gate; a
            batch of 1 stands for all rows.
        hold: samples a step.
        phase: samples of the first step that lie before the stretch.
    """

    values: NDArray[np.float32]
    hold: int
    phase: int = 0

    def steps(self, samples: int) -> NDArray[np.int64]:
        """Returns the step of each of a number of codes, (samples,); a single step that never ends serves all."""
        return np.minimum((self.phase + np.arange(samples)) // self.hold, self.values.shape[1] - 1)

    def part(self, start: int, samples: int) -> ChunkCondition:
        """Returns the condition of codes start to start + samples of the stretch."""
        first, phase = divmod(self.phase + start, self.hold)
        last = (self.phase + start + max(samples, 1) - 1) // self.hold
        return ChunkCondition(self.values[:, first : last + 1], self.hold, phase)


def projected(model: WaveNet, conditioning: Conditioning, phase: int = 0) -> ChunkCondition | None:
    """Returns the projection of a conditioning, None for a model without one; see `WaveNet.condition`."""
    import torch

    with torch.inference_mode():
        condition = model.condition(conditioning, phase)
    if condition is None:
        return None
    return ChunkCondition(condition.values.float().cpu().numpy(), condition.hold, condition.phase)


def voice(weights: GeneratorWeights, shares: NDArray[np.float32]) -> ChunkCondition | None:
    """Returns the condition of voices that hold for ever, for a model of speakers without mel frames.

    Args:
        weights: the model.
        shares: (batch, speakers), summing to one; without speakers there is no condition.
    """
    if not weights.conditioned:
        return None
    return ChunkCondition((shares @ weights.voices)[:, None], FOREVER)


def stand_in(weights: GeneratorWeights) -> ChunkCondition | None:
    """Returns a condition that adds nothing, with which to measure an engine; None for a model without conditions."""
    if not weights.conditioned:
        return None
    return ChunkCondition(np.zeros((1, 1, weights.condition_channels), np.float32), FOREVER)


def on_device(array: NDArray[np.float32], model: WaveNet) -> torch.Tensor:
    """Returns an array as a tensor where a model is."""
    import torch

    return torch.from_numpy(array).to(next(model.parameters()).device)
