"""The GPU engine: its kernel interpreted, compiled without a device, and run on one under the contract."""

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from engine_contract import SETTINGS, ConditionContract, EngineContract, assert_picked_by
from random_nets import (
    CONDITIONED,
    GAUSSIAN,
    LOGISTICS,
    PREDICTION,
    full_network,
    random_codes,
    random_conditioning,
    random_net,
)

from fast_gen.engines.choice import choose_engine
from fast_gen.engines.condition import projected
from fast_gen.engines.contract import Engine
from fast_gen.engines.gpu import triton_engine as triton_gpu
from fast_gen.engines.gpu.triton_engine import FEW_CLIPS, Plan, TritonGpu
from fast_gen.engines.sampling import SamplingSettings, uniforms
from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.config import ModelConfig, preset
from wavenet_app.core.errors import UserError

REPETITIONS = 50

TEN_LOGISTICS = LOGISTICS | {"mixtures": 10}


def interpreted(*arguments: str) -> None:
    """Runs tests/interpreted_triton.py by itself; its report is what this test says if it fails."""
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/interpreted_triton.py", *arguments],
        env=os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": "tests"},
        cwd=Path(__file__).parents[4],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert " passed" in result.stdout


def test_the_interpreted_kernel() -> None:
    interpreted()


@pytest.mark.exhaustive
def test_the_interpreted_kernel_keeps_the_contract() -> None:
    """As much of it as takes minutes; the whole runs on a device."""
    nets = "(any_shape or score_equals) and (odd or layer or channel)"
    calls = "growing or all_calls or reset_forgets or new_engine or refused"
    conditioned = "Conditioned and (row_alone or one_row)"
    interpreted("-m", "slow", "-k", f"not TestInterpretedTriton or {calls} or ({nets}) or ({conditioned})")


H100 = SimpleNamespace(multi_processor_count=132, shared_memory_per_block_optin=232_448)


def plan_on_an_h100(weights: GeneratorWeights, precision: str, clips: int, monkeypatch: pytest.MonkeyPatch) -> Plan:
    engine = TritonGpu(weights, "cpu", precision)
    engine.device = "cuda"
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: H100)
    return engine.plan(clips)


@pytest.mark.parametrize(
    ("name", "precision", "clips", "changes", "spilled_bytes"),
    [
        ("small", "bfloat16", 1, {}, 0),
        ("small", "bfloat16", 1, CONDITIONED["speakers"], 64),  # here the compiler takes 128 registers of 255
        ("base", "bfloat16", 1, {}, 0),
        ("small", "bfloat16", 1, TEN_LOGISTICS, 0),
        ("small", "bfloat16", 1, PREDICTION, 0),
        *(
            pytest.param(*case, marks=pytest.mark.exhaustive)
            for case in (
                ("small", "float32", 1, CONDITIONED["speakers"], 64),
                ("base", "bfloat16", 1, CONDITIONED["speakers"], 0),
                ("base", "bfloat16", 40, {}, 0),
                ("base", "bfloat16", 40, CONDITIONED["speakers"], 0),
                ("base", "bfloat16", 4_096, CONDITIONED["speakers"], 256),
                ("base", "float32", 1, CONDITIONED["speakers"], 64),
                ("base", "float32", 40, CONDITIONED["speakers"], 128),
                ("base", "bfloat16", 1, TEN_LOGISTICS, 0),
                ("base", "bfloat16", 1, GAUSSIAN | CONDITIONED["mel"], 0),
                ("base", "bfloat16", 40, TEN_LOGISTICS, 0),
                ("base", "bfloat16", 4_096, GAUSSIAN, 64),
                ("base", "float32", 40, TEN_LOGISTICS, 64),
            )
        ),
    ],
)
def test_the_kernel_compiles_for_an_h100_and_keeps_to_its_registers(
    name: str,
    precision: str,
    clips: int,
    changes: dict[str, Any],
    spilled_bytes: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A program that needs far more registers than there are is compiled without any, and creeps."""
    pytest.importorskip("triton", reason="triton is not installed")
    from sm90 import compile_for_h100

    weights = weights_of(preset(name).model.model_copy(update=changes))
    plan = plan_on_an_h100(weights, precision, clips, monkeypatch)
    compiled = compile_for_h100(weights, plan, "bf16" if precision == "bfloat16" else "fp32")
    assert compiled.spilled_bytes <= spilled_bytes
    assert compiled.shared_bytes < 227 * 1024
    # the quantile of a 16-bit sample and the linear predictor have some, the pick of a code none
    assert (compiled.doubles > 0) == (weights.prediction is not None or not weights.head.ranks_codes)


SHARED_BYTES = {80: 166_912, 86: 101_376, 89: 101_376, 90: 232_448, 100: 232_448, 120: 101_376}
"""Compute capability -> shared memory that a program can have."""


@pytest.mark.parametrize("capability", SHARED_BYTES)
@pytest.mark.parametrize(
    ("precision", "clips", "spilled_bytes"),
    [
        ("bfloat16", 1, 0),
        pytest.param("bfloat16", 40, 64, marks=pytest.mark.exhaustive),
        pytest.param("bfloat16", 4_096, 256, marks=pytest.mark.exhaustive),
        pytest.param("float32", 1, 64, marks=pytest.mark.exhaustive),
        pytest.param("float32", 40, 256, marks=pytest.mark.exhaustive),
    ],
)
def test_base_compiles_for_each_gpu_and_keeps_to_its_memory(
    capability: int, precision: str, clips: int, spilled_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In seconds, and where two layers fit, with the weights of the next one on their way."""
    pytest.importorskip("triton", reason="triton is not installed")
    from sm90 import compile_for_h100

    device = SimpleNamespace(multi_processor_count=132, shared_memory_per_block_optin=SHARED_BYTES[capability])
    weights = weights_of(preset("base").model)
    engine = TritonGpu(weights, "cpu", precision)
    engine.device = "cuda"
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: device)
    plan, began = engine.plan(clips), time.process_time()
    kind = "bf16" if precision == "bfloat16" else "fp32"
    compiled = compile_for_h100(weights, plan, kind, capability=capability)
    assert time.process_time() - began < 60
    assert compiled.spilled_bytes <= spilled_bytes
    assert compiled.shared_bytes <= SHARED_BYTES[capability]
    assert plan.stages == (3 if SHARED_BYTES[capability] > 160_000 and precision == "bfloat16" else 1)
    # what a layer waits for was asked for a layer before: other copies are still under way
    assert (max(compiled.waits, default=0) > 0) == (plan.stages == 3)


