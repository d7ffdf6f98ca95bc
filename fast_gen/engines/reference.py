"""The reference engine: queue-based generation in plain torch, on the CPU or a GPU. Clear before fast.

Each layer keeps a queue of its past inputs, so a new sample costs one small product for each layer instead of a pass
over the whole receptive field (Le Paine et al. 2016, "Fast Wavenet Generation Algorithm").
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from fast_gen.engines.base import BaseEngine
from fast_gen.engines.condition import ChunkCondition
from fast_gen.engines.contract import checked_codes, checked_condition, checked_uniforms
from fast_gen.engines.gpu.device import gpu_failures_in_words, missing_gpu
from fast_gen.engines.prediction_input import PredictionInput
from fast_gen.engines.quiet import MOST_QUIET, quiet_reach, quiet_runs
from fast_gen.engines.sampling import SamplingSettings, next_quiet_runs, pick_by_head
from fast_gen.engines.weights import GeneratorWeights


def _aligned_rows(*shape: int, device: str) -> Tensor:
    """Returns zeros in which every row begins at a multiple of 64 bytes.

    The rounding of a product can depend on where its operands lie, and a clip's row lies elsewhere in a batch.
    """
    width = shape[-1]
    return torch.zeros(*shape[:-1], math.ceil(width / 16) * 16, device=device)[..., :width]


class _Queue:
    """The past inputs of one layer, as one row of taps for each phase.

    A layer of spacing d is d layers of spacing 1 that take turns: time t belongs to phase t mod d, and meets only
    inputs of its own phase. So the queue is a ring of d rows, each the last `kernel_size` inputs of its phase side by
    side, oldest first, which is what the layer multiplies with its matrix. After a step the row moves up by one tap,
    and its last place is free for the input that comes d samples later.
    """

    def __init__(self, dilation: int, kernel_size: int, channels: int, batch_size: int, device: str) -> None:
        self.dilation = dilation
        self.ring = _aligned_rows(dilation, batch_size, kernel_size * channels, device=device)
        taps = self.ring.split(channels, dim=-1)
        # Views are made once, since making one costs as much as a small product.
        self.rows = self.ring.unbind(0)
        self.newest = taps[-1].unbind(0)
        pairs = [zip(taps[tap].unbind(0), taps[tap + 1].unbind(0), strict=True) for tap in range(kernel_size - 1)]
        self.moves = list(zip(*pairs, strict=True))
        self._past = self.ring.unflatten(-1, (kernel_size, channels))[:, :, :-1]

    def move_up(self, phase: int) -> None:
        """Frees the place of the next input of a phase."""
        for older, newer in self.moves[phase]:
            older.copy_(newer)

    def history(self, clip: int, time: int) -> Tensor:
        """Returns the inputs before `time` that are still needed: ((kernel_size - 1) x dilation, channels)."""
        ordered = self._past[:, clip].roll(-(time % self.dilation), 0)
        return ordered.transpose(0, 1).flatten(0, 1)

    def fill(self, clips: slice, time: int, history: Tensor) -> None:
        """Puts in what `history` returns."""
        taps = history.view(-1, self.dilation, history.shape[1]).transpose(0, 1)
        self._past[:, clips] = taps.roll(time % self.dilation, 0).unsqueeze(1)


@dataclass(frozen=True, slots=True)
class _Layer:
    """One layer's matrices, its queue, and where its activation goes."""

    matrix: Tensor
    residual: Tensor
    residual_bias: Tensor
    activated: Tensor
    queue: _Queue


class _CodeFront:
    """The first layer's input: the sum of one table row for each of the newest codes."""

    def __init__(self, weights: GeneratorWeights, device: str) -> None:
        # One table after the other; each ends in a row of zeros, for the time before the first code.
        self._tables = torch.tensor(weights.tables_with_bias().reshape(-1, weights.residual_channels), device=device)
        self._offsets = torch.arange(weights.kernel_size, device=device) * (weights.quantization_channels + 1)

    def write(self, recent: Tensor, hidden: Tensor) -> None:
        """Writes (rows, residual_channels) for the newest codes of each row, int64 (rows, kernel_size)."""
        torch.sum(F.embedding(recent + self._offsets, self._tables), dim=1, out=hidden)


