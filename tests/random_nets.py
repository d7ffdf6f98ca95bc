"""Nets in which each weight matters, codes and conditions for them, and what the full network says of these."""

import numpy as np
import torch
from numpy.typing import NDArray

from wavenet_app.config import MelConfig, ModelConfig, PredictionConfig
from wavenet_app.core.dilation import dilation_cycle
from wavenet_app.network.conditioning import CONTEXT_FRAMES, Conditioning
from wavenet_app.network.model import UNCONDITIONED

Codes = NDArray[np.integer]

SHAPES = {
    "two cycles": ModelConfig(
        residual_channels=8,
        dilation_channels=8,
        skip_channels=16,
        dilations=dilation_cycle(6, repeats=2),
        quantization_channels=64,
    ),
    "odd widths": ModelConfig(
        residual_channels=7,
        dilation_channels=5,
        skip_channels=11,
        dilations=(1, 3, 2, 7),
        quantization_channels=32,
    ),
    "three taps": ModelConfig(
        residual_channels=6,
        dilation_channels=9,
        skip_channels=10,
        kernel_size=3,
        dilations=(1, 2, 4, 8, 1, 5),
        quantization_channels=32,
    ),
    "one layer": ModelConfig(
        residual_channels=4, dilation_channels=4, skip_channels=4, dilations=(1,), quantization_channels=16
    ),
    "one channel": ModelConfig(
        residual_channels=1, dilation_channels=1, skip_channels=1, dilations=(2, 1), quantization_channels=4
    ),
    "dilation larger than the clip": ModelConfig(
        residual_channels=6, dilation_channels=6, skip_channels=8, kernel_size=3, dilations=(1, 5000, 2)
    ),
}

LOGISTICS = {"head": "logistics", "mixtures": 3, "quantization_channels": 256}

GAUSSIAN = {"head": "gaussian", "quantization_channels": 256}
"""Changes that give a shape another head."""

PREDICTION = {"prediction": PredictionConfig(order=5, window=24, hop=7, innovation=True)}
"""Changes that give a shape linear prediction as an input; no length is a multiple of another."""


def random_net(config: ModelConfig, seed: int = 0) -> torch.nn.Module:
    """A net with random weights and biases, so varied that even greedy decoding does not become constant."""
    from wavenet_app.network.model import WaveNet

    generator = torch.Generator().manual_seed(seed)
    net = WaveNet(config, generator)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(std=0.1 if "output" in name else 0.3, generator=generator)
            elif "residual" in name or "skip" in name:
                parameter *= 4
            elif "output" not in name:
                parameter *= 2
        if net.prediction is not None:
            for table in net.prediction.parameters():
                table.normal_(generator=generator)
        net.output2.weight.normal_(std=config.skip_channels**-0.5, generator=generator)
        if not net.head.ranks_codes:  # numbers of a distribution that lies between -1 and 1
            net.output2.weight *= 0.1
            net.output2.weight[net.head.means] *= 0.1  # so that a clip does not drift to the limit at once
            net.output2.bias.copy_(net.head.initial_bias())
    return net


def random_codes(config: ModelConfig, rows: int, length: int, seed: int = 0) -> Codes:
    generator = np.random.default_rng(seed)
    if config.output_head.ranks_codes:
        return generator.integers(0, config.quantization_channels, (rows, length))
    return config.coding.encode(generator.normal(0, 0.2, (rows, length))).astype(np.int64)


def full_network(
    net: torch.nn.Module, codes: Codes, conditioning: Conditioning = UNCONDITIONED, phase: int = 0
) -> torch.Tensor:
    """Outputs (batch, time, channels) about each of `codes` after the engine's first history, by the full forward."""
    silence = np.full((len(codes), 1), net.config.coding.silence)
    history = np.concatenate([silence, codes[:, :-1]], axis=1)
    with torch.no_grad():
        return net.forward_by_blocks(torch.from_numpy(history).long(), conditioning, phase)


MEL = MelConfig(n_mels=5, hop_length=12, upsampling=3).resolved(1_000)

CONDITIONED = {
    "speakers": {"speakers": ("ann", "jo", "theo")},
    "mel": {"mel": MEL, "local_channels": 6},
    "speakers and mel": {"speakers": ("ann", "jo"), "global_channels": 3, "mel": MEL, "local_channels": 6},
}


def random_conditioning(config: ModelConfig, rows: int, samples: int, seed: int = 0) -> Conditioning:
    """Mixed voices, and frames of noise that cover `samples` samples and one hop more."""
    generator = torch.Generator().manual_seed(seed)
    shares = torch.rand(rows, len(config.speakers), generator=generator)
    speakers = shares / shares.sum(1, keepdim=True) if config.speakers else None
    if config.mel is None:
        return Conditioning(speakers)
    count = samples // config.mel.hop + 2 + 2 * CONTEXT_FRAMES
    return Conditioning(speakers, 4 * torch.randn(rows, count, config.mel.columns, generator=generator) - 2)
