"""Linear prediction in plain torch, step by step: what it adds to the first layer's input."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.network.prediction.predictor import Predictor


class PredictionInput:
    """What linear prediction adds to the first layer's input, for a batch of clips.

    Args:
        weights: of a model with linear prediction.
        batch_size: number of clips.
        device: "cpu" or "cuda", of the result.
    """

    def __init__(self, weights: GeneratorWeights, batch_size: int, device: str) -> None:
        assert weights.prediction is not None
        self._predictor = Predictor(weights.prediction, batch_size)
        self._coding = weights.coding
        self._values = torch.tensor(weights.prediction_values, device=device)
        self._sizes = torch.tensor(weights.prediction_sizes, device=device)
        self._innovations = torch.tensor(weights.prediction_innovations, device=device)

    def append(self, codes: Tensor) -> Tensor:
        """Takes the next code of each clip, (batch,), and returns what is added: (batch, residual_channels)."""
        self._predictor.append(self._coding.decode(codes.cpu().numpy()))
        values, sizes, innovations = torch.from_numpy(self._predictor.rows()).to(codes.device)
        added = F.embedding(values, self._values) + F.embedding(sizes, self._sizes)
        return added + F.embedding(innovations, self._innovations)