class _SampleFront:
    """The first layer's input: the sum of the newest 16-bit samples, each times a row."""

    def __init__(self, weights: GeneratorWeights, device: str) -> None:
        self._rows = torch.tensor(weights.front_tables[:, 0], device=device)
        self._bias = torch.tensor(weights.front_bias, device=device)

    def write(self, recent: Tensor, hidden: Tensor) -> None:
        """Writes (rows, residual_channels) for the newest samples of each row, int64 (rows, kernel_size)."""
        torch.sum(recent.unsqueeze(-1) * self._rows, dim=1, out=hidden).add_(self._bias)


class TorchQueue(BaseEngine):
    """Queues in ring buffers, float32 arithmetic; see `fast_gen.engines.contract.Engine`.

    On the CPU each row of the batch has products of its own: the rounding of one product over all rows depends on their
    number, and a clip shall be the same alone and in a batch; and a product of one row keeps to one core, where
    handing so little to several threads can take milliseconds as soon as another program wants the cores too. On a GPU
    all rows share a product, and a clip alone and in a batch agree up to rounding.

    Args:
        weights: the model.
        device: "cpu" or "cuda".
        precision: "float32".
        threads: 1.

    Raises:
        UserError: the GPU, where it is one, is full, taken or broken, here and in each call.
    """

    devices = ("cpu", "cuda")  # a GPU takes longer to start these small products than a CPU core to compute them
    precisions = ("float32",)
    summary = "the reference, torch layer by layer"
    predicts = True

    @classmethod
    def _missing_hardware(cls, weights: GeneratorWeights, device: str) -> str | None:  # noqa: ARG003 - it runs any model
        return missing_gpu() if device == "cuda" else None

    @gpu_failures_in_words
    def _load(self) -> None:
        weights, device = self.weights, self.device
        self._front = (_CodeFront if weights.head.one_hot_front else _SampleFront)(weights, device)
        self._dilated = self._tensor(weights.dilated).flatten(1, 2)
        self._dilated_biases = self._tensor(weights.dilated_biases).unsqueeze(1)
        self._residual = self._tensor(weights.residual)
        self._residual_biases = self._tensor(weights.residual_biases)
        outputs = (
            (weights.skip.reshape(-1, weights.skip_channels), weights.skip_bias),
            (weights.output1, weights.output1_bias),
            (weights.output2, weights.output2_bias),
        )
        self._outputs = [(self._tensor(matrix), self._tensor(bias)) for matrix, bias in outputs]

    def _tensor(self, array: NDArray[np.float32]) -> Tensor:
        return torch.tensor(array, device=self.device)

    @gpu_failures_in_words
    def reset(self, batch_size: int) -> None:
        """Forgets everything: each of `batch_size` rows has one silence code as its history."""
        weights = self.weights
        self.batch_size = batch_size
        self._rows_are_alike = True
        self._time = 0  # codes consumed, of which only the remainder by each dilation matters
        self._recent = torch.full((batch_size, weights.kernel_size), weights.head.nothing, device=self.device)
        self._recent[:, -1] = weights.coding.silence
        self._quiet_runs = torch.full((batch_size,), MOST_QUIET, device=self.device)
        self._prediction = PredictionInput(weights, batch_size, self.device) if weights.prediction else None
        self._gates = _aligned_rows(batch_size, 2 * weights.dilation_channels, device=self.device)
        self._filter, self._gate = self._gates.chunk(2, dim=-1)
        # All layers' activations side by side, so that all skips are one product.
        self._activations = _aligned_rows(batch_size, len(self._outputs[0][0]), device=self.device)
        self._results = [_aligned_rows(batch_size, len(bias), device=self.device) for _, bias in self._outputs]
        activated = self._activations.split(weights.dilation_channels, dim=-1)
        self._layers = [
            _Layer(
                matrix=self._dilated[layer],
                residual=self._residual[layer],
                residual_bias=self._residual_biases[layer],
                activated=activated[layer],
                queue=_Queue(dilation, weights.kernel_size, weights.residual_channels, batch_size, self.device),
            )
            for layer, dilation in enumerate(weights.dilations)
        ]

    @gpu_failures_in_words
    @torch.inference_mode()
    def score(self, codes: NDArray[np.integer], condition: ChunkCondition | None = None) -> NDArray[np.float32]:
        """Appends known codes step by step and returns the logits of each; see `Engine.score`."""
        known = self._on_device(checked_codes(codes, self))
        biases = self._biases(condition, known.shape[1])
        logits = torch.empty(*known.shape, self.weights.output_channels, device=self.device)
        for time in range(known.shape[1]):
            logits[:, time] = self._step(biases[time])
            self._recent[:, -1] = known[:, time]
        self._count_quiet(codes)
        found: NDArray[np.float32] = logits.cpu().numpy()
        return found

    @gpu_failures_in_words
    @torch.inference_mode()
    def generate(
        self, uniforms: NDArray[np.float32], settings: SamplingSettings, condition: ChunkCondition | None = None
    ) -> NDArray[np.int16]:
        """Appends codes picked from the logits and returns them; see `Engine.generate`."""
        numbers = self._on_device(checked_uniforms(uniforms, self)).unbind(1)
        biases = self._biases(condition, len(numbers))
        codes = torch.empty(self.batch_size, len(numbers), dtype=torch.int64, device=self.device)
        newest, head = self._recent[:, -1], self.weights.head
        silence, reach = head.coding.silence, quiet_reach(head.coding)
        for time, number in enumerate(numbers):
            newest.copy_(pick_by_head(head, self._step(biases[time]), number, settings, self._quiet_runs))
            codes[:, time] = newest
            self._quiet_runs = next_quiet_runs(self._quiet_runs, newest, silence, reach)
        return codes.cpu().numpy().astype(np.int16)

    def _on_device(self, array: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(array).to(self.device)

    def _count_quiet(self, known: NDArray[np.integer]) -> None:
        """Counts how many of the newest codes are quiet after known codes (batch, time)."""
        coding = self.weights.coding
        runs = quiet_runs(self._quiet_runs.cpu().numpy(), known, coding.silence, quiet_reach(coding))
        self._quiet_runs = self._on_device(runs)

    def _biases(self, condition: ChunkCondition | None, samples: int) -> list[list[Tensor]]:
        """Returns bias plus condition, (batch, 2 x dilation_channels), for each code and each layer."""
        checked = checked_condition(condition, self, samples)
        shape = len(self._layers), self.batch_size, self._gates.shape[1]
        if checked is None:
            return [list(self._dilated_biases.expand(shape))] * samples
        steps = _aligned_rows(checked.values.shape[1], *shape, device=self.device)
        values = self._on_device(checked.values).unflatten(2, (shape[0], shape[2]))
        torch.add(values.permute(1, 2, 0, 3), self._dilated_biases, out=steps)
        by_step = [list(step.unbind(0)) for step in steps.unbind(0)]
        return [by_step[step] for step in checked.steps(samples)]

    def _step(self, biases: list[Tensor]) -> Tensor:
        """Consumes the newest code, and returns the outputs (batch, output_channels) about the next one.

        The next step writes over them.

        Args:
            biases: (batch, 2 x dilation_channels) of each layer.
        """
        self._rows_are_alike = False
        hidden = self._layers[0].queue.newest[self._time % self._layers[0].queue.dilation]
        self._front.write(self._recent, hidden)
        if self._prediction is not None:
            hidden.add_(self._prediction.append(self._recent[:, -1]))
        for tap in range(self.weights.kernel_size - 1):
            self._recent[:, tap] = self._recent[:, tap + 1]
        for number, layer in enumerate(self._layers):
            queue = layer.queue
            phase = self._time % queue.dilation
            self._product(biases[number], queue.rows[phase], layer.matrix, self._gates)
            torch.mul(self._filter.tanh_(), self._gate.sigmoid_(), out=layer.activated)
            if number + 1 < len(self._layers):
                following = self._layers[number + 1].queue
                outputs = following.newest[self._time % following.dilation]
                self._product(hidden, layer.activated, layer.residual, outputs)
                hidden = outputs.add_(layer.residual_bias)
            queue.move_up(phase)
        self._time += 1
        hidden = self._activations
        for number, ((matrix, bias), result) in enumerate(zip(self._outputs, self._results, strict=True)):
            self._product(bias.expand(result.shape), hidden.relu_() if number else hidden, matrix, result)
            hidden = result
        self.weights.head.add_newest(hidden, self._recent[:, -1])
        return hidden

    def _product(self, addend: Tensor, inputs: Tensor, matrix: Tensor, out: Tensor) -> None:
        """Writes addend + inputs @ matrix; all but the matrix are (batch, channels)."""
        if self.batch_size == 1 or self.device != "cpu":
            torch.addmm(addend, inputs, matrix, out=out)
            return
        rows = [tensor.unsqueeze(1).unbind(0) for tensor in (addend, inputs, out)]
        for addend_row, input_row, out_row in zip(*rows, strict=True):
            torch.addmm(addend_row, input_row, matrix, out=out_row)

    @gpu_failures_in_words
    @torch.inference_mode()
    def prime(self, codes: NDArray[np.integer], condition: ChunkCondition | None = None) -> None:
        """Appends known codes in one parallel pass for each clip; see `Engine.prime`."""
        known = self._on_device(checked_codes(codes, self))
        checked = checked_condition(condition, self, known.shape[1])
        if known.shape[1] == 0:
            return
        self._count_quiet(codes)
        behind = self.weights.kernel_size - 1
        # The newest code of the history is consumed now, the newest of `known` by the next call. What lies further
        # back than the receptive field cannot be seen any more.
        history = torch.cat([self._recent, known[:, :-1]], dim=1)
        read = history[:, -(self.weights.receptive_field + behind) :]
        steps = read.shape[1] - behind
        added: list[Tensor] = []
        if self._prediction is not None:  # it remembers more than the receptive field
            added = [self._prediction.append(history[:, time]) for time in range(behind, history.shape[1])][-steps:]
        biases = self._dilated_biases.unsqueeze(0).expand(self.batch_size, -1, -1, -1)
        if checked is not None:
            values = checked.values[:, checked.steps(known.shape[1])[known.shape[1] - steps :]]
            values = self._on_device(values).unflatten(2, (len(self._layers), -1)).transpose(1, 2)
            biases = biases + values
        inputs = torch.stack(added, dim=1) if added else None
        alike = bool((known == known[0]).all()) and bool((biases == biases[0]).all())
        self._rows_are_alike = self._rows_are_alike and alike
        if self._rows_are_alike:  # as when all clips begin after silence
            self._prime_clips(slice(None), read[0], biases[0], None if inputs is None else inputs[0])
        else:
            for clip in range(self.batch_size):
                added_here = None if inputs is None else inputs[clip]
                self._prime_clips(slice(clip, clip + 1), read[clip], biases[clip], added_here)
        self._time += steps
        self._recent.copy_(torch.cat([self._recent, known], dim=1)[:, -(behind + 1) :])

    def _prime_clips(self, clips: slice, codes: Tensor, biases: Tensor, added: Tensor | None) -> None:
        """Takes the queues of clips that are alike through codes, kernel_size - 1 of them already consumed.

        Args:
            clips: which ones.
            codes: (kernel_size - 1 + steps,).
            biases: (layers, steps or 1, 2 x dilation_channels).
            added: what linear prediction adds to the first layer's input, (steps, residual_channels).
        """
        kernel_size = self.weights.kernel_size
        steps = len(codes) - (kernel_size - 1)
        hidden = torch.empty(steps, self.weights.residual_channels, device=self.device)
        self._front.write(codes.unfold(0, kernel_size, 1), hidden)
        if added is not None:
            hidden.add_(added)
        for number, layer in enumerate(self._layers):
            queue = layer.queue
            inputs = torch.cat([queue.history(clips.start or 0, self._time), hidden])
            queue.fill(clips, self._time + steps, inputs[steps:])
            if number + 1 < len(self._layers):
                taps = [inputs[tap * queue.dilation :][:steps] for tap in range(kernel_size)]
                filtered, gate = torch.addmm(biases[number], torch.cat(taps, dim=1), layer.matrix).chunk(2, dim=1)
                activated = filtered.tanh_() * gate.sigmoid_()
                hidden = torch.addmm(hidden, activated, layer.residual).add_(layer.residual_bias)
