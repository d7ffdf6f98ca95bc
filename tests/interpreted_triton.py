"""The GPU's kernel, interpreted by Triton on the CPU: `test_triton_gpu` runs this file in a process of its own.

Triton decides at its import whether it compiles or interprets, so this cannot share a process with other tests. The
interpreter takes some milliseconds a layer and sample: the contract is marked slow, and what runs each time are tiny
nets that still meet every branch.
"""

import math
import os
from typing import Any

assert os.environ.get("TRITON_INTERPRET") == "1", "run with TRITON_INTERPRET=1"

import numpy as np
import pytest
import torch
import triton
import triton.language as tl
from engine_contract import SETTINGS, ConditionContract, EngineContract, assert_picked_by
from quiet_codes import runs_before
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

from fast_gen.engines.condition import ChunkCondition, projected
from fast_gen.engines.gpu import packing as gpu_packing
from fast_gen.engines.gpu import triton_engine
from fast_gen.engines.gpu.triton_engine import Plan, TritonGpu
from fast_gen.engines.gpu.triton_pick_code import pick_codes
from fast_gen.engines.gpu.triton_pick_sample import pick_samples
from fast_gen.engines.sampling import SamplingSettings, pick, pick_by_head, uniforms
from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.coding import STEP
from wavenet_app.config import ModelConfig
from wavenet_app.heads import GaussianHead, Head, LogisticsHead

TINY = {
    "two taps": ModelConfig(
        residual_channels=5, dilation_channels=3, skip_channels=20, dilations=(1, 3), quantization_channels=32
    ),
    "three taps": ModelConfig(
        residual_channels=17,
        dilation_channels=6,
        skip_channels=4,
        kernel_size=3,
        dilations=(2, 1),
        quantization_channels=8,
    ),
    "one channel": ModelConfig(
        residual_channels=1, dilation_channels=1, skip_channels=1, dilations=(50,), quantization_channels=4
    ),
}


class InterpretedTriton(TritonGpu):
    """One program for each clip."""

    rows = 1

    def plan(self, clips: int) -> Plan:
        return Plan(self.rows, 4, 1)


class InterpretedTiles(InterpretedTriton):
    """Sixteen clips a program, as tensor cores take them."""

    rows = 16


def tiny(
    shape: str,
    engine_class: type[TritonGpu],
    precision: str = "float32",
    conditioned_on: str | None = None,
    head: dict[str, Any] | None = None,
) -> tuple[torch.nn.Module, TritonGpu]:
    changes = (CONDITIONED[conditioned_on] if conditioned_on else {}) | (head or {})
    net = random_net(TINY[shape].model_copy(update=changes))
    return net, engine_class(GeneratorWeights.of(net), "cpu", precision)


@pytest.mark.parametrize(
    ("shape", "engine_class"),
    [
        ("two taps", InterpretedTriton),
        ("three taps", InterpretedTiles),
        pytest.param("three taps", InterpretedTriton, marks=pytest.mark.slow),
        pytest.param("two taps", InterpretedTiles, marks=pytest.mark.slow),
    ],
)
def test_all_calls_continue_one_history(shape: str, engine_class: type[TritonGpu]) -> None:
    """Queues wrap around several times, and chunks end anywhere."""
    net, engine = tiny(shape, engine_class)
    engine.reset(2)
    known, numbers = random_codes(net.config, 2, 20), uniforms(4, rows=2, length=8)
    scored = engine.score(known[:, :6])
    first = engine.generate(numbers[:, :4], SETTINGS["plain"])
    engine.prime(known[:, 6:17])
    scored_too = engine.score(known[:, 17:])
    rest = [engine.generate(numbers[:, time : time + 1], SETTINGS["plain"]) for time in range(4, 8)]
    made = np.concatenate([known[:, :6], first, known[:, 6:], *rest], axis=1)
    logits = full_network(net, made)
    np.testing.assert_allclose(scored, logits[:, :6], atol=1e-4, rtol=0)
    np.testing.assert_allclose(scored_too, logits[:, 21:24], atol=1e-4, rtol=0)
    assert_picked_by(logits[:, 6:10], first, numbers[:, :4], SETTINGS["plain"], 1e-4)
    assert_picked_by(logits[:, 24:], np.concatenate(rest, axis=1), numbers[:, 4:], SETTINGS["plain"], 1e-4)


