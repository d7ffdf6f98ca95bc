"""The cluster kernel: run on the CPU thread by thread, compiled without a device, and run on one under the contract."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cluster_emulation import (
    TINY,
    EmulatedKernel,
    OnTheCpu,
    assert_calls_equal_the_full_network,
    need_compiler,
    needs_nvrtc,
)
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

from fast_gen.engines.condition import projected
from fast_gen.engines.contract import Engine
from fast_gen.engines.gpu.cluster import engine as cluster_gpu
from fast_gen.engines.gpu.cluster import nvrtc
from fast_gen.engines.gpu.cluster import packing as cluster_packing
from fast_gen.engines.gpu.cluster.engine import ClusterGpu
from fast_gen.engines.gpu.cluster.packing import (
    Macros,
    definitions,
    divide,
    divisions,
    fragments,
    pack_cluster,
    packed_matrix,
)
from fast_gen.engines.gpu.packing import pack
from fast_gen.engines.gpu.triton_engine import Plan
from fast_gen.engines.sampling import SamplingSettings, pick_by_head, uniforms
from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.config import ModelConfig, preset
from wavenet_app.core.errors import UserError


class EmulatedCluster(OnTheCpu, ClusterGpu):
    """The engine with its kernel on the CPU."""

    folder: Path
    order: int

    def plan(self, clips: int) -> Plan:
        return Plan(1, 4, 1)

    def _compile(self, macros: Macros) -> EmulatedKernel:
        return EmulatedKernel(type(self), macros, self._division, self.folder, self.order)


MakeEmulated = Callable[..., ClusterGpu]


@pytest.fixture
def emulated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeEmulated:
    """A function that returns an engine with two clips, the layers in several blocks."""
    need_compiler()

    def make(
        net: torch.nn.Module, order: int, precision: str, threads: int = 64, shared_bytes: int | None = None
    ) -> ClusterGpu:
        monkeypatch.setattr(cluster_packing, "LEAST_THREADS", threads)
        # as much as makes several blocks of the layers
        several = shared_bytes or (80_000 if len(net.config.dilations) == 1 else 16_640)
        monkeypatch.setattr(cluster_packing, "SHARED_BYTES", several)
        monkeypatch.setattr(EmulatedCluster, "folder", tmp_path, raising=False)
        monkeypatch.setattr(EmulatedCluster, "order", order, raising=False)
        engine = EmulatedCluster(GeneratorWeights.of(net), "cpu", precision)
        engine.reset(2)
        return engine

    return make


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("order", [0, pytest.param(1, marks=pytest.mark.exhaustive)], ids=["in turn", "at random"])
@pytest.mark.parametrize("shape", TINY)
def test_the_emulated_kernel_equals_the_full_network(
    shape: str, order: int, precision: str, emulated: MakeEmulated
) -> None:
    net = random_net(TINY[shape], seed=1)  # of seed 0, one logit moves by 0.25 in bfloat16 on every engine
    engine = emulated(net, order, precision)
    assert_calls_equal_the_full_network(engine, net, 2, precision)
    if precision == "float32":
        numbers = uniforms(4, rows=2, length=8)
        for settings in SETTINGS.values():
            engine.reset(2)
            made = engine.generate(numbers, settings)
            assert_picked_by(full_network(net, made), made, numbers, settings, 1e-4)


@pytest.mark.parametrize(
    ("shape", "threads", "shared_bytes", "sets", "firsts"),
    [
        ("two taps", 128, 7_000, 1, (0, 1, 2, 3)),
        ("two taps", 256, 16_640, 2, (0, 3)),
        ("three taps", 128, 40_000, 1, (0, 4)),
        ("three taps", 256, 20_000, 2, (0, 2, 4)),
        ("one layer", 256, 80_000, 1, (0, 1)),
    ],
)
@pytest.mark.parametrize("order", [-1, pytest.param(1, marks=pytest.mark.exhaustive)], ids=["ahead", "at random"])
def test_weights_in_registers_give_the_logits_of_those_in_shared_memory(
    shape: str,
    threads: int,
    shared_bytes: int,
    sets: int,
    firsts: tuple[int, ...],
    order: int,
    emulated: MakeEmulated,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same operands in another order of the sums, and so the same but where a sum is close to two of bfloat16."""
    net = random_net(TINY[shape], seed=1)
    kept = emulated(net, order, "bfloat16", threads, shared_bytes)
    assert (kept._division.sets, kept._division.first_layers) == (sets, firsts)
    assert_calls_equal_the_full_network(kept, net, 2, "bfloat16")
    codes = random_codes(net.config, 2, 60)
    kept.reset(2)
    logits = kept.score(codes)
    monkeypatch.setattr(cluster_packing, "REGISTERS", 0)
    read = emulated(net, 0, "bfloat16", threads, shared_bytes)
    assert read._division.sets == 0
    difference = np.abs(logits - read.score(codes))
    assert difference.max() < 0.05
    assert np.median(difference) < 1e-5


