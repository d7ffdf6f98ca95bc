"""The engine for the CPU: the whole time loop compiled by numba, one thread, float32."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fast_gen.engine import checked_codes, checked_uniforms
from fast_gen.packing import first_state, pack
from fast_gen.sampling import SamplingSettings
from fast_gen.weights import GeneratorWeights


class NumbaCpu:
    """Compiled queues, float32 arithmetic; see `fast_gen.engine.Engine`.

    A clip is the same to the bit alone and in a batch, and primed or stepped through. The first call ever compiles for
    some seconds; `fast_gen.compiled` says where the result is kept. The global interpreter lock is free meanwhile.

    Args:
        weights: the model.
        device: "cpu".
        precision: one of `precisions`.
        threads: 1.
    """

    devices = ("cpu",)
    precisions = ("float32",)
    summary = "the whole loop compiled"

    @staticmethod
    def missing(
        weights: GeneratorWeights,  # noqa: ARG004 - it runs any model
        device: str,  # noqa: ARG004 - there is one
        precision: str,  # noqa: ARG004 - it runs here in each that it offers
        threads: int,
    ) -> str | None:
        """Returns what keeps it from running so, or None."""
        if threads > 1:
            return f"it takes one thread, not {threads}"
        try:
            import numba  # noqa: F401
        except ImportError as error:
            return f"numba cannot be imported: {error}"
        return None

    @staticmethod
    def preparation(precision: str) -> str | None:  # noqa: ARG004 - all are compiled alike
        """Returns a line for the user if the compiler will have to be waited for, or None."""
        from fast_gen.compiled import first_start

        return first_start()

    def __init__(
        self, weights: GeneratorWeights, device: str = "cpu", precision: str = "float32", threads: int = 1
    ) -> None:
        self.weights = weights
        self.device = device
        self.precision = precision
        self.threads = threads
        self._packed = pack(weights)
        self.reset(1)

    def reset(self, batch_size: int) -> None:
        """Forgets everything: each of `batch_size` rows has one silence code as its history."""
        self.batch_size = batch_size
        self._state = first_state(self.weights, batch_size)

    def prime(self, codes: NDArray[np.integer]) -> None:
        """Appends known codes, layer by layer; see `Engine.prime`."""
        from fast_gen.numba_loop import prime_clip

        known = checked_codes(codes, self)
        if known.shape[1] == 0:
            return
        recent, behind = self._state.recent, self.weights.kernel_size - 1
        # The newest code of the history is consumed now, the newest of `known` by the next call. What lies further
        # back than the receptive field cannot be seen any more.
        reach = self.weights.receptive_field + behind
        read = np.ascontiguousarray(np.concatenate([recent, known[:, :-1]], axis=1)[:, -reach:])
        for clip in range(self.batch_size):
            prime_clip(self._packed, self._state, clip, read[clip])
        self._state.slots[:] = 0
        recent[:] = np.concatenate([recent, known], axis=1)[:, -(behind + 1) :]

    def score(self, codes: NDArray[np.integer]) -> NDArray[np.float32]:
        """Appends known codes step by step and returns the logits of each; see `Engine.score`."""
        known = checked_codes(codes, self)
        logits = np.empty((*known.shape, self.weights.quantization_channels), np.float32)
        self._append(known.astype(np.int16), logits, np.zeros((1, 0), np.float32), SamplingSettings())
        return logits

    def generate(self, uniforms: NDArray[np.float32], settings: SamplingSettings) -> NDArray[np.int16]:
        """Appends codes picked from the logits and returns them; see `Engine.generate`."""
        numbers = checked_uniforms(uniforms, self)
        codes = np.empty(numbers.shape, np.int16)
        self._append(codes, np.empty((1, 1, 0), np.float32), numbers, settings)
        return codes

    def _append(
        self,
        codes: NDArray[np.int16],
        logits: NDArray[np.float32],
        uniforms: NDArray[np.float32],
        settings: SamplingSettings,
    ) -> None:
        from fast_gen.numba_loop import append_codes

        append_codes(
            self._packed,
            self._state,
            codes,
            logits,
            uniforms,
            float(settings.temperature),
            int(settings.top_k),
            float(settings.top_p),
        )
