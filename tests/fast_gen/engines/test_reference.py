"""The reference engine keeps the contract, on the CPU and on a GPU; weights and the choice of an engine."""

import numpy as np
import pytest
import torch
from engine_contract import ConditionContract, EngineContract
from random_nets import GAUSSIAN, LOGISTICS, PREDICTION, SHAPES, random_net

from fast_gen.engines import choice as engines
from fast_gen.engines.choice import choose_engine
from fast_gen.engines.contract import Engine
from fast_gen.engines.reference import TorchQueue
from fast_gen.engines.sampling import SamplingSettings
from fast_gen.engines.start import load_engine
from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.config import preset
from wavenet_app.core.errors import UserError
from wavenet_app.network.model import WaveNet


class TestTorchQueue(EngineContract):
    def make_engine(self, weights: GeneratorWeights) -> Engine:
        return TorchQueue(weights)


class TestTorchQueueConditioned(ConditionContract):
    def make_engine(self, weights: GeneratorWeights) -> Engine:
        return TorchQueue(weights)


class TestTorchQueueOfLogistics(TestTorchQueue):
    head = LOGISTICS


class TestTorchQueueOfOneGaussian(TestTorchQueue):
    head = GAUSSIAN


class TestTorchQueueWithPrediction(TestTorchQueue):
    head = PREDICTION


class TestTorchQueueOfLogisticsWithPrediction(TestTorchQueue):
    head = LOGISTICS | PREDICTION


class TestTorchQueueConditionedWithPrediction(TestTorchQueueConditioned):
    head = PREDICTION


class TestTorchQueueOfLogisticsConditioned(TestTorchQueueConditioned):
    head = LOGISTICS


@pytest.mark.gpu
class TestTorchQueueConditionedOnCuda(ConditionContract):
    exact_rows = False

    def make_engine(self, weights: GeneratorWeights) -> Engine:
        return TorchQueue(weights, "cuda")


@pytest.mark.gpu
class TestTorchQueueOnCuda(EngineContract):
    exact_rows = False

    def make_engine(self, weights: GeneratorWeights) -> Engine:
        return TorchQueue(weights, "cuda")


def test_the_small_preset_equals_the_full_network_across_all_queues() -> None:
    net = random_net(preset("small").model)
    TestTorchQueue().decode_and_check(net, TorchQueue(GeneratorWeights.of(net)), SamplingSettings(), 1100)


def test_multiply_accumulates_are_those_of_the_literature() -> None:
    assert GeneratorWeights.of(WaveNet(preset("base").model)).multiply_accumulates == pytest.approx(1.24e6, rel=0.01)


@pytest.mark.parametrize("shape", SHAPES)
def test_weights_have_the_shapes_of_the_configuration(shape: str) -> None:
    config = SHAPES[shape]
    weights = GeneratorWeights.of(WaveNet(config))
    layers, taps = len(config.dilations), config.kernel_size
    assert weights.dilated.shape == (layers, taps, config.residual_channels, 2 * config.dilation_channels)
    assert weights.residual.shape == (layers, config.dilation_channels, config.residual_channels)
    assert weights.skip.shape == (layers, config.dilation_channels, config.skip_channels)
    assert weights.output2.shape == (config.skip_channels, config.quantization_channels)
    assert (weights.kernel_size, weights.quantization_channels) == (taps, config.quantization_channels)
    assert weights.receptive_field == config.receptive_field
    for array in vars(weights).values():
        if isinstance(array, np.ndarray):
            assert array.dtype == np.float32
            assert array.flags["C_CONTIGUOUS"]
            assert not array.flags["WRITEABLE"]


def test_weights_do_not_follow_the_model() -> None:
    net = random_net(SHAPES["odd widths"])
    weights = GeneratorWeights.of(net)
    before = weights.front_bias.copy()
    with torch.no_grad():
        net.front.bias += 1
    np.testing.assert_array_equal(weights.front_bias, before)


@pytest.fixture
def weights() -> GeneratorWeights:
    return GeneratorWeights.of(random_net(SHAPES["odd widths"]))


def test_auto_says_which_engine_and_why(weights: GeneratorWeights) -> None:
    choice = choose_engine("auto", weights)
    assert choice.name in engines.ENGINES
    assert choice.name in choice.reason
    assert "fastest" in choice.reason
    assert load_engine("auto", weights).device == choice.device


def test_an_engine_that_cannot_run_says_what_is_missing(
    weights: GeneratorWeights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="torch on cuda: torch sees no CUDA device"):
        load_engine("torch", weights, "cuda")


def test_auto_passes_over_what_cannot_run_and_says_so(
    weights: GeneratorWeights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "ENGINES", {"broken": f"{__name__}:Broken", "torch": engines.ENGINES["torch"]})
    choice = choose_engine("auto", weights)
    assert choice.name == "torch"
    assert "passed over: broken on cpu: no luck" in choice.reason
    with pytest.raises(UserError, match="no luck"):
        choose_engine("broken", weights)


def no_luck(weights: GeneratorWeights, device: str, precision: str, threads: int) -> str:
    return "no luck"


class Broken:
    devices = ("cpu",)
    precisions = ("float32",)
    summary = "never runs"
    missing = staticmethod(no_luck)


@pytest.mark.parametrize(("name", "device"), [("warp", "auto"), ("auto", "tpu")])
def test_unknown_names_are_refused_with_the_known_ones(weights: GeneratorWeights, name: str, device: str) -> None:
    with pytest.raises(UserError, match="choose one of: auto, "):
        choose_engine(name, weights, device)


def test_what_the_reference_cannot_do_is_refused_in_a_line(weights: GeneratorWeights) -> None:
    with pytest.raises(UserError, match="torch on cpu: it does not compute in int8, only in float32"):
        load_engine("torch", weights, "cpu", precision="int8")
    with pytest.raises(UserError, match="torch on cpu: it takes one thread, not 2"):
        load_engine("torch", weights, "cpu", threads=2)
    with pytest.raises(UserError, match="choose one of: float32, bfloat16, int8"):
        choose_engine("auto", weights, precision="int3")
    with pytest.raises(UserError, match="at least 1, not 0"):
        choose_engine("auto", weights, threads=0)