def test_two_stages_do_not_overlap() -> None:
    """Why no plan has them: the kernel waits for the copies that it has just asked for."""
    pytest.importorskip("triton", reason="triton is not installed")
    from sm90 import compile_for_h100

    waits = [compile_for_h100(weights_of(preset("small").model), Plan(1, 8, stages)).waits for stages in (1, 2, 3)]
    assert [max(found, default=0) > 0 for found in waits] == [False, False, True]


def test_a_chunk_may_begin_at_any_sample_without_a_new_compilation() -> None:
    pytest.importorskip("triton", reason="triton is not installed")
    from fast_gen.engines.gpu.triton_loop import append_codes

    flexible = {parameter.name for parameter in append_codes.params if parameter.do_not_specialize_on_alignment}
    assert flexible == {"codes", "uniforms", "condition_steps"}


@pytest.mark.parametrize("rows", [1, pytest.param(16, marks=pytest.mark.exhaustive)])
def test_top_k_and_top_p_compile_in_seconds(rows: int) -> None:
    """A sort of 256 keys took minutes."""
    pytest.importorskip("triton", reason="triton is not installed")
    from sm90 import compile_for_h100

    began = time.process_time()
    config = preset("small").model.model_copy(update={"prediction": None})
    compiled = compile_for_h100(weights_of(config), Plan(rows, 8, 1), "bf16", select=True)
    assert time.process_time() - began < 30
    assert compiled.doubles == 0


def test_clips_are_divided_as_the_device_and_triton_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = weights_of(preset("base").model)
    monkeypatch.setattr(triton_gpu, "triton_release", lambda: (3, 7))
    found = [plan_on_an_h100(weights, "bfloat16", clips, monkeypatch) for clips in (1, 32, 33, 2_112, 2_113)]
    assert found == [Plan(1, 8, 3), Plan(1, 8, 3), Plan(16, 8, 3), Plan(16, 8, 3), Plan(32, 8, 3)]
    # two layers of it do not fit, and with a single buffer the kernel would wait for each copy
    assert plan_on_an_h100(weights, "float32", 4_096, monkeypatch) == Plan(16, 8, 1)
    monkeypatch.setattr(triton_gpu, "triton_release", lambda: (3, 6))
    assert plan_on_an_h100(weights, "bfloat16", 1, monkeypatch) == Plan(1, 8, 1)


def weights_of(config: ModelConfig) -> GeneratorWeights:
    return GeneratorWeights.of(random_net(config))


