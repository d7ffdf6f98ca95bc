"""A GPU that is not there, old, full, taken or broken: what the user reads, and what is taken instead."""

import subprocess
import warnings

import pytest
import torch
from random_checkpoint import write_random_checkpoint
from random_nets import SHAPES, random_net

from fast_gen.engines.choice import EngineChoice, choose_engine
from fast_gen.engines.cpu.engine import NumbaCpu
from fast_gen.engines.gpu import triton_engine as triton_gpu
from fast_gen.engines.gpu.device import gpu_in_words, missing_gpu
from fast_gen.engines.gpu.graph_engine import GraphQueue
from fast_gen.engines.reference import TorchQueue
from fast_gen.engines.start import load_engine, start_engine
from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.core.errors import UserError

ASYNCHRONOUS = "\nCUDA kernel errors might be asynchronously reported at some other API call\nFor debugging ..."
BUSY = f"CUDA error: CUDA-capable device(s) is/are busy or unavailable{ASYNCHRONOUS}"


class TritonsError(Exception):
    """What Triton raises, of which the source code comes first."""


TritonsError.__module__ = "triton.compiler.errors"


@pytest.fixture(scope="module")
def weights() -> GeneratorWeights:
    return GeneratorWeights.of(random_net(SHAPES["one layer"]))


@pytest.fixture
def seeming_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU that torch says is there; whatever is computed on it fails as it does here, where there is none."""
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    monkeypatch.setattr(triton_gpu, "_missing_compiler", lambda: None)


@pytest.fixture
def no_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves `auto` to the engines that follow."""
    monkeypatch.setattr(NumbaCpu, "missing", staticmethod(lambda *_: "numba cannot be imported: broken"))


