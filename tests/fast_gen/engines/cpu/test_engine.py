"""The compiled CPU engine keeps the contract, primes to the bit, and finds a place for its compiled code."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from engine_contract import ConditionContract, EngineContract
from numpy.typing import NDArray
from random_nets import (
    CONDITIONED,
    GAUSSIAN,
    LOGISTICS,
    PREDICTION,
    SHAPES,
    random_codes,
    random_conditioning,
    random_net,
)

from fast_gen.engines.choice import choose_engine
from fast_gen.engines.condition import projected
from fast_gen.engines.contract import PRECISIONS, Engine
from fast_gen.engines.cpu import engine as numba_cpu
from fast_gen.engines.cpu.engine import NumbaCpu
from fast_gen.engines.cpu.packing import LOOK_AHEAD, block_width, first_state, pack, packed_matrix, padded
from fast_gen.engines.cpu.threads import run_together
from fast_gen.engines.reference import TorchQueue
from fast_gen.engines.sampling import SamplingSettings, uniforms
from fast_gen.engines.start import load_engine
from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.compiling.argument_table import as_table
from wavenet_app.compiling.kept_function import KeptFunction
from wavenet_app.config import preset
from wavenet_app.core.errors import UserError
from wavenet_app.heads import DEFAULT_HEAD


class TestNumbaCpu(EngineContract):
    def make_engine(self, weights: GeneratorWeights) -> Engine:
        return NumbaCpu(weights)

    def test_two_threads_pick_the_same_as_one(self) -> None:
        for shape in SHAPES:
            net, alone = self.ready(shape, 1)
            numbers, known = uniforms(6, rows=3, length=400), random_codes(net.config, 3, 60)
            for rows in (1, 3):
                found = []
                for threads in (1, 2, 5):
                    engine: Engine = NumbaCpu(alone.weights, precision=alone.precision, threads=threads)
                    engine.reset(rows)
                    engine.prime(known[:rows])
                    parts = [engine.generate(numbers[:rows, a:b], SamplingSettings()) for a, b in ((0, 7), (7, 400))]
                    found.append((np.concatenate(parts, axis=1), engine.score(known[:rows])))
                for codes, logits in found[1:]:
                    np.testing.assert_array_equal(codes, found[0][0])
                    np.testing.assert_array_equal(logits, found[0][1])

    @pytest.mark.parametrize("shape", SHAPES)
    def test_prime_equals_stepping_to_the_bit(self, shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(numba_cpu, "STEPPED_CODES", 0)
        net, engine = self.ready(shape, 2)
        known, following = random_codes(net.config, 2, 37), random_codes(net.config, 2, 30, seed=1)
        engine.score(known)
        stepped = engine.score(following)
        engine.reset(2)
        engine.score(known[:, :11])
        engine.prime(known[:, 11:])
        np.testing.assert_array_equal(engine.score(following), stepped)

    def test_generating_equals_scoring_what_was_generated(self) -> None:
        _, engine = self.ready("odd widths", 3)
        codes = engine.generate(uniforms(0, rows=3, length=40), SamplingSettings())
        after = engine.score(codes[:, :5])
        engine.reset(3)
        engine.score(codes)
        np.testing.assert_array_equal(engine.score(codes[:, :5]), after)


class TestNumbaCpuOnTwoThreads(TestNumbaCpu):
    def make_engine(self, weights: GeneratorWeights) -> Engine:
        return NumbaCpu(weights, threads=2)


class TestNumbaCpuInBfloat16(TestNumbaCpu):
    tolerance = 0.5
    mean_tolerance = 0.03
    same_picks = False

    def make_engine(self, weights: GeneratorWeights) -> Engine:
        return NumbaCpu(weights, precision="bfloat16")


class TestNumbaCpuInInt8(TestNumbaCpu):
    tolerance = 3.0  # the unlikeliest codes' logits; of 1,000 differences 999 are below 0.5
    mean_tolerance = 0.1
    same_picks = False

    def make_engine(self, weights: GeneratorWeights) -> Engine:
        return NumbaCpu(weights, precision="int8")


class TestNumbaCpuInInt8OnTwoThreads(TestNumbaCpuInInt8):
    def make_engine(self, weights: GeneratorWeights) -> Engine:
        return NumbaCpu(weights, precision="int8", threads=2)


class TestNumbaCpuOfLogistics(TestNumbaCpu):
    head = LOGISTICS


class TestNumbaCpuOfOneGaussian(TestNumbaCpu):
    head = GAUSSIAN


class TestNumbaCpuOfLogisticsOnTwoThreads(TestNumbaCpuOnTwoThreads):
    head = LOGISTICS


class TestNumbaCpuOfOneGaussianInBfloat16(TestNumbaCpuInBfloat16):
    head = GAUSSIAN


class TestNumbaCpuOfLogisticsInInt8(TestNumbaCpuInInt8):
    head = LOGISTICS


class TestNumbaCpuConditioned(ConditionContract):
    def make_engine(self, weights: GeneratorWeights) -> Engine:
        return NumbaCpu(weights)

    @pytest.mark.parametrize("kind", CONDITIONED)
    def test_prime_equals_stepping_to_the_bit(self, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(numba_cpu, "STEPPED_CODES", 0)
        net, engine = self.ready(kind, "three taps", 2)
        condition = projected(net, random_conditioning(net.config, 2, 67))
        assert condition is not None
        known, following = random_codes(net.config, 2, 37), random_codes(net.config, 2, 30, seed=1)
        engine.score(known, condition.part(0, 37))
        stepped = engine.score(following, condition.part(37, 30))
        engine.reset(2)
        engine.score(known[:, :11], condition.part(0, 11))
        engine.prime(known[:, 11:], condition.part(11, 26))
        np.testing.assert_array_equal(engine.score(following, condition.part(37, 30)), stepped)


class TestNumbaCpuOfOneGaussianConditioned(TestNumbaCpuConditioned):
    head = GAUSSIAN


class TestNumbaCpuConditionedOnTwoThreads(TestNumbaCpuConditioned):
    def make_engine(self, weights: GeneratorWeights) -> Engine:
        return NumbaCpu(weights, threads=2)


class TestNumbaCpuWithPrediction(TestNumbaCpu):
    head = PREDICTION


class TestNumbaCpuWithPredictionOnTwoThreads(TestNumbaCpuOnTwoThreads):
    head = PREDICTION


class TestNumbaCpuWithPredictionInInt8(TestNumbaCpuInInt8):
    head = PREDICTION


class TestNumbaCpuOfOneGaussianWithPrediction(TestNumbaCpu):
    head = GAUSSIAN | PREDICTION


class TestNumbaCpuConditionedWithPrediction(TestNumbaCpuConditioned):
    head = PREDICTION


@pytest.mark.parametrize("rows", [1, 5])
def test_the_small_preset_picks_what_the_reference_picks(rows: int) -> None:
    weights = GeneratorWeights.of(random_net(preset("small").model))
    settings, numbers = SamplingSettings(temperature=0.9), uniforms(1, rows=rows, length=300)
    found = []
    for engine in (TorchQueue(weights), NumbaCpu(weights)):
        engine.reset(rows)
        engine.prime(random_codes(preset("small").model, rows, 3000))
        found.append(engine.generate(numbers, settings))
    np.testing.assert_array_equal(*found)


def test_past_taps_are_multiplied_for_several_samples_at_once() -> None:
    weights = GeneratorWeights.of(random_net(SHAPES["odd widths"]))
    assert weights.dilations == (1, 3, 2, 7)
    packed = pack(weights)
    assert first_state(packed, DEFAULT_HEAD, 1).spans.tolist() == [1, 3, 2, 7]
    assert first_state(packed, DEFAULT_HEAD, 2).spans.tolist() == [1, 3, 2, 1]
    assert first_state(packed, DEFAULT_HEAD, LOOK_AHEAD).spans.tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("outputs", [128, 96, 48])
def test_a_packed_matrix_has_the_weights_of_an_input_and_a_block_side_by_side(outputs: int) -> None:
    matrix = np.arange(32 * outputs, dtype=np.float32).reshape(32, outputs)
    width = block_width(outputs)
    packed = packed_matrix(matrix).reshape(outputs // width, 32, width)
    for block in range(outputs // width):
        np.testing.assert_array_equal(packed[block], matrix[:, block * width : (block + 1) * width])


@pytest.mark.parametrize("shape", SHAPES)
def test_packing_pads_with_zeros_and_loses_nothing(shape: str) -> None:
    weights = GeneratorWeights.of(random_net(SHAPES[shape]))
    packed = pack(weights)
    assert packed.tables.shape[2] == padded(weights.residual_channels)
    arrays = (packed.stream, packed.past, packed.head)
    for array in arrays:
        assert array.ctypes.data % 64 == 0
    matrices = (weights.dilated, weights.residual, weights.skip, weights.output1, weights.output2)
    expected = sum(np.abs(matrix).sum(dtype=np.float64) for matrix in matrices)
    assert sum(np.abs(array).sum(dtype=np.float64) for array in arrays) == pytest.approx(expected, rel=1e-6)


def test_auto_takes_it_on_the_cpu() -> None:
    weights = GeneratorWeights.of(random_net(SHAPES["one channel"]))
    assert choose_engine("auto", weights, "cpu").name == "cpu"
    assert isinstance(load_engine("cpu", weights), NumbaCpu)
    with pytest.raises(UserError, match="does not run on cuda"):
        choose_engine("cpu", weights, "cuda")


def test_without_numba_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.setattr(numba_cpu, "is_compiled", lambda *_: False)
    weights = GeneratorWeights.of(random_net(SHAPES["one channel"]))
    choice = choose_engine("auto", weights, "cpu")
    assert choice.name == "torch"
    assert "numba cannot be imported" in choice.reason
    monkeypatch.setattr(numba_cpu, "is_compiled", lambda *_: True)
    assert choose_engine("auto", weights, "cpu").name == "cpu"


def test_each_precision_and_a_second_thread_are_compiled_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = GeneratorWeights.of(random_net(SHAPES["one layer"]))
    kept: set[str] = set()

    def is_kept(self: KeptFunction, *arguments: object) -> bool:
        return f"{self.name} {as_table(arguments)[0]}" in kept

    monkeypatch.setattr(KeptFunction, "is_kept", is_kept)
    monkeypatch.setattr(
        KeptFunction, "get_ready", lambda self, *arguments: kept.add(f"{self.name} {as_table(arguments)[0]}")
    )
    for precision in PRECISIONS:
        for threads in (1, 2):
            choice = choose_engine("cpu", weights, "cpu", precision, threads)
            assert choice.preparation is not None
            assert f"compiling the engine for {precision}" in choice.preparation
            numba_cpu.compile_ahead(precision, threads)
            assert choose_engine("cpu", weights, "cpu", precision, threads).preparation is None
    assert len(kept) == 7  # six loops, and the linear predictor for all of them
    for precision, more in (("float32", 0), ("bfloat16", 1), ("int8", 1)):
        for head in (LOGISTICS, GAUSSIAN):
            before = len(kept)
            other = GeneratorWeights.of(random_net(SHAPES["one layer"].model_copy(update=head)))
            choice = choose_engine("cpu", other, "cpu", precision)
            assert (choice.preparation is not None) == (more > 0 and head is LOGISTICS)
            numba_cpu.compile_ahead(precision, 1, other.head)
            assert choose_engine("cpu", other, "cpu", precision).preparation is None
            assert len(kept) == before + (more if head is LOGISTICS else 0)


def python(code: str, **environment: str) -> str:
    """Returns what a fresh interpreter prints."""
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        cwd=Path(__file__).parents[4],
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout.strip()


def test_the_engine_is_chosen_without_compiling_anything() -> None:
    assert (
        python("import fast_gen.engines.contract, fast_gen.engines.cpu.engine, sys; print('numba' in sys.modules)")
        == "False"
    )


def test_compiled_code_goes_to_the_first_folder_that_can_be_written(tmp_path: Path) -> None:
    show = "from fast_gen.engines.cpu.functions import CACHE; print(CACHE.folder)"
    (tmp_path / "file").touch()
    wanted = Path(python(show, NUMBA_CACHE_DIR=str(tmp_path / "wanted")))
    assert wanted.parent == tmp_path / "wanted"
    beside = Path(python(show, NUMBA_CACHE_DIR=str(tmp_path / "file")))
    assert beside == Path(__file__).parents[4] / "fast_gen/engines/cpu/__pycache__" / wanted.name


READ_ONLY = """
import tempfile
from pathlib import Path
writable = tempfile.TemporaryFile
def refuse(dir):
    if {refused!r} in str(dir):
        raise PermissionError(dir)
    return writable(dir=dir)
