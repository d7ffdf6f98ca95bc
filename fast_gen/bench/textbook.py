"""The textbook generator as a baseline: a queue for each layer, eager torch, layer by layer."""

from __future__ import annotations

from collections import deque

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from fast_gen.engines.prediction_input import PredictionInput
from fast_gen.engines.sampling import SamplingSettings, pick_by_head
from fast_gen.engines.weights import GeneratorWeights

NOTHING = -(2**31)
"""Marks the time before the first code; outside the range of samples."""


class Textbook:
    """Fast WaveNet as tutorials write it (Le Paine et al. 2016): a deque of past inputs for each layer.

    It is not an engine, as it only generates; its codes equal those of the engines in float32, up to rounding.

    Args:
        weights: the model.
    """

    def __init__(self, weights: GeneratorWeights) -> None:
        self.weights = weights
        self.front, self.front_bias = torch.tensor(weights.front_tables), torch.tensor(weights.front_bias)
        # (out, in), as the weight of a layer in torch
        self.taps = [[torch.tensor(tap.T.copy()) for tap in layer] for layer in weights.dilated]
        self.dilated_biases = [torch.tensor(bias) for bias in weights.dilated_biases]
        self.residuals = [torch.tensor(matrix.T.copy()) for matrix in weights.residual]
        self.residual_biases = [torch.tensor(bias) for bias in weights.residual_biases]
        self.skips = [torch.tensor(matrix.T.copy()) for matrix in weights.skip]
        self.skip_bias = torch.tensor(weights.skip_bias)
        self.output1, self.output1_bias = torch.tensor(weights.output1.T.copy()), torch.tensor(weights.output1_bias)
        self.output2, self.output2_bias = torch.tensor(weights.output2.T.copy()), torch.tensor(weights.output2_bias)
        self.reset(1)

    def reset(self, batch_size: int) -> None:
        """Resets the history to one silence code."""
        weights, taps = self.weights, self.weights.kernel_size
        self.prediction = PredictionInput(weights, batch_size, "cpu") if weights.prediction else None
        nothing = torch.zeros(batch_size, weights.residual_channels)
        self.queues = [deque([nothing] * ((taps - 1) * dilation)) for dilation in weights.dilations]
        self.codes = deque([torch.full((batch_size,), NOTHING)] * (taps - 1), maxlen=taps)
        self.codes.append(torch.full((batch_size,), weights.coding.silence))

    def step(self) -> Tensor:
        """Returns the outputs (batch, output_channels) for the next sample."""
        hidden = self.front_bias
        for table, codes in zip(self.front, self.codes, strict=True):
            if self.weights.head.one_hot_front:
                added = F.embedding(codes.clamp(min=0), table)
            else:
                added = codes[:, None] * table
            hidden = hidden + torch.where((codes != NOTHING)[:, None], added, 0)
        if self.prediction is not None:
            hidden = hidden + self.prediction.append(self.codes[-1])
        total = self.skip_bias
        for layer, (queue, dilation) in enumerate(zip(self.queues, self.weights.dilations, strict=True)):
            queue.append(hidden)
            gates = self.dilated_biases[layer]
            for tap, matrix in enumerate(self.taps[layer]):
                gates = gates + F.linear(queue[tap * dilation], matrix)
            queue.popleft()
            filtered, gate = gates.chunk(2, dim=1)
            activated = torch.tanh(filtered) * torch.sigmoid(gate)
            total = total + F.linear(activated, self.skips[layer])
            hidden = hidden + F.linear(activated, self.residuals[layer], self.residual_biases[layer])
        hidden = F.relu(F.linear(F.relu(total), self.output1, self.output1_bias))
        outputs = F.linear(hidden, self.output2, self.output2_bias)
        self.weights.head.add_newest(outputs, self.codes[-1])
        return outputs

    @torch.inference_mode()
    def generate(self, numbers: NDArray[np.float32], settings: SamplingSettings) -> NDArray[np.int16]:
        """Returns codes (batch, time) that continue the history."""
        picked = []
        for number in torch.from_numpy(numbers).unbind(1):
            picked.append(pick_by_head(self.weights.head, self.step(), number, settings))
            self.codes.append(picked[-1])
        return torch.stack(picked, dim=1).numpy().astype(np.int16)