class OnGpu:
    """As much of an engine as the words need."""

    device = "cuda"
    batch_size = 7


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 3 TB"),
            "the GPU has not enough memory for 7 clips at once (2.5 GB are free); generate fewer, or take --engine cpu",
        ),
        (
            RuntimeError(f"CUDA error: out of memory{ASYNCHRONOUS}"),
            "the GPU has not enough memory for 7 clips at once (2.5 GB are free); generate fewer, or take --engine cpu",
        ),
        (
            torch.AcceleratorError(BUSY),
            "the GPU is taken by another program, which shares it with nobody; wait for that to end, or take --engine "
            "cpu",
        ),
        (
            RuntimeError("CUDA error: no kernel image is available for execution on the device"),
            "this torch has no code for a GPU, which is too old or too new for it; take --engine cpu",
        ),
        (
            subprocess.CalledProcessError(1, ["gcc", "main.c"]),
            "triton cannot build what launches its kernels, as the C compiler fails; take --engine cpu",
        ),
        (
            AssertionError("libcuda.so cannot found!\nPlease make sure GPU is set up"),
            "the GPU cannot be used (AssertionError: libcuda.so cannot found!); take --engine cpu",
        ),
        (
            TritonsError("at 3:4:\n    x = tl.nothing()\n    ^\nmodule has no attribute nothing"),
            "the GPU cannot be used (TritonsError: module has no attribute nothing); take --engine cpu",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_goes_wrong_is_one_line(error: Exception, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (2_500_000_000, 80_000_000_000))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    with pytest.raises(UserError) as raised, gpu_in_words(OnGpu()):
        raise error
    assert str(raised.value) == line


def test_a_model_that_does_not_fit_is_said_even_by_a_gpu_that_does_not_say_what_is_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def silent() -> None:
        raise RuntimeError("CUDA error: out of memory")

    monkeypatch.setattr(torch.cuda, "mem_get_info", silent)
    engine = OnGpu()
    engine.batch_size = 1
    line = r"not enough memory for this model; close what else runs on it, or take --engine cpu$"
    with pytest.raises(UserError, match=line), gpu_in_words(engine):
        raise torch.cuda.OutOfMemoryError


@pytest.mark.parametrize("error", [ValueError("codes must be"), TypeError("no"), KeyError("x")])
def test_what_is_wrong_with_the_program_stays_as_it_is(error: Exception) -> None:
    with pytest.raises(type(error)), gpu_in_words(OnGpu()):
        raise error


def test_on_the_cpu_nothing_is_reworded(weights: GeneratorWeights, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = TorchQueue(weights)

    def broken(*_: object) -> None:
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(engine, "_step", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        engine.score([[1, 2]])


def test_no_gpu_is_said_with_what_torch_knows_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_old() -> bool:
        warnings.warn(
            "CUDA initialization: The NVIDIA driver on your system is too old (found version 11040). Please update "
            "your GPU driver (Triggered internally at CUDAFunctions.cpp:119.)",
            stacklevel=1,
        )
        return False

    monkeypatch.setattr(torch.cuda, "is_available", too_old)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = missing_gpu()
    assert found == "torch sees no CUDA device (The NVIDIA driver on your system is too old (found version 11040))"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert missing_gpu() == "torch sees no CUDA device"
    monkeypatch.setattr(torch.version, "cuda", None)
    assert missing_gpu() == "torch sees no CUDA device, as it is built without CUDA"


def test_a_gpu_that_does_not_answer_is_none(weights: GeneratorWeights, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost() -> None:
        raise RuntimeError("CUDA unknown error - this may be due to an incorrectly set up environment")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lost)
    for name in ("cuda", "graph"):
        with pytest.raises(UserError, match=r"the GPU does not answer \(CUDA unknown error - this may"):
            choose_engine(name, weights)
    assert choose_engine("auto", weights).device == "cpu"


@pytest.mark.parametrize("name", ["cuda", "graph", "torch"])
def test_an_engine_asked_for_by_name_says_what_fails(name: str, weights: GeneratorWeights, seeming_gpu: None) -> None:
    with pytest.raises(UserError, match=r"the GPU cannot be used .*; take --engine cpu$") as raised:
        load_engine(name, weights, "cuda")
    assert "\n" not in str(raised.value)


def test_auto_goes_past_a_gpu_that_only_seems_to_be_there(
    weights: GeneratorWeights, seeming_gpu: None, no_numba: None
) -> None:
    tried: list[EngineChoice] = []
    choice, engine = start_engine("auto", weights, on_choice=tried.append)
    assert [(found.name, found.device) for found in tried] == [("cuda", "cuda"), ("graph", "cuda"), ("torch", "cpu")]
    assert isinstance(engine, TorchQueue)
    assert choice.reason.startswith("engine torch on cpu (")
    for part in (
        "cpu on cpu: numba cannot be imported: broken",
        "cuda on cuda: the GPU cannot",
        "graph on cuda: the GPU",
    ):
        assert part in choice.reason
    assert "take --engine" not in choice.reason


class FailsAtItsFirstSample(GraphQueue):
    """An engine whose GPU is in order until something is computed."""

    devices = ("cuda",)

    def __init__(self, weights: GeneratorWeights, device: str, precision: str, threads: int) -> None:
        super().__init__(weights, "cpu", precision, threads)
        self.device = device

    def generate(self, *_: object) -> None:
        with gpu_in_words(self):
            raise RuntimeError(BUSY)


def test_auto_makes_a_sample_before_it_trusts_a_gpu(
    weights: GeneratorWeights, seeming_gpu: None, no_numba: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("fast_gen.engines.gpu.triton_engine.TritonGpu", "fast_gen.engines.gpu.graph_engine.GraphQueue"):
        monkeypatch.setattr(name, FailsAtItsFirstSample)
    choice, engine = start_engine("auto", weights)
    assert isinstance(engine, TorchQueue)
    assert "graph on cuda: the GPU is taken by another program, which shares it with nobody; wait" in choice.reason
    # asked for by name it is not tried out, but says so when it is used
    engine = load_engine("graph", weights)
    with pytest.raises(UserError, match="taken by another program"):
        engine.generate()


def test_a_whole_command_goes_on_without_the_gpu_and_says_why(wavegen, tmp_path, seeming_gpu, no_numba) -> None:
    checkpoint = write_random_checkpoint(tmp_path / "noise.pth", SHAPES["one layer"])
    code, out, err = wavegen("sample", checkpoint, "--seconds", 0.05, "--data-dir", tmp_path)
    assert (code, err) == (0, "")
    assert "engine torch on cpu (the reference, torch layer by layer, float32, 1 thread): the fastest for 1 clip" in out
    assert "too short a job to try: cuda, graph" in out
    assert "; cluster on cuda: the GPU does not say how much shared memory a block has" in out
    code, _, err = wavegen("sample", checkpoint, "--seconds", 0.05, "--data-dir", tmp_path, "--engine", "graph")
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith("error: the GPU cannot be used (")


def test_an_old_triton_is_said(weights: GeneratorWeights, seeming_gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    triton = pytest.importorskip("triton", reason="triton is not installed")
    monkeypatch.setattr(triton, "__version__", "3.5.1")
    with pytest.raises(UserError, match=r"it needs triton 3\.6 or newer, and finds 3\.5; reinstall torch"):
        choose_engine("cuda", weights)
    monkeypatch.setattr(triton, "__version__", "3.10.0+git1")
    assert choose_engine("cuda", weights).name == "cuda"


def test_a_compiler_that_is_not_where_it_is_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "/nowhere/cc")
    assert triton_gpu._missing_compiler() == (
        "triton needs a C compiler, and the one that $CC names, /nowhere/cc, is not there"
    )


def test_what_nothing_can_run_gets_fitting_advice(weights: GeneratorWeights, no_numba: None) -> None:
    with pytest.raises(UserError, match=r"on the CPU, in float32 and with one thread there is one that can$"):
        choose_engine("auto", weights, precision="int8")
    with pytest.raises(UserError, match=r"--engine auto takes one that can$"):
        choose_engine("cpu", weights)
