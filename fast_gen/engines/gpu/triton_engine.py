"""The engine for a GPU: one launch takes every clip through a whole chunk."""

from __future__ import annotations

import os
import shutil
import sysconfig
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fast_gen.engines.base import BaseEngine
from fast_gen.engines.condition import ChunkCondition
from fast_gen.engines.contract import checked_codes, checked_condition, checked_uniforms
from fast_gen.engines.gpu.device import gpu_in_words, missing_gpu
from fast_gen.engines.gpu.launch_limit import LaunchLimit
from fast_gen.engines.gpu.packing import (
    PackedCondition,
    condition_parts,
    count_quiet,
    first_rings,
    pack,
    padded,
    prime,
)
from fast_gen.engines.gpu.prediction import DevicePredictor
from fast_gen.engines.quiet import quiet_reach
from fast_gen.engines.sampling import SamplingSettings
from fast_gen.engines.weights import GeneratorWeights

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}

FEW_CLIPS = 32
"""Up to this number, each clip has its own program; more share the reading of weights, and tensor cores."""

WIDEST = 65_536
"""Padded weights of the widest matrix of a layer: more do not fit into a program's registers."""

SOLVED_AT_ONCE = 1_024
"""Samples of the past that a solution of the linear predictors reads at a time."""

BLOCK_WEIGHTS = 8_192
"""Weights of an output layer that a program multiplies at a time: as many as its registers easily hold."""

EXCHANGE_BYTES = 16_384
"""Shared memory for operands on their way between threads, besides the weights of two layers."""

FETCHES_AHEAD = (3, 7)
"""Release of Triton from which a program of one row that fetches weights ahead keeps to its registers; 3.6 did not."""

LEAST_TRITON = (3, 6)
"""That of the oldest torch that the package takes, which brings it; older ones are untried."""

LEAST_CAPABILITY = (8, 0)
"""Of the GPU: the first that has bfloat16, and that Triton is tested on."""


class Plan(NamedTuple):
    """How a batch is divided.

    Attributes:
        rows: of one program: 1, or a multiple of 16 for tensor cores.
        warps: of one program, 32 threads each.
        stages: 3 if the weights of the next layer are fetched while one is computed, else 1. With 2, Triton has one
            buffer, and waits for it.
    """

    rows: int
    warps: int
    stages: int


