"""Measures how long training takes on this machine with a few steps."""

from __future__ import annotations

import time

import torch

from wavenet_app.config import PRESETS, preset
from wavenet_app.heads import mean_bits
from wavenet_app.network.model import WaveNet, product_dtype

_TIMED_STEPS = 2


def seconds_per_epoch(num_samples: int, device: str) -> dict[str, float]:
    """Returns the seconds that each preset takes for one pass over `num_samples` training samples.

    The faster of two steps after a warm-up step counts. In all this takes about ten seconds on a CPU.

    Args:
        num_samples: training samples at the corpus's rate.
        device: "cpu", "cuda" or "mps".
    """
    return {name: num_samples * _seconds_per_sample(name, device) for name in PRESETS}


def _seconds_per_sample(name: str, device: str) -> float:
    config = preset(name)
    generator = torch.Generator().manual_seed(0)
    model = WaveNet(config.model, generator).to(device)
    model.product_dtype = product_dtype("auto", device, model.head)
    context, window = config.training_context, config.training.window
    codes = torch.randint(config.model.quantization_channels, (1, context + window), generator=generator).to(device)
    mask = torch.ones(1, window, dtype=torch.bool, device=device)
    took = []
    for _ in range(1 + _TIMED_STEPS):
        began = time.perf_counter()
        loss = mean_bits(model.head.bits(model(codes[:, :-1], context - 1), codes[:, context:]), mask)
        loss.backward()
        loss.item()  # waits for the device
        took.append(time.perf_counter() - began)
    return min(took[1:]) / window
