"""The engine for the CPU: the whole time loop compiled by numba, in the precision asked for, on one core or more."""

from __future__ import annotations

import sys
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fast_gen.engines.base import BaseEngine
from fast_gen.engines.condition import ChunkCondition
from fast_gen.engines.contract import PRECISIONS, checked_codes, checked_condition, checked_uniforms
from fast_gen.engines.cpu.functions import append_codes, compiling_line, help_along, prime_clips
from fast_gen.engines.cpu.packing import State, first_state, pack, pack_condition, prime_space
from fast_gen.engines.cpu.sharing import Sharing
from fast_gen.engines.cpu.threads import STOP, first_flags, run_together
from fast_gen.engines.quiet import quiet_reach, quiet_runs
from fast_gen.engines.sampling import SamplingSettings
from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.heads import DEFAULT_HEAD, Head
from wavenet_app.network.prediction.compiled import predict_rows

STEPPED_CODES = 8192
"""Up to this number of codes in all, stepping takes less time than compiling the parallel pass."""


class NumbaCpu(BaseEngine):
    """Compiled queues; see `fast_gen.engines.contract.Engine`.

    A clip is the same to the bit alone and in a batch, primed or stepped through, and with any number of threads. The
    first call ever compiles for some seconds; `fast_gen.engines.cpu.functions` says where the result is kept. The
    global interpreter lock is free meanwhile.

    Args:
        weights: the model.
        device: "cpu".
        precision: of the weights. The front and all sums are float32; in "int8" the inputs of the layers are bytes too,
            and the last layer's weights bfloat16.
        threads: each takes some clips of a batch. A single clip has use for two, which share each sample as
            long as that is faster than one alone.
    """

    devices = ("cpu",)
    precisions = PRECISIONS
    summary = "the whole loop compiled"
    predicts = True

    @classmethod
    def missing(
        cls,
        weights: GeneratorWeights,
        device: str,  # noqa: ARG003 - there is one
        precision: str,
        threads: int,
    ) -> str | None:
        """Returns what keeps the engine from running a model so, or None."""
        if threads > 1 and sys.platform == "win32":
            return f"it takes one thread on Windows, not {threads}"
        try:
            if not is_compiled(precision, threads, weights.head):
                import numba  # noqa: F401
        except ImportError as error:
            return f"numba cannot be imported: {error}"
        return None

    @classmethod
    def preparation(cls, weights: GeneratorWeights, precision: str, threads: int) -> str | None:
        """Returns a line for the user if the first call waits for the compiler, or None."""
        return None if is_compiled(precision, threads, weights.head) else compiling_line(precision)

    def _load(self) -> None:
        self._packed = pack(self.weights, self.precision)
        self._sharing = Sharing()

    @property
    def remark(self) -> str | None:
        """A line for the user about how samples were made; see `BaseEngine.remark`."""
        return self._sharing.remark

    def reset(self, batch_size: int) -> None:
        """Forgets everything: each of `batch_size` rows has one silence code as its history."""
        self.batch_size = batch_size
        parts = min(self.threads, batch_size)
        borders = [part * batch_size // parts for part in range(parts + 1)]
        self._shares = [slice(*pair) for pair in pairwise(borders)]
        self._states: list[State] = [
            first_state(self._packed, self.weights.head, share.stop - share.start, self.weights.prediction)
            for share in self._shares
        ]

    def prime(self, codes: NDArray[np.integer], condition: ChunkCondition | None = None) -> None:
        """Appends known codes, layer by layer; see `Engine.prime`."""
        known = checked_codes(codes, self)
        checked = checked_condition(condition, self, known.shape[1])
        if known.shape[1] == 0:
            return
        behind = self.weights.kernel_size - 1
        # What lies further back than the receptive field cannot be seen any more.
        reach = self.weights.receptive_field + behind
        count = min(known.shape[1], reach)
        if self.batch_size * count <= STEPPED_CODES:
            of_these = None if checked is None else checked.part(known.shape[1] - count, count)
            self._pass_over(known[:, :-count])
            self.score(known[:, -count:], of_these)
            return
        self._count_quiet(known)
        # The newest code of the history is consumed now, the newest of `known` by the next call.
        jobs = []
        for share, state in zip(self._shares, self._states, strict=True):
            history = np.concatenate([state.recent, known[share]], axis=1)
            read = np.ascontiguousarray(history[:, :-1][:, -reach:])
            steps = read.shape[1] - behind
            of_these = None if checked is None else checked.part(known.shape[1] - steps, steps)
            space = prime_space(self._packed, steps)
            rows = self._predicted(state, history[:, behind:-1], steps)
            condition_here = self._packed_condition(of_these, share)
            jobs.append(partial(prime_clips, self._packed, state, read, rows, space, *condition_here))
            state.recent[:] = history[:, -(behind + 1) :]
        run_together(jobs)

    def _pass_over(self, known: NDArray[np.int64]) -> None:
        """Appends codes that the net cannot see any more, but the linear predictor remembers."""
        if known.shape[1] == 0:
            return
        self._count_quiet(known)
        taps = self.weights.kernel_size
        for share, state in zip(self._shares, self._states, strict=True):
            history = np.concatenate([state.recent, known[share]], axis=1)
            self._predicted(state, history[:, taps - 1 : -1], 0)
            state.recent[:] = history[:, -taps:]

    def _count_quiet(self, known: NDArray[np.int64]) -> None:
        """Counts how many of the newest codes are quiet after known codes."""
        coding = self.weights.coding
        for share, state in zip(self._shares, self._states, strict=True):
            state.quiet_runs[:] = quiet_runs(state.quiet_runs, known[share], coding.silence, quiet_reach(coding))

    def _predicted(self, state: State, codes: NDArray[np.int64], steps: int) -> NDArray[np.int64]:
        """Takes the linear predictors through codes (batch, time); returns the rows after the last `steps` of them.

        They are (3, batch, steps); there are no steps for a model without linear prediction.
        """
        if self.weights.prediction is None:
            return np.zeros((3, len(codes), 0), np.int64)
        rows = np.zeros((3, *codes.shape), np.int64)
        samples = self.weights.coding.decode(codes).astype(np.float64)
        predict_rows(self._packed.predictor, state.predictor, samples, *rows)
        return np.ascontiguousarray(rows[:, :, codes.shape[1] - steps :])

    def score(self, codes: NDArray[np.integer], condition: ChunkCondition | None = None) -> NDArray[np.float32]:
        """Appends known codes step by step and returns the logits of each; see `Engine.score`."""
        known = checked_codes(codes, self)
        logits = np.empty((*known.shape, self.weights.output_channels), np.float32)
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
        checked = checked_condition(condition, self, codes.shape[1])

        def make(first: int, last: int, shared: bool) -> None:
            part = slice(first, last)
            of_these = None if checked is None else checked.part(first, last - first)
            flags = first_flags()
            jobs = self._jobs(codes[:, part], logits[:, part], uniforms[:, part], settings, of_these, flags, shared)
            run_together(jobs, give_up=partial(flags.__setitem__, STOP, 1))

        if self.threads > self.batch_size == 1:
            self._sharing.run(codes.shape[1], make)
        else:
            make(0, codes.shape[1], False)

    def _jobs(
        self,
        codes: NDArray[np.int16],
        logits: NDArray[np.float32],
        uniforms: NDArray[np.float32],
        settings: SamplingSettings,
        checked: ChunkCondition | None,
        flags: NDArray[np.int64],
        shared: bool,
    ) -> list[partial[None]]:
        """Returns calls of compiled functions that append codes together.

        With `shared` there are two for one clip, which wait for each other by `flags`.
        """
        jobs = [
            partial(
                append_codes,
                self._packed,
                state,
                flags if shared else flags[:0],
                codes[share],
                logits[share],
                uniforms[share],
                settings.numbers,
                *self._packed_condition(checked, share),
            )
            for share, state in zip(self._shares, self._states, strict=True)
        ]
        if shared:
            jobs.append(partial(help_along, self._packed, self._states[0], flags, codes.shape[1]))
        return jobs

    def compiled_calls(self) -> list[partial[None]]:
        """Returns calls, of no codes, of all that is compiled to generate one clip."""
        codes, nothing = np.empty((1, 0), np.int16), np.empty((1, 0), np.float32)
        shared = self.threads > 1
        calls = self._jobs(codes, nothing[:, None], nothing, SamplingSettings(), None, first_flags(), shared)
        rows = np.zeros((3, 1, 0), np.int64)
        # what is primed may reach further back than the receptive field
        predict = partial(predict_rows, self._packed.predictor, self._states[0].predictor, np.zeros((1, 0)), *rows)
        return [*calls, predict]

    def _packed_condition(self, condition: ChunkCondition | None, clips: slice) -> tuple[NDArray[np.float32], int, int]:
        """Returns what the compiled loop is to add for some clips, with its hold and phase."""
        hold, phase = (1, 0) if condition is None else (condition.hold, condition.phase)
        return pack_condition(condition, self.weights, clips), hold, phase


def is_compiled(precision: str, threads: int, head: Head = DEFAULT_HEAD) -> bool:
    """Returns whether an engine needs no compiler to generate, whatever the model behind such a head."""
    return all(call.func.is_kept(*call.args) for call in _calls(precision, threads, head))


def compile_ahead(precision: str, threads: int, head: Head = DEFAULT_HEAD) -> None:
    """Compiles and keeps what an engine of any model with such a head needs to generate."""
    for call in _calls(precision, threads, head):
        call.func.get_ready(*call.args)


def _calls(precision: str, threads: int, head: Head) -> list[Any]:
    """Returns calls of all that is compiled; only a last layer of another type makes it another program."""
    return NumbaCpu(GeneratorWeights.smallest(head), precision=precision, threads=threads).compiled_calls()