@pytest.mark.parametrize(
    ("shape", "engine_class", "changes"),
    [
        ("two taps", InterpretedTriton, {}),
        ("three taps", InterpretedTiles, GAUSSIAN),
        pytest.param("two taps", InterpretedTiles, CONDITIONED["mel"], marks=pytest.mark.slow),
    ],
)
def test_linear_prediction_goes_through_solutions_in_all_calls(
    shape: str, engine_class: type[TritonGpu], changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Calls end within a hop, at its end and beyond; more samples are primed than the net can see."""
    monkeypatch.setattr(triton_engine, "SOLVED_AT_ONCE", 16)  # a window in two blocks
    net, engine = tiny(shape, engine_class, head=PREDICTION | changes)
    engine.reset(2)
    given = random_conditioning(net.config, 2, 70)
    condition = projected(net, given)
    codes, numbers = random_codes(net.config, 2, 70), uniforms(4, rows=2, length=9)

    def of(first: int, count: int) -> ChunkCondition | None:
        return None if condition is None else condition.part(first, count)

    scored = engine.score(codes[:, :6], of(0, 6))
    engine.prime(codes[:, 6:37], of(6, 31))
    codes[:, 37:46] = engine.generate(numbers, SETTINGS["plain"], of(37, 9))
    engine.prime(codes[:, 46:55], of(46, 9))
    scored_too = engine.score(codes[:, 55:], of(55, 15))
    logits = full_network(net, codes, given)
    np.testing.assert_allclose(scored, logits[:, :6], atol=1e-4, rtol=0)
    np.testing.assert_allclose(scored_too, logits[:, 55:], atol=1e-4, rtol=0)
    assert_picked_by(logits[:, 37:46], codes[:, 37:46], numbers, SETTINGS["plain"], 1e-4, net.head)


def test_chunks_and_rows_are_the_same_to_the_bit() -> None:
    _, engine = tiny("two taps", InterpretedTriton)
    numbers = uniforms(1, rows=2, length=7)
    engine.reset(2)
    whole = engine.generate(numbers, SETTINGS["plain"])
    engine.reset(1)
    chunks = [
        engine.generate(numbers[1:2, :5], SETTINGS["plain"]),
        engine.generate(numbers[1:2, 5:], SETTINGS["plain"]),
    ]
    np.testing.assert_array_equal(np.concatenate(chunks, axis=1), whole[1:2])
    assert engine.generate(numbers[1:2, :0], SETTINGS["plain"]).shape == (1, 0)


def test_one_channel_a_dilation_beyond_the_clip_a_reset_and_a_code_that_does_not_exist() -> None:
    net, engine = tiny("one channel", InterpretedTriton)
    codes = random_codes(net.config, 1, 5)
    fresh = engine.score(codes)
    np.testing.assert_allclose(fresh, full_network(net, codes), atol=1e-4, rtol=0)
    engine.reset(1)
    np.testing.assert_array_equal(engine.score(codes), fresh)
    with pytest.raises(ValueError, match="codes must be from 0 to 3, not 4 to 4"):
        engine.score(np.full((1, 1), 4))


@pytest.mark.parametrize(
    ("conditioned_on", "shape", "engine_class", "precision"),
    [
        ("speakers", "two taps", InterpretedTriton, "float32"),
        pytest.param("mel", "two taps", InterpretedTriton, "float32", marks=pytest.mark.slow),
        ("speakers and mel", "three taps", InterpretedTiles, "float32"),
        pytest.param("mel", "two taps", InterpretedTriton, "bfloat16", marks=pytest.mark.slow),
        pytest.param("speakers and mel", "three taps", InterpretedTriton, "float32", marks=pytest.mark.slow),
        pytest.param("speakers", "two taps", InterpretedTiles, "float32", marks=pytest.mark.slow),
        pytest.param("mel", "three taps", InterpretedTiles, "float32", marks=pytest.mark.slow),
    ],
)
def test_every_sample_gets_its_own_condition(
    conditioned_on: str, shape: str, engine_class: type[TritonGpu], precision: str
) -> None:
    """Rows differ in their conditions, and calls begin within a step."""
    net, engine = tiny(shape, engine_class, precision, conditioned_on)
    engine.reset(2)
    phase = 3 if net.config.mel else 0
    given = random_conditioning(net.config, 2, 24)
    condition = projected(net, given, phase)
    assert condition is not None
    codes, numbers = random_codes(net.config, 2, 24), uniforms(4, rows=2, length=3)
    scored = engine.score(codes[:, :6], condition.part(0, 6))
    codes[:, 6:9] = engine.generate(numbers, SETTINGS["plain"], condition.part(6, 3))
    engine.prime(codes[:, 9:20], condition.part(9, 11))
    scored_too = engine.score(codes[:, 20:], condition.part(20, 4))
    logits = full_network(net, codes, given, phase)
    tolerance = 1e-4 if precision == "float32" else 0.3
    np.testing.assert_allclose(scored, logits[:, :6], atol=tolerance, rtol=0)
    np.testing.assert_allclose(scored_too, logits[:, 20:], atol=tolerance, rtol=0)
    if precision == "float32":
        assert_picked_by(logits[:, 6:9], codes[:, 6:9], numbers, SETTINGS["plain"], tolerance)
    other = full_network(net, codes, random_conditioning(net.config, 2, 24, seed=1), phase)
    assert float((other - logits).abs().amax((1, 2)).min()) > 2 * tolerance, "the condition of a row matters"


@pytest.mark.parametrize("conditioned_on", ["speakers and mel", pytest.param("mel", marks=pytest.mark.slow)])
def test_chunks_and_rows_with_conditions_are_the_same_to_the_bit(
    conditioned_on: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunks that end within a step, and a device with room for one step at a time."""
    net, engine = tiny("two taps", InterpretedTriton, conditioned_on=conditioned_on)
    condition = projected(net, random_conditioning(net.config, 2, 11), 2)
    assert condition is not None
    numbers = uniforms(1, rows=2, length=11)
    engine.reset(2)
    whole = engine.generate(numbers, SETTINGS["plain"], condition)
    monkeypatch.setattr(gpu_packing, "CONDITION_AT_ONCE", 1)
    engine.reset(1)
    own = ChunkCondition(condition.values[1:], condition.hold, condition.phase)
    chunks = [
        engine.generate(numbers[1:, start:stop], SETTINGS["plain"], own.part(start, stop - start))
        for start, stop in ((0, 1), (1, 8), (8, 11))
    ]
    np.testing.assert_array_equal(np.concatenate(chunks, axis=1), whole[1:])


@pytest.mark.parametrize("settings", SETTINGS)
def test_every_control_reaches_the_kernel(settings: str) -> None:
    net, engine = tiny("two taps", InterpretedTriton)
    numbers = uniforms(2, rows=1, length=3)
    codes = engine.generate(numbers, SETTINGS[settings])
    assert_picked_by(full_network(net, codes), codes, numbers, SETTINGS[settings], 1e-4)


def test_bfloat16_is_near_and_primes_as_it_steps() -> None:
    net, engine = tiny("two taps", InterpretedTriton, "bfloat16")
    codes = random_codes(net.config, 1, 12)
    scored = engine.score(codes)
    difference = np.abs(scored - full_network(net, codes).numpy()).max()
    assert 1e-3 < difference < 0.3
    engine.reset(1)
    engine.prime(codes[:, :9])
    np.testing.assert_allclose(engine.score(codes[:, 9:]), scored[:, 9:], atol=0.05, rtol=0)


@pytest.mark.parametrize(
    ("head", "shape", "engine_class", "precision", "settings"),
    [
        (LOGISTICS, "two taps", InterpretedTriton, "float32", "plain"),
        (GAUSSIAN, "three taps", InterpretedTiles, "float32", "cool"),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                (LOGISTICS, "three taps", InterpretedTiles, "float32", "greedy"),
                (LOGISTICS, "three taps", InterpretedTriton, "bfloat16", "quiet"),
                (GAUSSIAN, "two taps", InterpretedTriton, "float32", "plain"),
                (GAUSSIAN, "two taps", InterpretedTiles, "float32", "greedy"),
            )
        ),
    ],
)
def test_samples_of_sixteen_bits_are_picked_from_what_is_scored(
    head: dict[str, Any], shape: str, engine_class: type[TritonGpu], precision: str, settings: str
) -> None:
    net, engine = tiny(shape, engine_class, precision, head=head)
    engine.reset(2)
    known, numbers = random_codes(net.config, 2, 13), uniforms(4, rows=2, length=4)
    first = engine.score(known[:, :3])
    made = [engine.generate(numbers[:, times], SETTINGS[settings]) for times in (slice(3), slice(3, 4))]
    engine.prime(known[:, 3:10])
    last = engine.score(known[:, 10:])
    whole = np.concatenate([known[:, :3], *made, known[:, 3:]], axis=1)
    outputs = full_network(net, whole).numpy()
    engine.reset(2)
    scored = engine.score(whole[:, :7])
    tolerance = 1e-5 if precision == "float32" else 0.03
    for found, expected in ((first, outputs[:, :3]), (scored, outputs[:, :7]), (last, outputs[:, 14:])):
        np.testing.assert_allclose(found, expected, atol=tolerance, rtol=0)
    picked = pick_by_head(
        net.head,
        torch.from_numpy(scored[:, 3:].reshape(8, -1)),
        torch.from_numpy(numbers.flatten()),
        SETTINGS[settings],
        runs_before(whole[:, 3:7], net.config.coding, known[:, :3]).flatten(),
    )
    np.testing.assert_array_equal(np.concatenate(made, axis=1).flatten(), picked)


