"""The engine for a GPU: one launch takes every clip through a whole chunk."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from fast_gen.engine import checked_codes, checked_uniforms
from fast_gen.gpu_packing import first_rings, pack, prime
from fast_gen.sampling import SamplingSettings
from fast_gen.weights import GeneratorWeights

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}

BLOCK_WEIGHTS = 8_192
"""Weights of an output layer that a program multiplies at a time: as many as its registers hold with ease."""


class TritonGpu:
    """Queues in device memory and one persistent program for each tile of clips; see `fast_gen.engine.Engine`.

    A clip is the same to the bit in any batch of up to `FEW_CLIPS`; in larger ones, whose products are tensor cores',
    it agrees up to rounding. The first call ever compiles for some seconds; Triton keeps the result in its cache.

    Args:
        weights: the model.
        device: "cuda"; also "cpu" if Triton interprets its kernels, as the tests let it.
        precision: type of the products' operands; sums are float32.
    """

    devices = ("cuda",)
    summary = "the whole loop in one kernel"
    precisions = tuple(DTYPES)

    @staticmethod
    def missing(weights: GeneratorWeights, device: str) -> str | None:  # noqa: ARG004 - it runs any model
        """Returns what keeps it from running on a device, or None."""
        if not torch.cuda.is_available():
            return "torch sees no CUDA device"
        return None

    def __init__(self, weights: GeneratorWeights, device: str = "cuda", precision: str = "float32") -> None:
        self.weights = weights
        self.device = device
        self._dtype = DTYPES[precision]
        self._model = pack(weights, device, self._dtype)
        self.reset(1)

    def reset(self, batch_size: int, tile: int = 1) -> None:
        self.batch_size = batch_size
        self._tile = tile
        rows = -(-batch_size // self._tile) * self._tile
        self._rings = first_rings(self.weights, rows, self.device, self._dtype)
        self._vectors = torch.empty(2, rows, len(self._model.skip_bias), dtype=self._dtype, device=self.device)

    def prime(self, codes: NDArray[np.integer]) -> None:
        known = checked_codes(codes, self)
        if known.shape[1]:
            prime(self._model, self._rings, self._on_device(known), self.weights.receptive_field)

    def score(self, codes: NDArray[np.integer]) -> NDArray[np.float32]:
        known = self._on_device(checked_codes(codes, self).astype(np.int16)).T.contiguous()
        channels = len(self._model.output2_bias)
        logits = torch.empty(*known.shape, channels, dtype=torch.float32, device=self.device)
        self._append(known, logits, logits, SamplingSettings(), score=True)
        logits = logits[:, : self.batch_size, : self.weights.quantization_channels]
        return np.ascontiguousarray(logits.transpose(0, 1).cpu().numpy())

    def generate(self, uniforms: NDArray[np.float32], settings: SamplingSettings) -> NDArray[np.int16]:
        numbers = self._on_device(checked_uniforms(uniforms, self)).T.contiguous()
        codes = torch.empty(numbers.shape, dtype=torch.int16, device=self.device)
        self._append(codes, numbers, numbers, settings, score=False)
        return np.ascontiguousarray(codes[:, : self.batch_size].T.cpu().numpy())

    def _on_device(self, array):
        """(rows, time)"""
        rows = len(self._rings.recent)
        whole = np.zeros((rows, array.shape[1]), array.dtype)
        whole[: len(array)] = array
        return torch.from_numpy(whole).to(self.device)

    def _append(self, codes, logits, uniforms, settings, score) -> None:
        from fast_gen.triton_loop import append_codes

        steps, rows = codes.shape
        if steps == 0:
            return
        model = self._model
        skip, channels = model.output2.shape
        controls = [settings.temperature, settings.top_k or channels, settings.top_p]
        append_codes[(rows // self._tile,)](
            *model,
            self._rings.slots,
            self._rings.recent,
            self._vectors,
            codes,
            logits,
            uniforms,
            torch.tensor(controls, dtype=torch.float64, device=self.device),
            self._rings.time,
            steps,
            rows,
            len(self.weights.dilations),
            CODES=self.weights.quantization_channels,
            KERNEL_SIZE=self.weights.kernel_size,
            R=model.residuals.shape[2],
            D=model.residuals.shape[1],
            S=skip,
            Q=channels,
            ROWS=self._tile,
            BLOCK=min(skip, max(16, BLOCK_WEIGHTS // max(skip, channels))),
            STAGES=1,
            SCORE=score,
            GREEDY=settings.temperature == 0,
            SELECT=bool(settings.top_k or settings.top_p < 1),
        )
        self._rings.advance(steps)