tempfile.TemporaryFile = refuse
from fast_gen.engines.cpu.functions import CACHE, compiling_line
print(CACHE.folder)
print(compiling_line("float32"))
"""


def test_a_read_only_package_caches_in_the_home_and_a_read_only_machine_not_at_all(tmp_path: Path) -> None:
    home = {"XDG_CACHE_HOME": str(tmp_path), "NUMBA_CACHE_DIR": ""}
    folder, note = python(READ_ONLY.format(refused="__pycache__"), **home).splitlines()
    assert Path(folder).parent == tmp_path / "wavegen"
    assert "once on this machine" in note
    folder, note = python(READ_ONLY.format(refused="/"), **home).splitlines()
    assert folder == "None"
    assert "at each start" in note


def test_a_new_cache_folder_takes_the_place_of_older_ones_and_importing_makes_none(tmp_path: Path) -> None:
    (tmp_path / "compiled-engine-old" / "inside").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    show = "import fast_gen.engines.cpu.engine, os; print(sorted(os.listdir(os.environ['NUMBA_CACHE_DIR'])))"
    assert python(show, NUMBA_CACHE_DIR=str(tmp_path)) == "['compiled-engine-old', 'other']"
    folder = python(
        "from fast_gen.engines.cpu.functions import CACHE; print(CACHE.folder.name)", NUMBA_CACHE_DIR=str(tmp_path)
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == [folder, "other"]


INTERRUPTED = """
import os, signal, threading, time
import numpy as np
from engine_contract import SHAPES, random_net
from fast_gen.engines.cpu.engine import NumbaCpu
from fast_gen.engines.sampling import SamplingSettings, uniforms
from fast_gen.engines.weights import GeneratorWeights
engine = NumbaCpu(GeneratorWeights.of(random_net(SHAPES["two cycles"])), threads=2)
numbers = uniforms(0, rows=1, length=400)
first = engine.generate(numbers, SamplingSettings())
stopped = 0
for wait in np.linspace(0, 0.02, 40):
    engine.reset(1)
    try:
        threading.Timer(wait, os.kill, (os.getpid(), signal.SIGINT)).start()
        for _ in range(200):
            engine.generate(numbers, SamplingSettings())
            time.sleep(0.0001)
    except KeyboardInterrupt:
        stopped += 1