def test_weights_in_registers_give_the_logits_of_the_full_network_at_the_widths_of_base(emulated: MakeEmulated) -> None:
    """Four products of a tensor core for each tile, as in `base`; narrower nets have one or two."""
    shape = ModelConfig(
        residual_channels=64, dilation_channels=64, skip_channels=16, dilations=(1, 2, 4), quantization_channels=16
    )
    net = random_net(shape, seed=1)
    engine = emulated(net, -1, "bfloat16", 512, 100_000)
    assert (engine._division.sets, engine._division.first_layers) == (1, (0, 1, 3))
    codes = random_codes(net.config, 2, 12)
    np.testing.assert_allclose(engine.score(codes), full_network(net, codes), atol=0.15, rtol=0)


def test_the_presets_keep_in_registers_what_fits() -> None:
    """The rest of 128 registers is the kernel's own; without spills, as its stack is empty."""
    from sm90 import SHARED_BYTES, compile_cluster

    found = {}
    with needs_nvrtc():
        for chip in (90, 120):
            for name, head in (("tiny", {}), ("small", {}), ("base", {}), ("base", LOGISTICS), ("small", GAUSSIAN)):
                weights = GeneratorWeights.of(random_net(preset(name).model.model_copy(update=head)))
                compiled = compile_cluster(ClusterGpu, weights, "bfloat16", chip)
                if compiled is not None:
                    division, needed = compiled
                    found[chip, name] = division.sets
                    assert needed.registers <= 65_536 // division.threads
                    assert needed.spilled_bytes == 0
                    assert division.shared_bytes <= SHARED_BYTES[chip]
    assert found == {(90, "tiny"): 2, (90, "small"): 2, (90, "base"): 1, (120, "tiny"): 2, (120, "small"): 2}


def test_a_thousand_threads_have_no_registers_for_weights() -> None:
    """As many as 1,024 codes need."""
    shape = preset("small").model.model_copy(update={"skip_channels": 64, "quantization_channels": 1_024})
    division = divide(pack(GeneratorWeights.of(random_net(shape)), "cpu", torch.bfloat16))
    assert division is not None
    assert (division.threads, division.sets) == (1_024, 0)


