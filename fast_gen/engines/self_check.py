"""Whether an engine computes what the CPU engine does: a wrong sound is worse than a slow one."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from fast_gen.engines.condition import ChunkCondition
from fast_gen.engines.contract import Engine
from fast_gen.engines.quiet import MOST_QUIET, quiet_reach, quiet_runs
from fast_gen.engines.sampling import SamplingSettings, uniforms
from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.coding import Coding

CHECKED_CODES = 64
"""Codes of each clip that are scored."""

CHECKED_AT_ONCE = 8
"""Codes that are scored in one call, since the outputs for thousands of clips are large."""

COMPARED_CLIPS = 4
"""Clips that are compared with the CPU engine; the others must only be the same twice."""

PICKED_CODES = 16

TOLERANCES = {"float32": 1e-3, "bfloat16": 0.15, "int8": 0.3}
"""Precision -> the greatest difference of an output, as a share of the greatest magnitude of this output."""

LEAST_PICKED = 0.9
"""Share of the codes that must be those that the engine's own scores give; rounding seldom decides between two."""

_STEPS, _HOLD, _PHASE = 4, 20, 7  # of the condition: calls begin and end within its steps
_OWN_CONDITIONS = 64  # clips that have conditions of their own; in more clips all have the same


def self_check(engine: Engine, reference: Engine, clips: int) -> str | None:
    """Returns what is wrong with an engine's sound in a few words, or None; the state of both is lost.

    Args:
        engine: the engine.
        reference: an engine that is right, of the same model, in float32 on the CPU.
        clips: how many to check it with.
    """
    weights = engine.weights
    generator = np.random.default_rng(0)
    codes = weights.coding.encode(generator.normal(0, 0.2, (clips, CHECKED_CODES))).astype(np.int64)
    condition = _condition(weights, clips, generator)
    compared = np.unique(np.linspace(0, clips - 1, COMPARED_CLIPS).astype(int))
    scores, digest = _scores(engine, codes, condition, compared)
    expected, _ = _scores(reference, codes[compared], _of(condition, compared), np.arange(len(compared)))
    greatest = np.abs(expected).max(axis=(0, 1)) + 1e-6
    difference = float((np.abs(scores - expected) / greatest).max())
    if not difference <= TOLERANCES[engine.precision]:  # what is not a number fails too
        return f"its scores differ from those of the CPU by {difference:.1%}"
    if _scores(engine, codes, condition, compared)[1] != digest:
        return "its scores are not the same twice"
    picked = _share_picked(engine, clips, condition)
    if picked < LEAST_PICKED:
        return f"only {picked:.0%} of its codes follow from its scores"
    return None


def _scores(
    engine: Engine, codes: NDArray[np.int64], condition: ChunkCondition | None, kept: NDArray[np.int64]
) -> tuple[NDArray[np.float32], bytes]:
    """Returns the outputs (kept clips, time, channels) for codes, and a digest of those of all clips."""
    engine.reset(len(codes))
    digest, parts = hashlib.sha256(), []
    for start in range(0, codes.shape[1], CHECKED_AT_ONCE):
        part = codes[:, start : start + CHECKED_AT_ONCE]
        own = None if condition is None else condition.part(start, part.shape[1])
        found = np.ascontiguousarray(engine.score(part, own))
        digest.update(found.data)
        parts.append(found[kept])
    return np.concatenate(parts, axis=1), digest.digest()


def _share_picked(engine: Engine, clips: int, condition: ChunkCondition | None) -> float:
    """Returns how many of an engine's codes are those picked from its own scores, from 0 to 1."""
    import torch

    from fast_gen.engines.sampling import pick_by_head

    head = engine.weights.head
    settings = SamplingSettings(0.5, quiet_temperature=1.5, quiet_samples=1)  # both temperatures are needed soon
    numbers = uniforms(0, rows=clips, length=PICKED_CODES)
    own = None if condition is None else condition.part(0, PICKED_CODES)
    engine.reset(clips)
    made = engine.generate(numbers, settings, own)
    kept = np.arange(min(clips, _OWN_CONDITIONS))
    scores = torch.from_numpy(_scores(engine, made.astype(np.int64), own, kept)[0]).flatten(0, 1)
    runs = torch.from_numpy(_quiet_before(made[kept], head.coding)).flatten()
    picked = pick_by_head(head, scores, torch.from_numpy(numbers[kept]).flatten(), settings, runs).numpy()
    allowed = 0 if head.ranks_codes else 1  # of 16-bit samples, a neighbour counts too
    return float((np.abs(picked - made[kept].flatten()) <= allowed).mean())


def _quiet_before(codes: NDArray[np.integer], coding: Coding) -> NDArray[np.int64]:
    """Returns how many codes before each one are quiet, (clips, time); see `fast_gen.engines.quiet`."""
    silence, reach = coding.silence, quiet_reach(coding)
    runs = [np.full(len(codes), MOST_QUIET)]
    for time in range(codes.shape[1] - 1):
        runs.append(quiet_runs(runs[-1], codes[:, time : time + 1], silence, reach))
    return np.stack(runs, axis=1)


def _condition(weights: GeneratorWeights, clips: int, generator: np.random.Generator) -> ChunkCondition | None:
    """Returns a random condition; None for a model without conditions."""
    if not weights.conditioned:
        return None
    rows = clips if clips <= _OWN_CONDITIONS else 1
    values = generator.normal(0, 0.3, (rows, _STEPS, weights.condition_channels)).astype(np.float32)
    return ChunkCondition(values, _HOLD, _PHASE)


def _of(condition: ChunkCondition | None, clips: NDArray[np.int64]) -> ChunkCondition | None:
    """Returns the condition of some of the clips."""
    if condition is None or len(condition.values) == 1:
        return condition
    return ChunkCondition(condition.values[clips], condition.hold, condition.phase)
