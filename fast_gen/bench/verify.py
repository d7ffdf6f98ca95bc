"""The error of an engine's arithmetic: its logits, bits and samples beside those of the full network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from fast_gen.engines.condition import ChunkCondition, projected
from fast_gen.engines.contract import Engine
from fast_gen.engines.sampling import SamplingSettings, pick_by_head, uniforms
from wavenet_app.audio.mel import silent_conditioning
from wavenet_app.network.conditioning import CONTEXT_FRAMES, Conditioning
from wavenet_app.network.model import WaveNet

GENERATED_SAMPLES = 1_000
"""Samples that are generated and compared with the full network."""


@dataclass(frozen=True)
class Verification:
    """The comparison of an engine with the full network.

    Attributes:
        greatest_logit_difference: over all outputs of the last layer and all scored samples.
        bits: per sample, of the engine.
        reference_bits: per sample, of the full network on the same samples.
        samples_equal: share, from 0 to 1, of generated samples that the full network picks too, given the same past
            and the same random numbers; of 16-bit samples, a neighbour counts too.
    """

    greatest_logit_difference: float
    bits: float
    reference_bits: float
    samples_equal: float

    @property
    def bits_cost(self) -> float:
        """Bits per sample that the engine needs beyond the full network."""
        return self.bits - self.reference_bits


def verify(engine: Engine, model: WaveNet, codes: NDArray[np.integer], seed: int = 0) -> Verification:
    """Scores codes and generates some with an engine, and does the same with the full network.

    Each clip starts after a receptive field of silence, as in training. Conditioning is the mean of all speakers and
    frames of silence.

    Args:
        engine: of the model; its state is lost.
        model: the full network, on any device.
        codes: (batch, time), best of held-out recordings.
        seed: of the generated samples.

    Raises:
        ValueError: `codes` has the wrong shape or codes outside the range of the model.
    """
    codes = np.asarray(codes)
    silence = np.full(model.config.context, model.config.coding.silence)
    numbers, settings = uniforms(seed, rows=1, length=GENERATED_SAMPLES), SamplingSettings()
    conditioning = _conditioning(model, len(silence) + max(codes.shape[1], GENERATED_SAMPLES))
    condition = projected(model, conditioning)

    def part(start: int, samples: int) -> ChunkCondition | None:
        return None if condition is None else condition.part(start, samples)

    difference, bits, reference_bits = 0.0, 0.0, 0.0
    # clip by clip, as the logits of a batch would take gigabytes
    for clip in codes:
        engine.reset(1)
        engine.prime(silence[None], part(0, len(silence)))
        found = torch.from_numpy(engine.score(clip[None], part(len(silence), len(clip)))[0])
        reference = _full_network(model, silence, clip, conditioning)
        difference = max(difference, float((found - reference).abs().max()))
        bits += _total_bits(model, found, clip)
        reference_bits += _total_bits(model, reference, clip)
    engine.reset(1)
    engine.prime(silence[None], part(0, len(silence)))
    generated = engine.generate(numbers, settings, part(len(silence), GENERATED_SAMPLES))[0]
    outputs = _full_network(model, silence, generated, conditioning)
    picked = pick_by_head(model.head, outputs, torch.from_numpy(numbers[0]), settings).numpy()
    # in a few of a thousand 16-bit samples, rounding decides between two
    allowed = 0 if model.head.ranks_codes else 1
    samples_equal = float((np.abs(picked - generated) <= allowed).mean())
    return Verification(difference, bits / codes.size, reference_bits / codes.size, samples_equal)


def _conditioning(model: WaveNet, samples: int) -> Conditioning:
    """Returns the mean of all speakers and frames of silence for a number of samples."""
    config, device = model.config, next(model.parameters()).device
    speakers = frames = None
    if config.speakers:
        speakers = torch.full((1, len(config.speakers)), 1 / len(config.speakers), device=device)
    if config.mel is not None:
        count = -(-samples // config.mel.hop) + 2 * CONTEXT_FRAMES
        frames = torch.from_numpy(silent_conditioning(config.mel, count))[None].to(device)
    return Conditioning(speakers, frames)


def _full_network(
    model: WaveNet, before: NDArray[np.integer], codes: NDArray[np.integer], conditioning: Conditioning
) -> torch.Tensor:
    """Returns the outputs (time, channels) for each code of one clip, given the codes before it."""
    history = np.concatenate([before[:1], before, codes[:-1]]).astype(np.int64)
    device = next(model.parameters()).device
    with torch.no_grad():
        return (
            model.forward_by_blocks(torch.from_numpy(history)[None].to(device), conditioning)[0, len(before) :]
            .float()
            .cpu()
        )


def _total_bits(model: WaveNet, outputs: torch.Tensor, codes: NDArray[np.integer]) -> float:
    """Returns the bits of codes (time,) under distributions (time, channels)."""
    targets = torch.from_numpy(codes.astype(np.int64))
    return float(model.head.bits(outputs[None], targets[None]).double().sum())