def test_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = weights_of(preset("tiny").model)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="cuda on cuda: torch sees no CUDA device"):
        choose_engine("cuda", weights)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "an old GPU")
    with pytest.raises(UserError, match=r"8\.0 or newer, and an old GPU has 7\.5"):
        choose_engine("cuda", weights)
    assert choose_engine("auto", weights, "cuda").name == "graph"
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    wide = weights_of(ModelConfig(residual_channels=200, dilation_channels=200, dilations=(1,)))
    with pytest.raises(UserError, match="too wide"):
        choose_engine("cuda", wide)
    with pytest.raises(UserError, match="one thread, not 2"):
        choose_engine("cuda", weights, threads=2)
    with pytest.raises(UserError, match="does not compute in int8"):
        choose_engine("cuda", weights, precision="int8")
    monkeypatch.setattr(triton_gpu.shutil, "which", lambda _: None)
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(UserError, match="needs a C compiler"):
        choose_engine("cuda", weights)
    monkeypatch.setitem(sys.modules, "triton", None)
    with pytest.raises(UserError, match="triton cannot be imported"):
        choose_engine("cuda", weights)


def test_a_full_gpu_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = TritonGpu(weights_of(preset("tiny").model), "cpu")

    def full(*arguments: object) -> None:
        raise torch.cuda.OutOfMemoryError

    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (2_500_000_000, 80_000_000_000))
    monkeypatch.setattr(triton_gpu, "first_rings", full)
    with pytest.raises(UserError, match=r"not enough memory for 9000 clips at once \(2.5 GB are free\)"):
        engine.reset(9000)


class Tiles(TritonGpu):
    """Every batch in tiles, as only large ones are otherwise."""

    def plan(self, clips: int) -> Plan:
        return Plan(16, 8, 2)


@pytest.mark.gpu
class TestTritonGpu(EngineContract):
    def make_engine(self, weights: GeneratorWeights) -> Engine:
        return TritonGpu(weights)


@pytest.mark.gpu
class TestTiles(EngineContract):
    def make_engine(self, weights: GeneratorWeights) -> Engine:
        return Tiles(weights)


@pytest.mark.gpu
class TestTritonGpuConditioned(ConditionContract):
    def make_engine(self, weights: GeneratorWeights) -> Engine:
        return TritonGpu(weights)


@pytest.mark.gpu
class TestTilesConditioned(ConditionContract):
    def make_engine(self, weights: GeneratorWeights) -> Engine:
        return Tiles(weights)


@pytest.mark.gpu
class TestTritonGpuOfLogistics(TestTritonGpu):
    head = LOGISTICS


@pytest.mark.gpu
class TestTritonGpuOfOneGaussian(TestTritonGpu):
    head = GAUSSIAN


@pytest.mark.gpu
class TestTritonGpuWithPrediction(TestTritonGpu):
    head = PREDICTION


@pytest.mark.gpu
class TestTilesOfOneGaussianWithPrediction(TestTiles):
    head = GAUSSIAN | PREDICTION


@pytest.mark.gpu
class TestTritonGpuConditionedWithPrediction(TestTritonGpuConditioned):
    head = PREDICTION


@pytest.mark.gpu
class TestTilesOfLogistics(TestTiles):
    head = LOGISTICS


@pytest.mark.gpu
class TestTilesOfOneGaussianConditioned(TestTilesConditioned):
    head = GAUSSIAN


@pytest.mark.gpu
@pytest.mark.parametrize("engine_class", [TritonGpu, Tiles])
@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("small", {}),
        ("base", {}),
        ("base", CONDITIONED["speakers and mel"]),
        ("base", TEN_LOGISTICS),
        ("small", GAUSSIAN),
    ],
)
def test_bfloat16_is_near_the_full_network_and_picks_from_its_own_logits(
    name: str, changes: dict[str, Any], engine_class: type[TritonGpu]
) -> None:
    net = random_net(preset(name).model.model_copy(update=changes))
    engine = engine_class(GeneratorWeights.of(net), "cuda", "bfloat16")
    engine.reset(3)
    numbers, given = uniforms(0, rows=3, length=400), random_conditioning(net.config, 3, 400)
    condition = projected(net, given)
    codes = engine.generate(numbers, SETTINGS["plain"], condition)
    engine.reset(3)
    scored = torch.from_numpy(engine.score(codes, condition))
    assert_picked_by(scored, codes, numbers, SETTINGS["plain"], 1e-4, net.head)
    reference = full_network(net, codes, given)
    assert float((scored - reference).abs().max() / reference.abs().max()) < 0.05


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("clips", [1, FEW_CLIPS + 9])
def test_repetitions_are_the_same_to_the_bit(clips: int, precision: str) -> None:
    """A race between threads would show as a difference, sooner or later."""
    engine = TritonGpu(weights_of(preset("base").model), "cuda", precision)
    numbers = uniforms(0, rows=clips, length=1_500)
    known = random_codes(preset("base").model, clips, 40)
    found = []
    for _ in range(REPETITIONS):
        engine.reset(clips)
        scored = engine.score(known)
        found.append((engine.generate(numbers, SamplingSettings(top_p=0.95)), scored))
    for codes, scored in found[1:]:
        np.testing.assert_array_equal(codes, found[0][0])
        np.testing.assert_array_equal(scored, found[0][1])
