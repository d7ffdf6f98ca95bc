"""Exact likelihood: the full network's own log-softmax, in chunks of any length, and what the engine scores."""

import numpy as np
import pytest
import torch
from engine_contract import SHAPES, random_codes, random_net

from fast_gen.torch_queue import TorchQueue
from fast_gen.weights import GeneratorWeights
from wavenet_app import likelihood
from wavenet_app.config import ModelConfig
from wavenet_app.likelihood import code_bits
from wavenet_app.model import WaveNet

CONFIG = SHAPES["two cycles"]


@pytest.fixture(scope="module")
def net() -> WaveNet:
    return random_net(CONFIG)


def test_bits_are_those_of_the_whole_network(net: WaveNet) -> None:
    codes = random_codes(CONFIG, 1, 400)[0]
    silence = np.full(CONFIG.receptive_field, CONFIG.quantization_channels // 2)
    padded = torch.from_numpy(np.concatenate([silence, codes]))
    with torch.no_grad():
        logits = net(padded[None, :-1])[0, CONFIG.receptive_field - 1 :]
    wanted = -torch.log2(torch.softmax(logits.double(), -1)).gather(1, torch.from_numpy(codes)[:, None])[:, 0]
    np.testing.assert_allclose(code_bits(net, codes), wanted.numpy(), atol=2e-4)


def test_bits_are_those_of_the_engine(net: WaveNet) -> None:
    codes = random_codes(CONFIG, 1, 200)
    engine = TorchQueue(GeneratorWeights.of(net))
    engine.prime(np.full((1, CONFIG.receptive_field), CONFIG.quantization_channels // 2))
    logits = torch.from_numpy(engine.score(codes)[0]).double()
    wanted = -torch.log2(torch.softmax(logits, -1)).gather(1, torch.from_numpy(codes[0])[:, None])[:, 0]
    np.testing.assert_allclose(code_bits(net, codes[0]), wanted.numpy(), atol=2e-4)


@pytest.mark.parametrize("chunk", [1, 7, 64, 399])
def test_chunks_change_nothing(net: WaveNet, monkeypatch, chunk: int) -> None:
    codes = random_codes(CONFIG, 1, 400)[0]
    whole = code_bits(net, codes)
    monkeypatch.setattr(likelihood, "CHUNK_SAMPLES", chunk)
    np.testing.assert_allclose(code_bits(net, codes), whole, atol=1e-4)


@pytest.mark.parametrize("first", [0, 1, 150, 400])
def test_context_only_codes_are_left_out(net: WaveNet, first: int) -> None:
    codes = random_codes(CONFIG, 1, 400)[0]
    np.testing.assert_allclose(code_bits(net, codes, first), code_bits(net, codes)[first:], atol=1e-4)


def test_a_net_that_knows_nothing_needs_the_logarithm_of_its_codes() -> None:
    net = WaveNet(ModelConfig(dilations=(1, 2), quantization_channels=64))
    np.testing.assert_allclose(code_bits(net, np.arange(50)), 6, atol=1e-5)
