"""Launches stay short enough for a desktop, whatever a sample takes."""

import numpy as np
import pytest
import torch
from random_nets import SHAPES, random_net

from fast_gen.engines.gpu import triton_engine
from fast_gen.engines.gpu.launch_limit import LONGEST_SECONDS, LaunchLimit
from fast_gen.engines.gpu.triton_engine import Plan, TritonGpu
from fast_gen.engines.sampling import SamplingSettings
from fast_gen.engines.weights import GeneratorWeights


@pytest.mark.parametrize("seconds_a_step", [1e-7, 1e-5, 3e-4, 0.02, 3.0])
def test_launches_grow_to_a_quarter_of_a_second_and_no_further(seconds_a_step: float) -> None:
    limit = LaunchLimit()
    launches = []
    for _ in range(12):
        launches.append(limit.steps * seconds_a_step)
        limit.learn(limit.steps, launches[-1])
    assert max(launches[1:]) <= max(LONGEST_SECONDS * 1.001, seconds_a_step)
    assert launches[-1] > LONGEST_SECONDS / 2
    assert launches[0] == 64 * seconds_a_step


class Launching(TritonGpu):
    """An engine that counts the samples of its launches; its clock says what a sample takes."""

    launches: list[int]

    def plan(self, clips: int) -> Plan:
        return Plan(1, 4, 1)

    def _most_steps(self) -> int:
        return self._limit.steps

    def _launch(self, codes: torch.Tensor, *_: object, **__: object) -> None:
        self.launches.append(len(codes))


def test_a_chunk_is_launched_in_parts_and_no_sample_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Launching(GeneratorWeights.of(random_net(SHAPES["one layer"])), "cpu")
    engine.launches = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    ticks = iter(range(1_000))
    monkeypatch.setattr(
        triton_engine.time, "perf_counter", lambda: next(ticks) / 8
    )  # each launch an eighth of a second
    engine.generate(np.zeros((1, 1_000), np.float32), SamplingSettings())
    assert engine.launches == [64, 128, 256, 512, 40]
    engine.generate(np.zeros((1, 1_000), np.float32), SamplingSettings())  # the limit is known from before
    assert engine.launches[5:] == [1_000]
    engine.reset(2)
    engine.generate(np.zeros((2, 64), np.float32), SamplingSettings())  # a short chunk needs no clock
    assert engine.launches[6:] == [64]
