"""Conditioning of the models in benchmarks: none, a speaker, or a speaker and mel frames."""

from __future__ import annotations

from typing import Any

import numpy as np

from fast_gen.engines.condition import FOREVER, ChunkCondition
from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.config import MelConfig

SAMPLE_RATE = 16_000
MEL = MelConfig().resolved(SAMPLE_RATE)
SPEAKERS = {"speakers": ("ann", "jo")}

CONDITIONING: dict[str, tuple[dict[str, Any], int]] = {
    "none": ({}, FOREVER),
    "speaker": (SPEAKERS, FOREVER),
    "speaker and mel": (SPEAKERS | {"mel": MEL}, MEL.hold),
}
"""Name -> changes to the model config, and the number of samples that share a condition."""


def noise(weights: GeneratorWeights, clips: int, samples: int, hold: int) -> ChunkCondition | None:
    """Returns a random condition for `samples` samples of each clip; None for a model without conditioning."""
    if not weights.conditioned:
        return None
    numbers = np.random.default_rng(2).normal(scale=0.5, size=2**20).astype(np.float32)
    return ChunkCondition(np.resize(numbers, (clips, -(-samples // hold), weights.condition_channels)), hold)