@pytest.mark.parametrize("head", [LOGISTICS, GAUSSIAN], ids=["logistics", "gaussian"])
def test_a_mean_lies_exactly_as_far_above_the_newest_sample_as_the_last_layer_says(head: dict[str, Any]) -> None:
    """In bfloat16 too, whose 8 bits are too few for a mean."""
    net = random_net(TINY["two taps"].model_copy(update=head))
    torch.nn.init.zeros_(net.output2.weight)
    engine = InterpretedTriton(GeneratorWeights.of(net), "cpu", "bfloat16")
    samples = np.array([[-(2**15), 2**15 - 1, 12_345]])
    scored = engine.score(samples)
    newest = np.array([0, -(2**15), 2**15 - 1], np.float32) * np.float32(STEP)
    expected = np.repeat(net.output2.bias.detach().numpy()[None], 3, axis=0)
    expected[:, net.head.means] += newest[:, None]
    np.testing.assert_array_equal(scored[0], expected)


@triton.jit
def _pick(
    logits, uniforms, codes, scale, top_k, top_p, least, Q: tl.constexpr, ROWS: tl.constexpr, CODES: tl.constexpr,
    GREEDY: tl.constexpr, SELECT: tl.constexpr,
):  # fmt: skip
    rows = tl.arange(0, ROWS)
    found = tl.load(logits + rows[:, None] * Q + tl.arange(0, Q)[None, :])
    scales = tl.zeros([ROWS], tl.float32) + scale
    picked = pick_codes(found, tl.load(uniforms + rows), scales, top_k, top_p, least, CODES, GREEDY, SELECT)
    tl.store(codes + rows, picked)


