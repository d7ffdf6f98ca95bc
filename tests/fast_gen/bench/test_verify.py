"""The error of an engine's arithmetic is measured against the full network."""

import math

import numpy as np
import pytest
import torch
from random_nets import SHAPES, full_network, random_codes, random_net

from fast_gen.bench.verify import Verification, verify
from fast_gen.engines.reference import TorchQueue
from fast_gen.engines.weights import GeneratorWeights


@pytest.fixture(scope="module")
def net() -> torch.nn.Module:
    return random_net(SHAPES["odd widths"])


def test_an_exact_engine_costs_nothing(net: torch.nn.Module) -> None:
    codes = random_codes(net.config, 2, 120)
    found = verify(TorchQueue(GeneratorWeights.of(net)), net, codes)
    assert found.greatest_logit_difference < 1e-4
    assert abs(found.bits_cost) < 1e-5
    assert found.samples_equal > 0.99
    silence = np.full((2, net.config.receptive_field), net.config.quantization_channels // 2)
    logits = full_network(net, np.concatenate([silence, codes], axis=1))[:, silence.shape[1] :]
    probabilities = logits.log_softmax(-1).gather(-1, torch.from_numpy(codes)[..., None])
    assert found.reference_bits == pytest.approx(-float(probabilities.mean()) / math.log(2), rel=1e-5)


def test_an_engine_with_other_weights_is_detected(net: torch.nn.Module) -> None:
    other = random_net(SHAPES["odd widths"], seed=1)
    found = verify(TorchQueue(GeneratorWeights.of(other)), net, random_codes(net.config, 1, 50))
    assert found.greatest_logit_difference > 1
    assert found.samples_equal < 0.5


def test_the_cost_is_the_difference_in_bits() -> None:
    assert Verification(0.0, 4.25, 4.0, 1.0).bits_cost == 0.25