class TritonGpu(BaseEngine):
    """Queues in device memory, and one program for each tile of clips that lives as long as the chunk.

    A clip is the same to the bit in any batch of up to `FEW_CLIPS`; in larger ones it agrees up to rounding. See
    `fast_gen.engines.contract.Engine`.

    Args:
        weights: the model.
        device: "cuda"; also "cpu" where Triton interprets its kernels, as the tests let it.
        precision: of the products' operands, weights as well as activations; sums are float32.
        threads: 1.

    Raises:
        UserError: the GPU is full, taken or broken, here and in each call.
    """

    devices = ("cuda",)
    precisions = tuple(DTYPES)
    summary = "the whole loop in one kernel"
    predicts = True

    @classmethod
    def _missing_hardware(cls, weights: GeneratorWeights, device: str) -> str | None:  # noqa: ARG003 - there is one
        if (missing := missing_gpu()) is not None:
            return missing
        if (missing := _missing_triton()) is not None:
            return missing
        capability = torch.cuda.get_device_capability()
        if capability < LEAST_CAPABILITY:
            name = torch.cuda.get_device_name()
            return f"it needs a GPU of compute capability 8.0 or newer, and {name} has {capability[0]}.{capability[1]}"
        if widest_matrix(weights) > WIDEST:
            return "the model's layers are too wide for it"
        return _missing_compiler()

    @classmethod
    def preparation(cls, weights: GeneratorWeights, precision: str, threads: int) -> str | None:  # noqa: ARG003 - for each
        """Returns a line for the user if the first call waits for the compiler, or None."""
        from triton import knobs

        with suppress(OSError):
            if any(Path(knobs.cache.dir).glob("*/append_codes.cubin")):
                return None
        return "compiling the engine, which takes some seconds, once on this machine"

    def _load(self) -> None:
        self._dtype = DTYPES[self.precision]
        with gpu_in_words(self):
            self._model = pack(self.weights, self.device, self._dtype)

    def plan(self, clips: int) -> Plan:
        """Returns how to divide a number of clips."""
        device = self._device() if self.device == "cuda" else None
        model = self._model
        layer_bytes = sum(matrix[0].nbytes for matrix in (model.dilated, model.residuals, model.skips))
        shared_bytes = getattr(device, "shared_memory_per_block_optin", 0)
        stages = 3 if 2 * layer_bytes + EXCHANGE_BYTES <= shared_bytes else 1
        if clips <= FEW_CLIPS:
            warps = 8 if widest_matrix(self.weights) <= WIDEST // 4 else 16
            if stages == 3 and triton_release() < FETCHES_AHEAD:
                stages = 1
            return Plan(1, warps, stages)
        processors = device.multi_processor_count if device else 1
        # 32 rows of large operands would need more registers than there are.
        many = clips > 16 * processors and layer_bytes <= shared_bytes / 3
        return Plan(32 if many else 16, 8, stages)

    def _device(self) -> Any:
        """Returns the properties of the GPU."""
        return torch.cuda.get_device_properties(self.device)

    def reset(self, batch_size: int) -> None:
        """Forgets everything: each of `batch_size` rows has one silence code as its history."""
        self.batch_size = batch_size
        self._plan = self.plan(batch_size)
        self._limit = LaunchLimit()
        rows = -(-batch_size // self._plan.rows) * self._plan.rows
        with gpu_in_words(self):
            self._rings = first_rings(self.weights, rows, self.device, self._dtype)
            self._prediction = DevicePredictor(self.weights, rows, self.device) if self.weights.prediction else None
            kind = self._model.output2.dtype
            self._vectors = torch.empty(2, rows, len(self._model.skip_bias), dtype=kind, device=self.device)

    def prime(self, codes: NDArray[np.integer], condition: ChunkCondition | None = None) -> None:
        """Appends known codes, layer by layer; see `Engine.prime`."""
        known = checked_codes(codes, self)
        checked = checked_condition(condition, self, known.shape[1])
        if known.shape[1] == 0:
            return
        with gpu_in_words(self):
            count_quiet(self._rings, known, self.weights.coding)
            reach = self.weights.receptive_field
            prime(self._model, self._rings, self._by_time(known).T, reach, checked, self._prediction)

    def score(self, codes: NDArray[np.integer], condition: ChunkCondition | None = None) -> NDArray[np.float32]:
        """Appends known codes step by step and returns the logits of each; see `Engine.score`."""
        with gpu_in_words(self):
            known = self._by_time(checked_codes(codes, self).astype(np.int16))
            logits = torch.empty(*known.shape, len(self._model.output2_bias), device=self.device)
            self._append(known, logits, logits, SamplingSettings(), condition, known=True)
            logits = logits[:, : self.batch_size, : self.weights.output_channels]
            return np.ascontiguousarray(logits.transpose(0, 1).cpu().numpy())

    def generate(
        self, uniforms: NDArray[np.float32], settings: SamplingSettings, condition: ChunkCondition | None = None
    ) -> NDArray[np.int16]:
        """Appends codes picked from the logits and returns them; see `Engine.generate`."""
        with gpu_in_words(self):
            numbers = self._by_time(checked_uniforms(uniforms, self))
            codes = torch.empty(numbers.shape, dtype=torch.int16, device=self.device)
            self._append(codes, numbers, numbers, settings, condition, known=False)
            return np.ascontiguousarray(codes[:, : self.batch_size].T.cpu().numpy())

    def _by_time(self, array: NDArray[np.generic]) -> Tensor:
        """Returns (batch, time) as (time, rows), the rows filled up with zeros."""
        whole = np.zeros((array.shape[1], len(self._rings.recent)), array.dtype)
        whole[:, : len(array)] = array.T
        return torch.from_numpy(whole).to(self.device)

    def _append(
        self,
        codes: Tensor,
        logits: Tensor,
        uniforms: Tensor,
        settings: SamplingSettings,
        condition: ChunkCondition | None,
        *,
        known: bool,
    ) -> None:
        """Launches the kernel for as many samples at a time as the device holds conditions of.

        Linear predictors are solved between launches, which then end before each solution.
        """
        steps, rows = codes.shape
        checked = checked_condition(condition, self, steps)
        for part, packed in condition_parts(checked, self._model, rows, steps):
            first = part.start
            while first < part.stop:
                count = min(self._until_solution(part.stop - first), self._most_steps())
                now = slice(first, first + count)
                of_these = packed if packed is None or count == part.stop - part.start else _cut(packed, part, now)
                launch = partial(self._launch, codes[now], logits[now], uniforms[now], settings, of_these, known=known)
                if count == self._limit.steps and first + count < steps:
                    self._limit.learn(count, self._seconds_of(launch))
                else:
                    launch()
                self._rings.advance(count)
                if self._prediction is not None:
                    self._prediction.since += count
                first += count

    def _most_steps(self) -> int:
        """Returns how many samples a launch may take."""
        return self._limit.steps if self.device == "cuda" else 2**31

    def _seconds_of(self, launch: Callable[[], None]) -> float:
        """Returns how long a launch takes on the device, and waits for it."""
        torch.cuda.synchronize()  # what was launched before does not count
        began = time.perf_counter()
        launch()
        torch.cuda.synchronize()
        return time.perf_counter() - began

    def _until_solution(self, samples: int) -> int:
        """Returns how many of some samples the next launch takes; solves the linear predictors where they are due."""
        prediction = self._prediction
        if prediction is None:
            return samples
        if prediction.solves_next:
            self._solve(prediction)
            prediction.since = -1
        return min(samples, prediction.hop - 1 - prediction.since)

    def _solve(self, prediction: DevicePredictor) -> None:
        """Launches the solution; see `fast_gen.engines.gpu.triton_prediction.solve_predictors`."""
        from fast_gen.engines.gpu.triton_prediction import solve_predictors

        solve_predictors[(len(prediction.past),)](
            self._rings.recent,
            prediction.decoded,
            prediction.window,
            prediction.constants,
            prediction.past,
            prediction.coefficients,
            prediction.lags,
            KERNEL_SIZE=self.weights.kernel_size,
            LOWEST=prediction.lowest,
            FRAME=prediction.frame,
            HOP=prediction.hop,
            ORDER=prediction.order,
            LAGS=_power_of_two(prediction.order),
            BLOCK=min(SOLVED_AT_ONCE, _power_of_two(prediction.frame)),
        )

    def _launch(
        self,
        codes: Tensor,
        logits: Tensor,
        uniforms: Tensor,
        settings: SamplingSettings,
        packed: PackedCondition | None,
        *,
        known: bool,
    ) -> None:
        """Launches the kernel; see `fast_gen.engines.gpu.triton_loop.append_codes`."""
        from fast_gen.engines.gpu.triton_loop import append_codes

        steps, rows = codes.shape
        model, plan = self._model, self._plan
        skip, channels = model.output2.shape
        *tensors, head = model
        prediction = self._prediction
        predictors: list[Tensor | int] = [model.skip_bias] * 9 + [0]  # read by no kernel without prediction
        if prediction is not None:
            predictors = [
                prediction.decoded, prediction.constants, prediction.value_limits, prediction.size_limits,
                prediction.innovation_limits, prediction.past, prediction.coefficients, prediction.predictions,
                prediction.sizes, prediction.since,
            ]  # fmt: skip
        numbers = settings.numbers
        append_codes[(rows // plan.rows,)](
            *tensors,
            self._rings.slots,
            self._rings.recent,
            self._rings.quiet_runs,
            self._vectors,
            codes,
            logits,
            uniforms,
            numbers.temperature,
            numbers.scale,
            numbers.top_k or channels,
            numbers.top_p,
            numbers.least,
            numbers.quiet_temperature,
            numbers.quiet_scale,
            numbers.quiet_samples,
            model.gate_biases if packed is None else packed.values,
            model.dilations if packed is None else packed.steps_on_device,
            *predictors,
            self._rings.time,
            steps,
            rows,
            len(model.dilations),
            RULE=int(head.rule),
            ONE_HOT=head.one_hot_front,
            CODES=self.weights.quantization_channels,
            KERNEL_SIZE=self.weights.kernel_size,
            R=model.residuals.shape[2],
            D=model.residuals.shape[1],
            S=skip,
            Q=channels,
            FIRST_MEAN=head.means.start,
            AFTER_MEANS=head.means.stop,
            ROWS=plan.rows,
            BLOCK=output_block(skip, channels),
            STAGES=plan.stages,
            CONDITIONED=packed is not None,
            SCORE=known,
            GREEDY=settings.temperature == 0,
            SELECT=settings.ranks,
            SILENCE=head.coding.silence,
            QUIET_REACH=quiet_reach(head.coding),
            PREDICTED=prediction is not None,
            LOWEST=0 if prediction is None else prediction.lowest,
            FRAME=0 if prediction is None else prediction.frame,
            HOP=0 if prediction is None else prediction.hop,
            ORDER=0 if prediction is None else prediction.order,
            LAGS=1 if prediction is None else _power_of_two(prediction.order),
            num_warps=plan.warps,
            num_stages=plan.stages,
        )


def _cut(packed: PackedCondition, part: slice, now: slice) -> PackedCondition:
    """Returns the condition of some of the samples of a part."""
    own = slice(now.start - part.start, now.stop - part.start)
    return PackedCondition(packed.values, packed.steps[own], packed.steps_on_device[own])


def _power_of_two(count: int) -> int:
    """Returns the least power of two that is not below a count."""
    return 1 << (count - 1).bit_length()


def widest_matrix(weights: GeneratorWeights) -> int:
    """Returns the number of weights, padded, of the widest matrix of a layer."""
    residual, gate = padded(weights.residual_channels), padded(weights.dilation_channels)
    return max(residual * 2 * gate, gate * padded(weights.skip_channels))


def triton_release() -> tuple[int, ...]:
    """Returns major and minor version of Triton."""
    from triton import __version__

    return tuple(int(number) for number in __version__.split(".")[:2])


def output_block(skip: int, channels: int) -> int:
    """Returns how many inputs of an output layer, of padded widths, are multiplied at a time.

    >>> output_block(256, 256), output_block(16, 256)
    (32, 16)
    """
    return min(skip, max(16, BLOCK_WEIGHTS // max(skip, channels)))


def _missing_triton() -> str | None:
    """Returns what keeps this Triton from being used, or None."""
    try:
        import triton  # noqa: F401
    except Exception as error:  # noqa: BLE001 - what does not fit together can raise anything
        return f"triton cannot be imported: {type(error).__name__}: {' '.join(str(error).split())}"
    release = triton_release()
    if release < LEAST_TRITON:
        least, found = (".".join(map(str, numbers)) for numbers in (LEAST_TRITON, release))
        return f"it needs triton {least} or newer, and finds {found}; reinstall torch, which brings the right one"
    return None


def _missing_compiler() -> str | None:
    """Returns what Triton lacks to build the few lines of C by which it launches kernels, or None."""
    named = os.environ.get("CC")
    if named and shutil.which(named) is None:
        return f"triton needs a C compiler, and the one that $CC names, {named}, is not there"
    if not (named or shutil.which("gcc") or shutil.which("clang")):
        return "triton needs a C compiler (gcc or clang), and there is none"
    if not (Path(sysconfig.get_paths()["include"]) / "Python.h").exists():
        return "triton needs Python's C headers (python3-dev), and there are none"
    return None
