"""The portable engine for a GPU: one step in plain torch, recorded once as a CUDA graph and played for each sample.

It computes what `fast_gen.engines.reference` does, without asking the host anything during a step: the queues' places
follow from a time that the device counts. So the host starts one graph a sample instead of some hundred products. A
model with linear prediction has two: a step, and a step before which the predictors are solved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from fast_gen.engines.base import BaseEngine
from fast_gen.engines.condition import ChunkCondition
from fast_gen.engines.contract import checked_codes, checked_condition, checked_uniforms
from fast_gen.engines.gpu.device import gpu_failures_in_words, missing_gpu
from fast_gen.engines.gpu.packing import add_prediction, condition_parts, count_quiet, first_rings, front, pack, prime
from fast_gen.engines.gpu.prediction import DevicePredictor
from fast_gen.engines.quiet import quiet_reach
from fast_gen.engines.sampling import SamplingSettings, next_quiet_runs, pick_by_head
from fast_gen.engines.weights import GeneratorWeights


class GraphQueue(BaseEngine):
    """Queues in device memory, one CUDA graph a sample, float32 arithmetic; see `fast_gen.engines.contract.Engine`.

    It needs no compiler, and takes any model. All clips share a product, so a clip alone and in a batch agree up to
    rounding.

    Args:
        weights: the model.
        device: "cuda"; on the "cpu" the step runs unrecorded, which is for tests.
        precision: "float32".
        threads: 1.

    Raises:
        UserError: the GPU is full, taken or broken, here and in each call.
    """

    devices = ("cuda",)
    precisions = ("float32",)
    summary = "torch layer by layer, recorded as a CUDA graph"
    predicts = True

    @classmethod
    def _missing_hardware(cls, weights: GeneratorWeights, device: str) -> str | None:  # noqa: ARG003 - it runs any model
        return missing_gpu()

    @gpu_failures_in_words
    def _load(self) -> None:
        weights, device = self.weights, self.device
        self._model = pack(weights, device, torch.float32)
        self._matrices = self._model.dilated.flatten(1, 2)
        taps = torch.arange(weights.kernel_size - 1, -1, -1, device=device)
        self._lags = self._model.dilations[:, None] * taps

    @gpu_failures_in_words
    def reset(self, batch_size: int) -> None:
        """Forgets everything: each of `batch_size` rows has one silence code as its history."""
        self.batch_size = batch_size
        self._rings = first_rings(self.weights, batch_size, self.device, torch.float32)
        self._time = torch.zeros((), dtype=torch.int64, device=self.device)
        self._outputs = torch.zeros(batch_size, self.weights.output_channels, device=self.device)
        self._numbers = torch.zeros(batch_size, device=self.device)
        # (layers, 1 or batch, 2 x D). A recorded step reads them where they lie, so the condition is written into them.
        self._gate_biases = self._model.gate_biases.unsqueeze(1)
        if self.weights.conditioned:
            self._gate_biases = self._gate_biases.repeat(1, batch_size, 1)
        silence = self.weights.coding.silence
        self._newest = torch.full((batch_size,), silence, dtype=torch.int32, device=self.device)
        self._prediction = DevicePredictor(self.weights, batch_size, self.device) if self.weights.prediction else None
        self._plays: dict[tuple[SamplingSettings | None, bool], Callable[[], None]] = {}

    @gpu_failures_in_words
    @torch.inference_mode()
    def prime(self, codes: NDArray[np.integer], condition: ChunkCondition | None = None) -> None:
        """Appends known codes, layer by layer; see `Engine.prime`."""
        known = torch.from_numpy(checked_codes(codes, self)).to(self.device)
        checked = checked_condition(condition, self, known.shape[1])
        if known.shape[1]:
            count_quiet(self._rings, codes, self.weights.coding)
            prime(self._model, self._rings, known, self.weights.receptive_field, checked, self._prediction)

    @gpu_failures_in_words
    @torch.inference_mode()
    def score(self, codes: NDArray[np.integer], condition: ChunkCondition | None = None) -> NDArray[np.float32]:
        """Appends known codes step by step and returns the logits of each; see `Engine.score`."""
        known = torch.from_numpy(checked_codes(codes, self)).to(self.device, torch.int32)
        checked = checked_condition(condition, self, known.shape[1])
        logits = torch.empty(*known.shape, self.weights.output_channels, device=self.device)
        play = self._start(None)
        for time in self._times(checked, known.shape[1]):
            self._newest.copy_(known[:, time])
            play()
            logits[:, time] = self._outputs
        self._rings.advance(known.shape[1])
        found: NDArray[np.float32] = logits.cpu().numpy()
        return found

    @gpu_failures_in_words
    @torch.inference_mode()
    def generate(
        self, uniforms: NDArray[np.float32], settings: SamplingSettings, condition: ChunkCondition | None = None
    ) -> NDArray[np.int16]:
        """Appends codes picked from the logits and returns them; see `Engine.generate`."""
        numbers = torch.from_numpy(checked_uniforms(uniforms, self)).to(self.device)
        checked = checked_condition(condition, self, numbers.shape[1])
        codes = torch.empty(numbers.shape, dtype=torch.int16, device=self.device)
        play = self._start(settings)
        for time in self._times(checked, numbers.shape[1]):
            self._numbers.copy_(numbers[:, time])
            play()
            codes[:, time] = self._newest
        self._rings.advance(numbers.shape[1])
        return codes.cpu().numpy()

    def _times(self, condition: ChunkCondition | None, samples: int) -> Iterator[int]:
        """Yields the place of each sample of a chunk when the biases of the gates are those of its condition."""
        for part, packed in condition_parts(condition, self._model, self.batch_size, samples):
            step = -1
            for time in range(part.start, part.stop):
                if packed is not None and packed.steps[time - part.start] != step:
                    step = int(packed.steps[time - part.start])
                    values = packed.values[step].transpose(0, 1)
                    torch.add(values, self._model.gate_biases[:, None], out=self._gate_biases)
                yield time

    def _start(self, settings: SamplingSettings | None) -> Callable[[], None]:
        """Returns what consumes the newest code and appends one, picked by the settings or, without them, known."""
        self._time.fill_(self._rings.time)
        prediction = self._prediction
        if prediction is None:
            return self._played(settings, solves=False)

        def play() -> None:
            self._played(settings, prediction.solves_next)()
            prediction.advance(1)

        return play

    def _played(self, settings: SamplingSettings | None, solves: bool) -> Callable[[], None]:
        """Returns a step as a function, recorded where there is a GPU."""
        if self.device == "cpu":
            return lambda: self._step(settings, solves)
        if (settings, solves) not in self._plays:
            self._plays[settings, solves] = self._record(settings, solves)
        return self._plays[settings, solves]

    def _record(self, settings: SamplingSettings | None, solves: bool) -> Callable[[], None]:
        """Records a step; the state is what it was before."""
        changed = [self._rings.slots, self._rings.recent, self._rings.quiet_runs, self._time, self._newest]
        if self._prediction is not None:
            changed += self._prediction.state
        before = [tensor.clone() for tensor in changed]
        # Libraries reserve their memory at the first call, which must not be recorded.
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            self._step(settings, solves)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._step(settings, solves)
        for tensor, old in zip(changed, before, strict=True):
            tensor.copy_(old)
        return graph.replay

    def _step(self, settings: SamplingSettings | None, solves: bool) -> None:
        """Consumes the newest code of the history, leaves the outputs, and appends what is picked or known.

        Args:
            settings: by which it picks; None for a known code.
            solves: whether the predictors are solved before.
        """
        model, recent, slots, runs = self._model, self._rings.recent, self._rings.slots, self._rings.quiet_runs
        places = model.ring_starts[:, None] + ((self._time - self._lags) & model.ring_masks[:, None])
        hidden = front(model, recent.unbind(1))
        if self._prediction is not None:
            if solves:
                self._prediction.solve(recent[:, -1])
            hidden = add_prediction(model, hidden, self._prediction.step(recent[:, -1]))
        skips = model.skip_bias
        for layer in range(len(places)):
            slots.index_copy_(0, places[layer, -1:], hidden[None])
            inputs = slots.index_select(0, places[layer]).transpose(0, 1).flatten(1)
            gates = torch.addmm(self._gate_biases[layer], inputs, self._matrices[layer])
            activated = gates[:, 0::2].tanh() * gates[:, 1::2].sigmoid()
            skips = torch.addmm(skips, activated, model.skips[layer])
            hidden = torch.addmm(hidden + model.residual_biases[layer], activated, model.residuals[layer])
        outputs = torch.addmm(model.output1_bias, skips.relu(), model.output1).relu()
        outputs = torch.addmm(model.output2_bias, outputs, model.output2)
        self._outputs.copy_(outputs[:, : self.weights.output_channels])
        model.head.add_newest(self._outputs, recent[:, -1])
        if settings is not None:
            self._newest.copy_(pick_by_head(model.head, self._outputs, self._numbers, settings, runs))
        coding = model.head.coding
        runs.copy_(next_quiet_runs(runs, self._newest, coding.silence, quiet_reach(coding)))
        recent.copy_(torch.cat([recent[:, 1:], self._newest[:, None]], dim=1))
        self._time += 1