def picked_by_kernel(
    logits: torch.Tensor, numbers: torch.Tensor, settings: SamplingSettings, width: int
) -> torch.Tensor:
    """The kernel's codes of rows of logits, padded to a width."""
    rows, codes = logits.shape
    whole = torch.nn.functional.pad(logits, (0, width - codes), value=-torch.inf)
    picked = torch.full((rows,), -1, dtype=torch.int32)
    _, scale, top_k, top_p, least, *_ = settings.numbers
    greedy = settings.temperature == 0
    _pick[(1,)](whole, numbers, picked, scale, top_k or width, top_p, least, width, rows, codes, greedy, settings.ranks)
    return picked.long()


@pytest.mark.parametrize(
    "settings",
    [
        SETTINGS["greedy"],
        SETTINGS["plain"],
        SETTINGS["top-k and top-p"],
        SamplingSettings(temperature=0.7, min_p=0.05),
        SamplingSettings(top_p=0.9, min_p=1.0),
        *(
            pytest.param(settings, marks=pytest.mark.slow)
            for settings in (
                SETTINGS["cool"],
                SETTINGS["top-k"],
                SETTINGS["top-p"],
                SamplingSettings(top_k=1),
                SamplingSettings(top_k=31, top_p=0.999),
                SamplingSettings(top_p=1e-6),
                SamplingSettings(temperature=0.01, top_k=7),
            )
        ),
    ],
    ids=str,
)
def test_the_pick_is_the_one_defined(settings: SamplingSettings) -> None:
    """Among equal logits too, signed zeros, codes that do not exist, and the least and the greatest uniform number."""
    rows, codes, width = 16, 30, 32
    generator = torch.Generator().manual_seed(0)
    logits = (torch.randn(rows, codes, generator=generator) * 3).round(decimals=1)
    logits[:6] = logits[:6].sign()
    logits[6:9] = torch.tensor([0.0, -0.0]).repeat(15)
    numbers = torch.rand(rows, generator=generator)
    numbers[::5], numbers[1::5] = 0.0, 1 - 2.0**-24
    assert torch.equal(picked_by_kernel(logits, numbers, settings, width), pick(logits, numbers, settings))


