"""Exact likelihood: equal to the log-softmax of the full network, for any chunk length, and to the engine's scores."""

import numpy as np
import pytest
import torch
from random_nets import CONDITIONED, SHAPES, random_codes, random_net

from fast_gen.engines.condition import projected
from fast_gen.engines.reference import TorchQueue
from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.audio.mel import silent_conditioning
from wavenet_app.config import ModelConfig
from wavenet_app.evaluation import likelihood
from wavenet_app.evaluation.likelihood import code_bits
from wavenet_app.network.conditioning import CONTEXT_FRAMES, Conditioning
from wavenet_app.network.model import WaveNet

CONFIG = SHAPES["two cycles"]


@pytest.fixture(scope="module")
def net() -> WaveNet:
    return random_net(CONFIG)


def test_bits_equal_those_of_the_full_network(net: WaveNet) -> None:
    codes = random_codes(CONFIG, 1, 400)[0]
    silence = np.full(CONFIG.receptive_field, CONFIG.quantization_channels // 2)
    padded = torch.from_numpy(np.concatenate([silence, codes]))
    with torch.no_grad():
        logits = net(padded[None, :-1])[0, CONFIG.receptive_field - 1 :]
    wanted = -torch.log2(torch.softmax(logits.double(), -1)).gather(1, torch.from_numpy(codes)[:, None])[:, 0]
    np.testing.assert_allclose(code_bits(net, codes), wanted.numpy(), atol=2e-4)


def test_bits_equal_those_of_the_engine(net: WaveNet) -> None:
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
def test_context_codes_are_excluded(net: WaveNet, first: int) -> None:
    codes = random_codes(CONFIG, 1, 400)[0]
    np.testing.assert_allclose(code_bits(net, codes, first), code_bits(net, codes)[first:], atol=1e-4)


def test_an_untrained_net_needs_the_logarithm_of_its_number_of_codes() -> None:
    net = WaveNet(ModelConfig(dilations=(1, 2), quantization_channels=64))
    np.testing.assert_allclose(code_bits(net, np.arange(50)), 6, atol=1e-5)


@pytest.mark.parametrize("chunk", [8_192, 50])
def test_bits_of_a_conditioned_clip_equal_those_of_the_engine(monkeypatch, chunk: int) -> None:
    config = CONFIG.model_copy(update=CONDITIONED["speakers and mel"])
    conditioned_net = random_net(config)
    hop, shares = config.mel.hop, np.array([0.3, 0.7], np.float32)
    codes = random_codes(config, 1, 17 * hop + 5)
    frames = np.random.default_rng(1).standard_normal((18, config.mel.columns)).astype(np.float32)
    silent = silent_conditioning(config.mel, 40)
    around = np.concatenate([silent[:CONTEXT_FRAMES], frames, silent[:CONTEXT_FRAMES]])

    def condition(around_frames: np.ndarray):
        return projected(
            conditioned_net, Conditioning(torch.from_numpy(shares)[None], torch.from_numpy(around_frames)[None])
        )

    engine = TorchQueue(GeneratorWeights.of(conditioned_net))
    before = -(-config.receptive_field // hop)
    silence = np.full((1, before * hop), config.quantization_channels // 2)
    engine.prime(silence, condition(np.concatenate([silent[: before + CONTEXT_FRAMES], frames[:CONTEXT_FRAMES]])))
    logits = torch.from_numpy(engine.score(codes, condition(around))[0]).double()
    wanted = -torch.log2(torch.softmax(logits, -1)).gather(1, torch.from_numpy(codes[0])[:, None])[:, 0].numpy()
    monkeypatch.setattr(likelihood, "CHUNK_SAMPLES", chunk)
    for first in (0, 1, 77):
        np.testing.assert_allclose(
            code_bits(conditioned_net, codes[0], first, shares, around), wanted[first:], atol=2e-4
        )
