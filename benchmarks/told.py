"""What the benchmarks of conditioned models tell them: a speaker, and mel frames too."""

from __future__ import annotations

from typing import Any

import numpy as np

from fast_gen.engines.condition import FOREVER, ChunkCondition
from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.config import MelConfig

SAMPLE_RATE = 16_000
MEL = MelConfig().resolved(SAMPLE_RATE)
SPEAKERS = {"speakers": ("ann", "jo")}

TOLD: dict[str, tuple[dict[str, Any], int]] = {
    "nothing": ({}, FOREVER),
    "speaker": (SPEAKERS, FOREVER),
    "speaker and mel": (SPEAKERS | {"mel": MEL}, MEL.hold),
}
"""Name -> what makes a model of it, and the samples for which a condition holds."""


def noise(weights: GeneratorWeights, clips: int, samples: int, hold: int) -> ChunkCondition | None:
    """Returns a condition of so many samples of each clip; None for a model that is told nothing."""
    if not weights.conditioned:
        return None
    numbers = np.random.default_rng(2).normal(scale=0.5, size=2**20).astype(np.float32)
    return ChunkCondition(np.resize(numbers, (clips, -(-samples // hold), weights.condition_channels)), hold)
