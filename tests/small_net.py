"""A WaveNet without zero parameters, which could hide errors in tests."""

import torch

from wavenet_app.config import ModelConfig
from wavenet_app.network.model import WaveNet


def net(config: ModelConfig, seed: int = 0) -> WaveNet:
    generator = torch.Generator().manual_seed(seed)
    model = WaveNet(config, generator)
    for parameter in model.parameters():
        # output2 and the biases start at zero, which would hide errors
        parameter.data.add_(torch.randn(parameter.shape, generator=generator), alpha=0.3)
    return model