@pytest.mark.parametrize(("inputs", "outputs"), [(16, 16), (64, 32), (32, 128)])
def test_each_thread_of_a_warp_has_the_weights_of_its_outputs_and_inputs(inputs: int, outputs: int) -> None:
    """Threads 4 i to 4 i + 3 have outputs i and i + 8, and each of them a quarter of the inputs."""
    matrix = torch.arange(inputs * outputs, dtype=torch.int16).view(torch.bfloat16).view(inputs, outputs)
    packed = fragments(matrix).view(torch.bfloat16).view(outputs // 16, inputs // 16, 8, 4, 2, 2, 2)
    quarters = matrix.view(4, inputs // 4, outputs)
    for tile, row, quarter, half in ((0, 0, 0, 0), (outputs // 16 - 1, 5, 3, 1), (0, 7, 2, 0)):
        found = packed[tile, :, row, quarter, :, half].flatten()
        assert torch.equal(found.view(torch.int16), quarters[quarter, :, 16 * tile + 8 * half + row].view(torch.int16))


@pytest.mark.parametrize("how", [*SETTINGS.values(), SamplingSettings(top_k=3, min_p=0.2)], ids=str)
def test_codes_are_the_reference_pick_of_the_kernels_own_logits(how: SamplingSettings, emulated: MakeEmulated) -> None:
    """Without a tolerance; some clips have equal logits."""
    net = random_net(TINY["two taps"], seed=1)
    with torch.no_grad():
        net.output2.weight[::3] = 0
        net.output2.bias[::3] = 0.5
    engine = emulated(net, 0, "bfloat16")
    numbers = uniforms(4, rows=2, length=30)
    made = engine.generate(numbers, how)
    engine.reset(2)
    scored = torch.from_numpy(engine.score(made)).flatten(0, 1)
    runs = runs_before(made, net.config.coding).flatten()
    expected = pick_by_head(net.head, scored, torch.from_numpy(numbers).flatten(), how, runs)
    np.testing.assert_array_equal(made.flatten(), expected)


@pytest.mark.parametrize("head", [LOGISTICS, GAUSSIAN], ids=["logistics", "gaussian"])
@pytest.mark.parametrize(
    ("shape", "precision", "threads"), [("two taps", "float32", 64), ("three taps", "bfloat16", 128)]
)
def test_the_emulated_kernel_predicts_and_picks_16_bit_samples(
    head: dict[str, Any], shape: str, precision: str, threads: int, emulated: MakeEmulated
) -> None:
    """The picks are those of the reference for the kernel's own outputs, without a tolerance."""
    net = random_net(TINY[shape].model_copy(update={**head, **PREDICTION}), seed=1)
    engine = emulated(net, 0, precision, threads, 40_000 if threads > 64 else None)
    assert_calls_equal_the_full_network(engine, net, 2, precision)
    numbers = uniforms(4, rows=2, length=30)
    numbers[:, :2] = [[0, 1 - 2.0**-24], [0.07, 0.93]]  # the ends, and beyond the middle of a Gaussian
    for settings in (SETTINGS["greedy"], SETTINGS["plain"], SETTINGS["cool"], SETTINGS["quiet"]):
        engine.reset(2)
        made = engine.generate(numbers, settings)
        assert len(np.unique(made)) > 10
        engine.reset(2)
        scored = torch.from_numpy(engine.score(made)).flatten(0, 1)
        runs = runs_before(made, net.config.coding).flatten()
        expected = pick_by_head(net.head, scored, torch.from_numpy(numbers).flatten(), settings, runs)
        np.testing.assert_array_equal(made.flatten(), expected)


@pytest.mark.parametrize("head", [LOGISTICS, GAUSSIAN], ids=["logistics", "gaussian"])
def test_the_last_layer_of_16_bit_samples_is_float32_beside_bfloat16(
    head: dict[str, Any], emulated: MakeEmulated
) -> None:
    """A step of 16-bit samples is far below what bfloat16 keeps."""
    net = random_net(TINY["two taps"].model_copy(update=head), seed=1)
    with torch.no_grad():
        net.output1.weight.zero_()  # what goes into the last layer is then its bias, in no other precision
    engine, codes = emulated(net, 0, "bfloat16"), random_codes(net.config, 2, 9)
    np.testing.assert_allclose(engine.score(codes), full_network(net, codes), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("kind", "shape", "precision"),
    [
        ("speakers and mel", "two taps", "float32"),
        pytest.param("speakers", "three taps", "float32", marks=pytest.mark.exhaustive),
        pytest.param("mel", "three taps", "bfloat16", marks=pytest.mark.exhaustive),
    ],
)
def test_the_emulated_kernel_gives_every_sample_its_own_condition(
    kind: str, shape: str, precision: str, emulated: MakeEmulated
) -> None:
    """Calls begin within a step of the conditions of two clips."""
    net = random_net(TINY[shape].model_copy(update=CONDITIONED[kind]))
    engine = emulated(net, 0, precision)
    phase = 3 if net.config.mel else 0
    given, codes = random_conditioning(net.config, 2, 24), random_codes(net.config, 2, 24)
    condition = projected(net, given, phase)
    assert condition is not None
    logits = full_network(net, codes, given, phase)
    tolerance = 1e-4 if precision == "float32" else 0.3
    first = engine.score(codes[:, :6], condition.part(0, 6))
    np.testing.assert_allclose(first, logits[:, :6], atol=tolerance, rtol=0)
    engine.prime(codes[:, 6:15], condition.part(6, 9))
    last = engine.score(codes[:, 15:], condition.part(15, 9))
    np.testing.assert_allclose(last, logits[:, 15:], atol=tolerance, rtol=0)
    numbers = uniforms(4, rows=2, length=9)
    engine.reset(2)
    whole = engine.generate(numbers, SETTINGS["plain"], condition.part(0, 9))
    engine.reset(2)
    parts = [
        engine.generate(numbers[:, start:stop], SETTINGS["plain"], condition.part(start, stop - start))
        for start, stop in ((0, 2), (2, 9))
    ]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)
    if precision == "float32":
        assert_picked_by(full_network(net, whole, given, phase), whole, numbers, SETTINGS["plain"], tolerance)


@pytest.mark.parametrize(
    ("name", "kind", "blocks"),
    [
        ("tiny", torch.float32, 4),
        ("small", torch.float32, 6),
        ("small", torch.bfloat16, 4),
        ("base", torch.bfloat16, 12),
    ],
)
def test_the_presets_fit_into_a_cluster_and_compile_for_an_h100(name: str, kind: torch.dtype, blocks: int) -> None:
    weights = GeneratorWeights.of(random_net(preset(name).model))
    model = pack(weights, "cpu", kind)
    division = divide(model)
    assert division is not None
    assert division.blocks == blocks
    with needs_nvrtc():
        code = nvrtc.compiled(ClusterGpu.source(), definitions(model, division, weights))
    assert code.startswith(b"\x7fELF")


def test_a_model_too_large_for_a_cluster_is_left_to_triton() -> None:
    """An output layer lies in one block, so it has to fit there."""
    assert divide(pack(GeneratorWeights.of(random_net(preset("base").model)), "cpu", torch.float32)) is None


def test_a_cluster_that_cannot_be_scheduled_is_said(emulated: MakeEmulated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EmulatedKernel, "most_clusters", lambda _: 0)
    with pytest.raises(UserError, match=r"cannot schedule a cluster of \d+( or \d+)* blocks; take --engine cuda"):
        emulated(random_net(TINY["two taps"]), 0, "float32")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_weights_beyond_the_memory_of_a_small_cluster_are_read_from_afar(
    precision: str, emulated: MakeEmulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the device schedules no cluster that holds them all."""
    asked = []

    def most_clusters(kernel: EmulatedKernel) -> int:
        asked.append(kernel.division)
        return 0 if kernel.division.is_whole else 1

    monkeypatch.setattr(EmulatedKernel, "most_clusters", most_clusters)
    monkeypatch.setattr(
        EmulatedCluster, "_shared_bytes", staticmethod(lambda: 40_000 if precision == "float32" else 22_000)
    )
    monkeypatch.setattr(cluster_packing, "PORTABLE_BLOCKS", 3)
    net = random_net(TINY["three taps"], seed=2)
    engine = emulated(net, 1, precision)
    assert [division.is_whole for division in asked] == [True, True, False]
    assert asked[0].blocks < asked[1].blocks
    assert asked[2].blocks == 3
    assert 1 <= asked[2].held_layers < len(net.config.dilations)
    assert engine.remark == (
        "not all weights fit into the 3 blocks of a cluster here; a part is read from the GPU's cache"
    )
    codes = random_codes(net.config, 2, 12)
    tolerance = 1e-4 if precision == "float32" else 0.1
    np.testing.assert_allclose(engine.score(codes), full_network(net, codes), atol=tolerance, rtol=0)


def test_base_can_be_divided_in_several_ways() -> None:
    """Into what holds all weights, and else into the eight blocks that each chip takes."""
    model = pack(GeneratorWeights.of(random_net(preset("base").model)), "cpu", torch.bfloat16)
    found = [[(one.blocks, one.held_layers) for one in divisions(model, size)] for size in (232_448, 101_376)]
    assert found == [[(12, 3), (16, 3), (8, 3)], []]


def test_more_clips_than_clusters_are_tritons_and_that_is_said(emulated: MakeEmulated) -> None:
    engine = emulated(random_net(TINY["two taps"]), 0, "float32")
    assert engine.remark is None
    engine.reset(9)
    assert engine.remark == "9 clips are more than the 8 that have a cluster each; the engine cuda made them"


def test_the_emulated_kernel_goes_through_solutions_of_linear_prediction(emulated: MakeEmulated) -> None:
    """Calls end within a hop, at its end and beyond."""
    net = random_net(TINY["two taps"].model_copy(update=PREDICTION), seed=1)
    engine = emulated(net, 0, "float32")
    codes, numbers = random_codes(net.config, 2, 60), uniforms(4, rows=2, length=9)
    scored = engine.score(codes[:, :6])
    engine.prime(codes[:, 6:37])
    codes[:, 37:46] = engine.generate(numbers, SETTINGS["plain"])
    engine.prime(codes[:, 46:50])
    scored_too = engine.score(codes[:, 50:])
    logits = full_network(net, codes)
    np.testing.assert_allclose(scored, logits[:, :6], atol=1e-4, rtol=0)
    np.testing.assert_allclose(scored_too, logits[:, 50:], atol=1e-4, rtol=0)
    assert_picked_by(logits[:, 37:46], codes[:, 37:46], numbers, SETTINGS["plain"], 1e-4)


def test_weights_are_packed_block_after_block_and_none_is_lost() -> None:
    model = pack(GeneratorWeights.of(random_net(preset("base").model)), "cpu", torch.bfloat16)
    division = divide(model)
    assert division is not None
    packed, starts = pack_cluster(model, division)
    assert starts.tolist()[-1] * 16 == len(packed)
    assert int((starts[1:] - starts[:-1]).max()) * 16 + division.layer_desk_bytes <= cluster_packing.SHARED_BYTES
    matrices = (model.dilated, model.residuals, model.skips, model.output1, model.output2)
    total = sum(float(matrix.double().abs().sum()) for matrix in matrices)
    assert float(packed.view(torch.bfloat16).double().abs().sum()) == pytest.approx(total)


def test_threads_side_by_side_read_16_bytes_side_by_side() -> None:
    model = pack(GeneratorWeights.of(random_net(preset("base").model)), "cpu", torch.bfloat16)
    division = divide(model)
    assert division is not None
    matrix = torch.arange(64 * 128, dtype=torch.float32).view(64, 128).to(torch.bfloat16)
    packed = packed_matrix(matrix, division).view(torch.bfloat16).view(-1, 128, 4, 8)
    for output, part in ((0, 0), (5, 3), (127, 2)):
        assert torch.equal(packed[1, output, part], matrix[(4 + part) * 8 : (5 + part) * 8, output])


@pytest.mark.gpu
class TestClusterGpu(EngineContract):
    def make_engine(self, weights: GeneratorWeights) -> Engine:
        return ClusterGpu(weights)


@pytest.mark.gpu
class TestClusterGpuOfLogistics(TestClusterGpu):
    head = LOGISTICS


@pytest.mark.gpu
class TestClusterGpuOfOneGaussian(TestClusterGpu):
    head = GAUSSIAN | PREDICTION


@pytest.mark.gpu
class TestClusterGpuConditioned(ConditionContract):
    def make_engine(self, weights: GeneratorWeights) -> Engine:
        return ClusterGpu(weights)


@pytest.mark.gpu
@pytest.mark.parametrize(("name", "precision"), [("small", "float32"), ("small", "bfloat16"), ("base", "bfloat16")])
def test_presets_pick_from_their_own_logits_and_repetitions_are_the_same(name: str, precision: str) -> None:
    net = random_net(preset(name).model)
    engine = ClusterGpu(GeneratorWeights.of(net), "cuda", precision)
    clips = cluster_gpu.FEW_CLIPS
    numbers = uniforms(0, rows=clips, length=1_500)
    engine.reset(clips)
    codes = engine.generate(numbers, SamplingSettings())
    engine.reset(clips)
    scored = engine.score(codes[:, :400])
    assert_picked_by(torch.from_numpy(scored), codes[:, :400], numbers[:, :400], SamplingSettings(), 1e-4)
    reference = full_network(net, codes[:, :400])
    limit = 1e-4 if precision == "float32" else 0.05
    assert float((torch.from_numpy(scored) - reference).abs().max() / reference.abs().max()) < limit
    for _ in range(50):
        engine.reset(clips)
        np.testing.assert_array_equal(engine.generate(numbers, SamplingSettings()), codes)