engine.reset(1)
assert (engine.generate(numbers, SamplingSettings()) == first).all()
print(stopped, threading.active_count())
"""


def test_ctrl_c_ends_both_threads_and_the_engine_goes_on() -> None:
    assert python(INTERRUPTED, PYTHONPATH=str(Path(__file__).parents[3])) == "40 1"


def test_more_threads_than_cores_end_all_the_same() -> None:
    net = random_net(SHAPES["one layer"])
    engines = [NumbaCpu(GeneratorWeights.of(net), threads=2) for _ in range(3 * (os.cpu_count() or 1))]
    numbers = uniforms(0, rows=1, length=200)
    expected = engines[0].generate(numbers, SamplingSettings())
    found: list[NDArray[np.int16]] = []

    def job(engine: NumbaCpu) -> None:
        engine.reset(1)
        found.append(engine.generate(numbers, SamplingSettings()))

    run_together([partial(job, engine) for engine in engines])
    assert len(found) == len(engines)
    for codes in found:
        np.testing.assert_array_equal(codes, expected)


def test_a_helper_that_fails_ends_the_leader_and_is_heard_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise MemoryError("no room for the helper")

    engine = NumbaCpu(GeneratorWeights.of(random_net(SHAPES["one layer"])), threads=2)
    numbers = uniforms(0, rows=1, length=50)
    expected = engine.generate(numbers, SamplingSettings())
    with monkeypatch.context() as patch:
        patch.setattr(numba_cpu, "help_along", fail)
        with pytest.raises(MemoryError, match="no room"):
            engine.generate(numbers, SamplingSettings())
    engine.reset(1)
    np.testing.assert_array_equal(engine.generate(numbers, SamplingSettings()), expected)


def test_a_leader_that_fails_ends_the_helper(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise ValueError("nothing to lead")

    engine = NumbaCpu(GeneratorWeights.of(random_net(SHAPES["one layer"])), threads=2)
    monkeypatch.setattr(numba_cpu, "append_codes", fail)
    with pytest.raises(ValueError, match="nothing to lead"):
        engine.generate(uniforms(0, rows=1, length=50), SamplingSettings())
