"""The engine for the CPU: the whole time loop compiled by numba, in the precision asked for, on one core or more."""

from __future__ import annotations

import sys
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fast_gen.condition import ChunkCondition, checked_condition
from fast_gen.engine import PRECISIONS, checked_codes, checked_uniforms
from fast_gen.packing import State, first_state, pack, pack_told
from fast_gen.sampling import SamplingSettings
from fast_gen.together import run_together
from fast_gen.weights import GeneratorWeights


class NumbaCpu:
    """Compiled queues; see `fast_gen.engine.Engine`.

    A clip is the same to the bit alone and in a batch, primed or stepped through, and with any number of threads. The
    first call ever compiles for some seconds; `fast_gen.compiled` says where the result is kept. The global interpreter
    lock is free meanwhile.

    Args:
        weights: the model.
        device: "cpu".
        precision: of the weights. The front and all sums are float32; in "int8" the inputs of the layers are bytes too,
            and the last layer's weights bfloat16.
        threads: each takes some clips of a batch. A single clip has use for two, which then share each sample.
    """

    devices = ("cpu",)
    precisions = PRECISIONS
    summary = "the whole loop compiled"

    @staticmethod
    def missing(
        weights: GeneratorWeights,  # noqa: ARG004 - it runs any model
        device: str,  # noqa: ARG004 - there is one
        precision: str,  # noqa: ARG004 - it runs everywhere in each that it offers
        threads: int,
    ) -> str | None:
        """Returns what keeps it from running so, or None."""
        if threads > 1 and sys.platform == "win32":
            return f"it takes one thread on Windows, not {threads}"
        try:
            import numba  # noqa: F401
        except ImportError as error:
            return f"numba cannot be imported: {error}"
        return None

    @staticmethod
    def preparation(precision: str) -> str | None:
        """Returns a line for the user if the compiler will have to be waited for, or None."""
        from fast_gen.compiled import first_start

        return first_start(precision)

    def __init__(
        self, weights: GeneratorWeights, device: str = "cpu", precision: str = "float32", threads: int = 1
    ) -> None:
        self.weights = weights
        self.device = device
        self.precision = precision
        self.threads = threads
        self._packed = pack(weights, precision)
        self._is_compiled = False
        self.reset(1)

    def reset(self, batch_size: int) -> None:
        """Forgets everything: each of `batch_size` rows has one silence code as its history."""
        self.batch_size = batch_size
        parts = min(self.threads, batch_size)
        borders = [part * batch_size // parts for part in range(parts + 1)]
        self._shares = [slice(*pair) for pair in pairwise(borders)]
        self._states: list[State] = [first_state(self._packed, share.stop - share.start) for share in self._shares]

    def prime(self, codes: NDArray[np.integer], condition: ChunkCondition | None = None) -> None:
        """Appends known codes, layer by layer; see `Engine.prime`."""
        from fast_gen.numba_loop import prime_clips

        known = checked_codes(codes, self)
        told = checked_condition(condition, self, known.shape[1])
        if known.shape[1] == 0:
            return
        behind = self.weights.kernel_size - 1
        # The newest code of the history is consumed now, the newest of `known` by the next call. What lies further
        # back than the receptive field cannot be seen any more.
        reach = self.weights.receptive_field + behind
        jobs = []
        for share, state in zip(self._shares, self._states, strict=True):
            history = np.concatenate([state.recent, known[share]], axis=1)
            read = np.ascontiguousarray(history[:, :-1][:, -reach:])
            steps = read.shape[1] - behind
            of_these = None if told is None else told.part(known.shape[1] - steps, steps)
            jobs.append(partial(prime_clips, self._packed, state, read, *self._told(of_these, share)))
            state.recent[:] = history[:, -(behind + 1) :]
        run_together(jobs)

    def score(self, codes: NDArray[np.integer], condition: ChunkCondition | None = None) -> NDArray[np.float32]:
        """Appends known codes step by step and returns the logits of each; see `Engine.score`."""
        known = checked_codes(codes, self)
        logits = np.empty((*known.shape, self.weights.quantization_channels), np.float32)
        numbers = np.zeros((self.batch_size, 0), np.float32)
        self._append(known.astype(np.int16), logits, numbers, SamplingSettings(), condition)
        return logits

    def generate(
        self, uniforms: NDArray[np.float32], settings: SamplingSettings, condition: ChunkCondition | None = None
    ) -> NDArray[np.int16]:
        """Appends codes picked from the logits and returns them; see `Engine.generate`."""
        numbers = checked_uniforms(uniforms, self)
        codes = np.empty(numbers.shape, np.int16)
        self._append(codes, np.empty((self.batch_size, 1, 0), np.float32), numbers, settings, condition)
        return codes

    def _append(
        self,
        codes: NDArray[np.int16],
        logits: NDArray[np.float32],
        uniforms: NDArray[np.float32],
        settings: SamplingSettings,
        condition: ChunkCondition | None,
    ) -> None:
        from fast_gen.compiled import CACHE
        from fast_gen.numba_flags import STOP, first_flags
        from fast_gen.numba_loop import append_codes, help_along

        told = checked_condition(condition, self, codes.shape[1])
        with_helper = self.threads > self.batch_size == 1
        flags = first_flags() if with_helper else np.zeros(0, np.int64)
        how = (float(settings.temperature), int(settings.top_k), float(settings.top_p))
        jobs: list[Any] = [
            partial(
                append_codes,
                self._packed,
                state,
                flags,
                codes[share],
                logits[share],
                uniforms[share],
                *how,
                *self._told(told, share),
            )
            for share, state in zip(self._shares, self._states, strict=True)
        ]
        if with_helper:
            jobs.append(partial(help_along, self._packed, self._states[0], flags, codes.shape[1]))
            run_together(jobs, give_up=partial(flags.__setitem__, STOP, 1))
        else:
            run_together(jobs)
        if not self._is_compiled:
            CACHE.remember(self.precision)
            self._is_compiled = True

    def _told(self, condition: ChunkCondition | None, clips: slice) -> tuple[NDArray[np.float32], int, int]:
        """Returns what the compiled loop is to add for some clips, with its hold and phase."""
        hold, phase = (1, 0) if condition is None else (condition.hold, condition.phase)
        return pack_told(condition, self.weights, clips), hold, phase
