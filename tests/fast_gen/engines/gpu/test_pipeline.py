"""The pipeline's kernel: run on the CPU thread by thread, compiled without a device, and run on one in the contract."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

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
from hypothesis import given, settings
from hypothesis import strategies as st
from quiet_codes import runs_before
from random_nets import CONDITIONED, PREDICTION, full_network, random_codes, random_conditioning, random_net

from fast_gen.engines import choice as engine_choice
from fast_gen.engines.choice import choose_engine, fits
from fast_gen.engines.condition import projected
from fast_gen.engines.contract import Engine
from fast_gen.engines.gpu.cluster import packing as cluster_packing
from fast_gen.engines.gpu.cluster import pipeline_packing
from fast_gen.engines.gpu.cluster.packing import Macros, tiles
from fast_gen.engines.gpu.cluster.pipeline import PipelineGpu
from fast_gen.engines.gpu.cluster.pipeline_packing import divisions, pack_pipeline
from fast_gen.engines.gpu.packing import pack
from fast_gen.engines.reference import TorchQueue
from fast_gen.engines.sampling import SamplingSettings, pick_by_head, uniforms
from fast_gen.engines.self_check import self_check
from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.config import preset
from wavenet_app.core.errors import UserError

IN_TURN, AT_RANDOM, AHEAD = 0, 1, -1
"""Orders of threads; see `cluster_emulation.h`."""


class EmulatedPipeline(OnTheCpu, PipelineGpu):
    """The engine with its kernel on the CPU; of threads in some order, on a device for some clusters at a time."""

    order: ClassVar[int] = 0
    clusters: ClassVar[int] = 2

    def _compile(self, macros: Macros) -> EmulatedKernel:
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        return EmulatedKernel(PipelineGpu, macros, self._division, folder, self.order, self.clusters)

    folder: ClassVar[Path]


MakeEmulated = Callable[..., PipelineGpu]


@pytest.fixture
def emulated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeEmulated:
    """A function that returns an engine whose layers lie in several blocks of two warps, with tiles of eight clips."""
    need_compiler()
    monkeypatch.setattr(pipeline_packing, "THREADS", 64)
    monkeypatch.setattr(pipeline_packing, "TILES", (8,))
    monkeypatch.setattr(EmulatedPipeline, "folder", tmp_path, raising=False)

    def make(
        net: torch.nn.Module, precision: str = "float32", order: int = 0, clusters: int = 2, layer_blocks: int = 3
    ) -> PipelineGpu:
        monkeypatch.setattr(cluster_packing, "MOST_BLOCKS", layer_blocks + 2)
        monkeypatch.setattr(EmulatedPipeline, "order", order)
        monkeypatch.setattr(EmulatedPipeline, "clusters", clusters)
        return EmulatedPipeline(GeneratorWeights.of(net), "cpu", precision)

    return make


def of_reference(net: torch.nn.Module) -> TorchQueue:
    return TorchQueue(GeneratorWeights.of(net), "cpu")


@pytest.mark.parametrize(
    ("clips", "order"),
    [
        (2, IN_TURN),
        (17, IN_TURN),
        *(pytest.param(clips, IN_TURN, marks=pytest.mark.exhaustive) for clips in (1, 7, 8, 16, 33)),
        *(pytest.param(clips, AT_RANDOM, marks=pytest.mark.exhaustive) for clips in (1, 7, 17)),
        *(pytest.param(clips, AHEAD, marks=pytest.mark.exhaustive) for clips in (1, 7, 33)),
    ],
)
def test_any_number_of_clips_gets_the_codes_of_the_reference(clips: int, order: int, emulated: MakeEmulated) -> None:
    """Hundreds of them, in tiles that are not full and that clusters have unequally many of."""
    net = random_net(TINY["two taps"], seed=1)
    engine, reference = emulated(net, order=order), of_reference(net)
    numbers = uniforms(7, rows=clips, length=300)
    for one in (engine, reference):
        one.reset(clips)
    expected = reference.generate(numbers, SETTINGS["cool"])
    np.testing.assert_array_equal(engine.generate(numbers, SETTINGS["cool"]), expected)
    assert len(np.unique(expected[-1])) > 4


def test_each_setting_gives_the_codes_of_the_reference(emulated: MakeEmulated) -> None:
    net = random_net(TINY["three taps"], seed=3)
    engine, reference = emulated(net, layer_blocks=2), of_reference(net)
    numbers = uniforms(5, rows=9, length=40)
    for name, how in SETTINGS.items():
        for one in (engine, reference):
            one.reset(9)
        expected = reference.generate(numbers, how)
        np.testing.assert_array_equal(engine.generate(numbers, how), expected, err_msg=name)


def test_chunks_of_any_length_on_any_number_of_clusters_make_up_the_whole(emulated: MakeEmulated) -> None:
    net = random_net(TINY["three taps"], seed=2)
    reference = of_reference(net)
    engines = [emulated(net, clusters=clusters, layer_blocks=blocks) for clusters, blocks in ((1, 4), (3, 1))]

    @settings(max_examples=8, deadline=None)
    @given(st.integers(1, 34), st.lists(st.integers(1, 7), min_size=1, max_size=4), st.sampled_from(engines))
    def check(clips: int, lengths: list[int], engine: PipelineGpu) -> None:
        numbers = uniforms(clips, rows=clips, length=sum(lengths))
        for one in (engine, reference):
            one.reset(clips)
        expected = reference.generate(numbers, SETTINGS["plain"])
        stops = np.cumsum(lengths)
        made = [
            engine.generate(numbers[:, stop - length : stop], SETTINGS["plain"])
            for stop, length in zip(stops, lengths, strict=True)
        ]
        np.testing.assert_array_equal(np.concatenate(made, axis=1), expected)

    check()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("order", [AHEAD, pytest.param(AT_RANDOM, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("shape", TINY)
def test_the_emulated_kernel_equals_the_full_network(
    shape: str, order: int, precision: str, emulated: MakeEmulated
) -> None:
    net = random_net(TINY[shape], seed=1)
    engine = emulated(net, precision, order)
    engine.reset(11)
    assert_calls_equal_the_full_network(engine, net, 11, precision)


def test_a_clip_is_the_same_to_the_bit_in_any_place_of_any_batch(emulated: MakeEmulated) -> None:
    engine = emulated(random_net(TINY["two taps"], seed=1), "bfloat16")
    codes = random_codes(TINY["two taps"], 19, 12)
    engine.reset(19)
    together = engine.score(codes)
    for clip in (0, 7, 18):
        engine.reset(1)
        np.testing.assert_array_equal(engine.score(codes[clip : clip + 1])[0], together[clip])


@pytest.mark.parametrize("shape", ["two taps", pytest.param("one layer", marks=pytest.mark.exhaustive)])
def test_codes_are_the_reference_pick_of_the_kernels_own_logits(shape: str, emulated: MakeEmulated) -> None:
    """Without a tolerance; some clips have equal logits, and a thread sees to one code or two."""
    net = random_net(TINY[shape], seed=1)
    with torch.no_grad():
        net.output2.weight[::3] = 0
        net.output2.bias[::3] = 0.5
    engine = emulated(net, "bfloat16")
    numbers = uniforms(4, rows=9, length=12)
    for how in (*SETTINGS.values(), SamplingSettings(top_k=3, min_p=0.2)):
        engine.reset(9)
        made = engine.generate(numbers, how)
        engine.reset(9)
        scored = torch.from_numpy(engine.score(made)).flatten(0, 1)
        runs = runs_before(made, net.config.coding).flatten()
        expected = pick_by_head(net.head, scored, torch.from_numpy(numbers).flatten(), how, runs)
        np.testing.assert_array_equal(made.flatten(), expected, err_msg=str(how))


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ("speakers and mel", "two taps"),
        pytest.param("speakers", "three taps", marks=pytest.mark.exhaustive),
        pytest.param("mel", "three taps", marks=pytest.mark.exhaustive),
    ],
)
def test_every_clip_has_its_own_condition(kind: str, shape: str, emulated: MakeEmulated) -> None:
    """Calls begin within a step of the conditions."""
    net = random_net(TINY[shape].model_copy(update=CONDITIONED[kind]))
    engine, reference = emulated(net), of_reference(net)
    phase = 3 if net.config.mel else 0
    conditioning, codes = random_conditioning(net.config, 10, 24), random_codes(net.config, 10, 24)
    condition = projected(net, conditioning, phase)
    assert condition is not None
    logits = full_network(net, codes, conditioning, phase)
    engine.reset(10)
    np.testing.assert_allclose(engine.score(codes[:, :6], condition.part(0, 6)), logits[:, :6], atol=1e-4, rtol=0)
    engine.prime(codes[:, 6:15], condition.part(6, 9))
    np.testing.assert_allclose(engine.score(codes[:, 15:], condition.part(15, 9)), logits[:, 15:], atol=1e-4, rtol=0)
    numbers = uniforms(4, rows=10, length=24)
    for one in (engine, reference):
        one.reset(10)
    parts = [
        engine.generate(numbers[:, start:stop], SETTINGS["plain"], condition.part(start, stop - start))
        for start, stop in ((0, 2), (2, 24))
    ]
    expected = reference.generate(numbers, SETTINGS["plain"], condition)
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), expected)


@pytest.mark.parametrize("clips", [11, pytest.param(3, marks=pytest.mark.exhaustive)])
def test_it_goes_through_solutions_of_linear_prediction(clips: int, emulated: MakeEmulated) -> None:
    """Calls end within a hop, at its end and beyond."""
    net = random_net(TINY["two taps"].model_copy(update=PREDICTION), seed=1)
    engine, reference = emulated(net), of_reference(net)
    codes, numbers = random_codes(net.config, clips, 60), uniforms(4, rows=clips, length=40)
    engine.reset(clips)
    scored = engine.score(codes[:, :6])
    engine.prime(codes[:, 6:37])
    made = engine.generate(numbers[:, :9], SETTINGS["plain"])
    logits = full_network(net, np.concatenate([codes[:, :37], made], axis=1))
    np.testing.assert_allclose(scored, logits[:, :6], atol=1e-4, rtol=0)
    assert_picked_by(logits[:, 37:], made, numbers[:, :9], SETTINGS["plain"], 1e-4)
    for one in (engine, reference):
        one.reset(clips)
    expected = reference.generate(numbers, SETTINGS["plain"])
    np.testing.assert_array_equal(engine.generate(numbers, SETTINGS["plain"]), expected)


@pytest.mark.parametrize("changes", [{}, CONDITIONED["speakers and mel"] | PREDICTION], ids=["plain", "all inputs"])
def test_it_passes_the_check_by_which_auto_takes_an_engine(changes: dict[str, object], emulated: MakeEmulated) -> None:
    net = random_net(TINY["two taps"].model_copy(update=changes), seed=1)
    assert self_check(emulated(net, "bfloat16"), of_reference(net), 9) is None


def test_weights_beyond_the_memory_of_a_block_are_read_from_afar(
    emulated: MakeEmulated, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = random_net(TINY["three taps"], seed=2)
    whole = emulated(net, layer_blocks=1)
    assert whole.remark is None
    monkeypatch.setattr(cluster_packing, "SHARED_BYTES", whole._division.shared_bytes - 1)
    engine = emulated(net, layer_blocks=1)
    assert engine._division.held_layers < len(net.config.dilations)
    assert engine.remark == (
        "not all weights fit into the 3 blocks of a cluster here; a part is read from the GPU's cache"
    )
    codes = random_codes(net.config, 9, 12)
    for one in (whole, engine):
        one.reset(9)
    np.testing.assert_array_equal(engine.score(codes), whole.score(codes))


def test_a_cluster_that_cannot_be_scheduled_is_said(emulated: MakeEmulated) -> None:
    with pytest.raises(UserError, match=r"cannot schedule a cluster of \d+( or \d+)* blocks; take --engine cuda"):
        emulated(random_net(TINY["two taps"]), clusters=0)


def test_auto_takes_it_for_many_clips_and_only_if_it_was_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not fits("pipeline", 8)
    assert fits("pipeline", 9)
    weights = GeneratorWeights.of(random_net(TINY["one layer"]))
    for name in engine_choice.ENGINES:
        monkeypatch.setattr(engine_choice.engine_class(name), "missing", lambda *_: "it is taken away")
    monkeypatch.setattr(PipelineGpu, "missing", lambda *_: None)
    monkeypatch.setattr(PipelineGpu, "preparation", lambda *_: None)
    monkeypatch.setattr("fast_gen.engines.gpu.device.missing_gpu", lambda: None)
    with pytest.raises(UserError, match="no engine can run as asked"):
        choose_engine("auto", weights, clips=1_000)
    assert choose_engine("pipeline", weights, clips=1_000).name == "pipeline"


def test_weights_are_packed_block_after_block_and_none_is_lost() -> None:
    model = pack(GeneratorWeights.of(random_net(preset("base").model)), "cpu", torch.bfloat16)
    division = divisions(model)[0]
    packed, starts = pack_pipeline(model, division)
    assert starts.tolist()[-1] * 16 == len(packed)
    matrices = (model.dilated, model.residuals, model.skips, model.output1, model.output2)
    total = sum(float(matrix.double().abs().sum()) for matrix in matrices)
    assert float(packed.view(torch.bfloat16).double().abs().sum()) == pytest.approx(total)


def test_a_thread_finds_its_weights_of_a_tensor_core_side_by_side() -> None:
    """As the PTX manual lays out the left operand of mma.m16n8k16: "Matrix Fragments for mma.m16n8k16"."""
    matrix = torch.arange(64 * 128, dtype=torch.float32).view(64, 128).to(torch.bfloat16)
    packed = tiles(matrix).view(torch.bfloat16).view(128 // 16, 64 // 16, 32, 8)
    for lane in (0, 6, 31):
        group, place = divmod(lane, 4)
        for number in range(8):
            row = group + (8 if 2 <= number < 4 or number >= 6 else 0)
            column = place * 2 + number % 2 + (8 if number >= 4 else 0)
            assert packed[3, 1, lane, number] == matrix[16 + column, 48 + row]


@pytest.mark.parametrize(
    ("name", "kind", "chip", "expected"),
    [
        ("tiny", torch.float32, 90, [(5, 3, 32)]),
        ("small", torch.bfloat16, 90, [(7, 4, 32)]),
        ("base", torch.bfloat16, 90, [(12, 2, 32), (8, 1, 32)]),
        ("small", torch.bfloat16, 120, [(7, 4, 16)]),
        ("base", torch.bfloat16, 120, []),
    ],
)
def test_presets_are_divided_so_that_no_block_has_much_more_to_do(
    name: str, kind: torch.dtype, chip: int, expected: list[tuple[int, int, int]]
) -> None:
    """Into blocks, of which each has some layers in its memory, and tiles of some clips."""
    pytest.importorskip("triton", reason="triton is not installed")
    from sm90 import SHARED_BYTES

    model = pack(GeneratorWeights.of(random_net(preset(name).model)), "cpu", kind)
    found = [(one.blocks, one.held_layers, one.rows) for one in divisions(model, SHARED_BYTES[chip])]
    assert found == expected


@pytest.mark.parametrize(
    ("chip", "name", "precision"),
    [
        (90, "base", "bfloat16"),
        *(
            pytest.param(*case, marks=pytest.mark.exhaustive)
            for case in (
                (90, "small", "float32"),
                (90, "small", "bfloat16"),
                (100, "base", "bfloat16"),
                (100, "small", "float32"),
                (120, "small", "bfloat16"),
                (120, "tiny", "float32"),
            )
        ),
    ],
)
def test_the_presets_compile_and_keep_to_their_registers_and_memory(chip: int, name: str, precision: str) -> None:
    """The kernel needs no stack, so nothing spills; 256 threads can have 255 registers each."""
    pytest.importorskip("triton", reason="triton is not installed")
    from sm90 import SHARED_BYTES, compile_cluster

    weights = GeneratorWeights.of(random_net(preset(name).model))
    with needs_nvrtc():
        found = compile_cluster(PipelineGpu, weights, precision, chip)
    assert found is not None
    division, compiled = found
    assert compiled.spilled_bytes == 0
    assert compiled.registers * division.threads <= 65_536
    assert compiled.shared_bytes <= SHARED_BYTES[chip]


@pytest.mark.gpu
class TestPipelineGpu(EngineContract):
    def make_engine(self, weights: GeneratorWeights) -> Engine:
        return PipelineGpu(weights)


@pytest.mark.gpu
class TestPipelineGpuConditioned(ConditionContract):
    def make_engine(self, weights: GeneratorWeights) -> Engine:
        return PipelineGpu(weights)


@pytest.mark.gpu
@pytest.mark.parametrize(("name", "precision"), [("small", "float32"), ("small", "bfloat16"), ("base", "bfloat16")])
def test_presets_pick_from_their_own_logits_and_repetitions_are_the_same(name: str, precision: str) -> None:
    net = random_net(preset(name).model)
    engine, clips = PipelineGpu(GeneratorWeights.of(net), "cuda", precision), 1_000
    numbers = uniforms(0, rows=clips, length=500)
    engine.reset(clips)
    codes = engine.generate(numbers, SamplingSettings())
    assert self_check(engine, of_reference(net), clips) is None
    for _ in range(20):
        engine.reset(clips)
        np.testing.assert_array_equal(engine.generate(numbers, SamplingSettings()), codes)