@pytest.mark.parametrize("top_p", [0.25, 0.2500001, 0.5, 0.5000001, 0.75])
def test_top_p_keeps_no_code_more_once_it_is_reached(top_p: float) -> None:
    """Four equal codes: a sum of weights can equal the share itself."""
    settings = SamplingSettings(top_p=top_p)
    logits, numbers = torch.zeros(16, 4), torch.full((16,), 1 - 2.0**-24)
    expected = pick(logits, numbers, settings)
    assert expected.unique().tolist() == [math.ceil(4 * top_p) - 1]
    assert torch.equal(picked_by_kernel(logits, numbers, settings, 4), expected)


@pytest.mark.parametrize("codes", [1, 16, 30, 32])
@pytest.mark.parametrize("settings", [SETTINGS["greedy"], SETTINGS["plain"], SETTINGS["top-k and top-p"]], ids=str)
def test_logits_that_are_not_numbers_pick_a_code_that_exists(settings: SamplingSettings, codes: int) -> None:
    for broken in (math.nan, math.inf, -math.inf):
        picked = picked_by_kernel(torch.full((16, codes), broken), torch.full((16,), 0.5), settings, 32)
        assert bool(((picked >= 0) & (picked < codes)).all())


@triton.jit
def _pick_sample(
    outputs,
    uniforms,
    samples,
    temperature,
    scale,
    Q: tl.constexpr,
    ROWS: tl.constexpr,
    RULE: tl.constexpr,
    FIRST_MEAN: tl.constexpr,
    AFTER_MEANS: tl.constexpr,
    GREEDY: tl.constexpr,
):
    rows = tl.arange(0, ROWS)
    found = tl.load(outputs + rows[:, None] * Q + tl.arange(0, Q)[None, :])
    numbers = tl.load(uniforms + rows)
    widths, scales = tl.zeros([ROWS], tl.float32) + temperature, tl.zeros([ROWS], tl.float32) + scale
    tl.store(samples + rows, pick_samples(found, numbers, widths, scales, RULE, FIRST_MEAN, AFTER_MEANS, GREEDY))


@pytest.mark.parametrize("temperature", [0.0, 0.7, 1.0])
@pytest.mark.parametrize(("head", "width"), [(LogisticsHead(3), 16), (LogisticsHead(10), 32), (GaussianHead(), 16)])
def test_the_pick_of_a_sample_is_the_one_defined(head: Head, width: int, temperature: float) -> None:
    """Among equal components too, of almost no and of endless width, beyond the edges, and at the extreme uniforms."""
    rows = 2_048
    means, count = head.means, head.output_channels
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(rows, count, generator=generator)
    outputs[:, : means.start] = (outputs[:, : means.start] * 9).round()
    outputs[:, means] *= 0.5
    outputs[:, means.stop :] = outputs[:, means.stop :] * 4 - 6
    numbers = torch.rand(rows, generator=generator)
    numbers[::50], numbers[1::50] = 0.0, 1 - 2.0**-24
    whole = torch.nn.functional.pad(outputs, (0, width - count), value=-torch.inf)
    picked = torch.empty(rows, dtype=torch.int32)
    heat, scale, *_ = SamplingSettings(temperature).numbers
    _pick_sample[(1,)](
        whole, numbers, picked, heat, scale, width, rows, int(head.rule), means.start, means.stop, temperature == 0
    )
    assert torch.equal(picked.long(), pick_by_head(head, outputs, numbers, SamplingSettings(temperature)))


@pytest.mark.slow
class TestInterpretedTriton(EngineContract):
    def make_engine(self, weights: GeneratorWeights) -> InterpretedTriton:
        return InterpretedTriton(weights, "cpu")


@pytest.mark.slow
class TestInterpretedTritonConditioned(ConditionContract):
    def make_engine(self, weights: GeneratorWeights) -> InterpretedTriton:
        return InterpretedTriton(weights, "cpu")


@pytest.mark.slow
class TestInterpretedTritonOfLogistics(TestInterpretedTriton):
    head = LOGISTICS


@pytest.mark.slow
class TestInterpretedTritonOfOneGaussian(TestInterpretedTriton):
    head = GAUSSIAN


@pytest.mark.slow
class TestInterpretedTritonWithPrediction(TestInterpretedTriton):
    head = PREDICTION


@pytest.mark.slow
class TestInterpretedTritonOfOneGaussianConditioned(TestInterpretedTritonConditioned):
    head = GAUSSIAN
