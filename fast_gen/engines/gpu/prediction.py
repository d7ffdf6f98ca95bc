"""The linear predictors of a batch of clips on a GPU: their state, and one step of them in plain torch.

The arithmetic is that of `wavenet_app.network.prediction.predictor` in float64, up to the order of the sums.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.network.prediction.compiled import predict_rows
from wavenet_app.network.prediction.packed import PredictorState, packed_predictor
from wavenet_app.network.prediction.predictor import WHITENING, analysis_window
from wavenet_app.network.prediction.rows import SMALLEST_SIZE, innovation_limits, size_limits, value_limits


class DevicePredictor:
    """Linear predictors whose state lies on the device and is updated in place.

    The newest samples lie in `past`; those after the last solution begin at `frame`. A solution takes in the newest
    sample and moves all samples down, so that this sample lies at `frame - 1`; the step that follows, for which `since`
    is -1, writes it there once more. So a solution may run apart from the step.

    Attributes:
        decoded: (codes,) float64, the waveform value of every code, the lowest first.
        window: (frame,) float64, weights of the samples that the predictor is solved from.
        constants: (4,) float64: decay, factor on the energy, least energy, least size that an innovation is divided by.
        value_limits: (256,) float64, rising; the last is infinite. So are `size_limits` and `innovation_limits`, (64,).
        past: (rows, frame + hop) float64, of which those before `frame + since` are known.
        coefficients: (rows, order) float64; place j is the weight of the sample j + 1 steps back.
        predictions: (rows,) float64, of the next sample.
        sizes: (rows,) float64, running mean magnitude of the residual.
        lags: (rows, order + 1) float64, free memory of a solution.
        since: samples taken in since the last solution.
        since_on_device: the same, as `step` counts it.

    Args:
        weights: of a model with linear prediction.
        rows: number of clips.
        device: "cpu" or "cuda".
    """

    def __init__(self, weights: GeneratorWeights, rows: int, device: str) -> None:
        assert weights.prediction is not None
        self._config = config = weights.prediction
        self._coding = coding = weights.coding
        self.order, self.frame, self.hop, self.lowest = config.order, config.frame, config.step, coding.lowest

        def place(array: NDArray[np.float64]) -> Tensor:
            return torch.tensor(array, dtype=torch.float64, device=device)

        self.decoded = place(coding.decode(np.arange(coding.lowest, coding.lowest + coding.size)).astype(np.float64))
        self.window = place(analysis_window(self.frame))
        self.constants = place(np.array([config.decay, WHITENING, np.finfo(np.float64).tiny, SMALLEST_SIZE]))
        self.value_limits = place(np.append(value_limits(), np.inf))
        self.size_limits = place(np.append(size_limits(), np.inf))
        self.innovation_limits = place(np.append(innovation_limits(), np.inf))
        self.past = place(np.zeros((rows, self.frame + self.hop)))
        self.coefficients = place(np.zeros((rows, self.order)))
        self.predictions, self.sizes = place(np.zeros(rows)), place(np.zeros(rows))
        self.lags = place(np.zeros((rows, self.order + 1)))
        self.since = 0
        self.since_on_device = torch.zeros((), dtype=torch.int64, device=device)
        self._back = torch.arange(self.order, device=device)

    @property
    def state(self) -> tuple[Tensor, ...]:
        """The tensors that `solve` and `step` change."""
        return self.past, self.coefficients, self.predictions, self.sizes, self.since_on_device

    @property
    def solves_next(self) -> bool:
        """Whether the next sample completes a hop, so that a solution comes before its step."""
        return self.since == self.hop - 1

    def advance(self, samples: int) -> None:
        """Counts samples that were taken in; no more than one hop at a time, and a solution only before the first."""
        self.since = (-1 if self.solves_next else self.since) + samples

    def solve(self, codes: Tensor) -> None:
        """Solves all predictors; the newest codes (rows,), integer, complete a hop."""
        self.past[:, -1] = self.decoded[codes.long() - self.lowest]
        samples = self.past[:, self.hop :].clone()
        self.past[:, : self.frame] = samples
        weighted = samples * self.window
        lags = torch.stack(
            [(weighted[:, lag:] * weighted[:, : self.frame - lag]).sum(1) for lag in range(self.order + 1)]
        )
        error = torch.maximum(lags[0] * self.constants[1], self.constants[2])
        found = lags[:0]
        for step in range(self.order):
            reflection = (lags[step + 1] - (found * lags[1 : step + 1].flip(0)).sum(0)) / error
            found = torch.cat([found - reflection * found.flip(0), reflection[None]])
            error = error * (1 - reflection * reflection)
        self.coefficients.copy_(found.T)
        self.since_on_device.fill_(-1)

    def step(self, codes: Tensor) -> Tensor:
        """Takes in the newest codes (rows,), integer; returns the rows of value, size and innovation, (3, rows)."""
        values = self.decoded[codes.long() - self.lowest]
        decay = self.constants[0]
        errors = values - self.predictions
        innovations = errors / torch.maximum(self.sizes, self.constants[3])
        self.sizes.copy_(decay * self.sizes + (1 - decay) * errors.abs())
        place = self.since_on_device + self.frame
        self.past.index_copy_(1, place[None], values[:, None])
        self.predictions.copy_((self.past.index_select(1, place - self._back) * self.coefficients).sum(1))
        self.since_on_device += 1
        return torch.stack(
            [
                torch.searchsorted(self.value_limits, self.predictions, right=True),
                torch.searchsorted(self.size_limits, self.sizes, right=True),
                torch.searchsorted(self.innovation_limits, innovations, right=True),
            ]
        )

    def take_in(self, codes: Tensor) -> Tensor:
        """Takes in known codes (rows, time), time at least 1; returns the rows after each of them, (3, rows, time)."""
        clips, time = codes.shape
        state = PredictorState(
            past=self.past.cpu().numpy().copy(),
            coefficients=self.coefficients.cpu().numpy().copy(),
            predictions=self.predictions.cpu().numpy().copy(),
            sizes=self.sizes.cpu().numpy().copy(),
            innovations=np.zeros(clips),
            since=np.full(clips, self.since),
            space=np.zeros(3 * self.order + 1 + self.frame),
        )
        samples = self._coding.decode(codes.cpu().numpy()).astype(np.float64)
        rows = np.zeros((3, clips, time), np.int64)
        try:
            predict_rows(packed_predictor(self._config), state, samples, *rows)
        except ImportError:  # without numba: the same, sample by sample
            return self._step_through(codes)
        on_device = (self.past, self.coefficients, self.predictions, self.sizes)
        for tensor, array in zip(on_device, state[:4], strict=True):
            tensor.copy_(torch.from_numpy(array))
        self.since = (self.since + time) % self.hop
        self.since_on_device.fill_(self.since)
        return torch.from_numpy(rows).to(codes.device)

    def _step_through(self, codes: Tensor) -> Tensor:
        self.since_on_device.fill_(self.since)
        rows = []
        for newest in codes.unbind(1):
            if self.solves_next:
                self.solve(newest)
            rows.append(self.step(newest))
            self.advance(1)
        return torch.stack(rows, dim=-1)
