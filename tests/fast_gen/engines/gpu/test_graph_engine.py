"""The recorded engine keeps the contract: its step on the CPU, and the graph on a GPU."""

import pytest
from engine_contract import ConditionContract, EngineContract
from random_nets import GAUSSIAN, LOGISTICS, PREDICTION, SHAPES, random_net

from fast_gen.engines.choice import choose_engine
from fast_gen.engines.contract import Engine
from fast_gen.engines.gpu.graph_engine import GraphQueue
from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.config import PredictionConfig
from wavenet_app.core.errors import UserError


class TestGraphQueueUnrecorded(EngineContract):
    exact_rows = False

    def make_engine(self, weights: GeneratorWeights) -> Engine:
        return GraphQueue(weights, "cpu")


class TestGraphQueueConditionedUnrecorded(ConditionContract):
    exact_rows = False

    def make_engine(self, weights: GeneratorWeights) -> Engine:
        return GraphQueue(weights, "cpu")


class TestGraphQueueOfLogisticsUnrecorded(TestGraphQueueUnrecorded):
    head = LOGISTICS


# Unrecorded, a solution takes some milliseconds for each coefficient.
FEW_SOLUTIONS = {"prediction": PredictionConfig(order=2, window=19, hop=31)}


class TestGraphQueueWithPredictionUnrecorded(TestGraphQueueUnrecorded):
    head = FEW_SOLUTIONS


@pytest.mark.slow
class TestGraphQueueConditionedWithPredictionUnrecorded(TestGraphQueueConditionedUnrecorded):
    head = FEW_SOLUTIONS


@pytest.mark.slow
class TestGraphQueueOfOneGaussianUnrecorded(TestGraphQueueUnrecorded):
    head = GAUSSIAN


@pytest.mark.gpu
class TestGraphQueue(EngineContract):
    exact_rows = False

    def make_engine(self, weights: GeneratorWeights) -> Engine:
        return GraphQueue(weights)


@pytest.mark.gpu
class TestGraphQueueConditioned(ConditionContract):
    exact_rows = False

    def make_engine(self, weights: GeneratorWeights) -> Engine:
        return GraphQueue(weights)


@pytest.mark.gpu
class TestGraphQueueOfLogistics(TestGraphQueue):
    head = LOGISTICS


@pytest.mark.gpu
class TestGraphQueueOfOneGaussian(TestGraphQueue):
    head = GAUSSIAN


@pytest.mark.gpu
class TestGraphQueueWithPrediction(TestGraphQueue):
    head = PREDICTION


@pytest.mark.gpu
class TestGraphQueueOfLogisticsWithPrediction(TestGraphQueue):
    head = LOGISTICS | PREDICTION


@pytest.mark.gpu
class TestGraphQueueConditionedWithPrediction(TestGraphQueueConditioned):
    head = PREDICTION


def test_it_does_not_run_on_the_cpu_for_a_user() -> None:
    weights = GeneratorWeights.of(random_net(SHAPES["one channel"]))
    with pytest.raises(UserError, match="graph on cpu: it does not run on cpu"):
        choose_engine("graph", weights, "cpu")
