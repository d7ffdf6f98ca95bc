"""Models of 16-bit samples through the real commands: trained, heard, ranked, measured; or refused in a line."""

import json

import numpy as np
import pytest
import soundfile
import torch
from random_checkpoint import write_random_checkpoint
from random_nets import GAUSSIAN, LOGISTICS, SHAPES, random_net
from tiny_run import TINY

from fast_gen.bench.verify import verify
from fast_gen.engines.choice import choose_engine
from fast_gen.engines.gpu import triton_engine as triton_gpu
from fast_gen.engines.reference import TorchQueue
from fast_gen.engines.sampling import SamplingSettings
from fast_gen.engines.weight_cache import WeightCache
from fast_gen.engines.weights import GeneratorWeights
from fast_gen.generation.stream import generate
from wavenet_app.checkpoints.trained import load_trained
from wavenet_app.core.checkpoint import read_checkpoint

HEADS = {"logistics": LOGISTICS, "gaussian": GAUSSIAN}


@pytest.mark.parametrize("head", HEADS)
def test_train_info_sample_rank_eval_export(wavegen, tone_folder, tmp_path, head):
    trained = wavegen("train", tone_folder, "--head", head, "--max-steps", 30, "--seed", 3, *TINY)
    assert trained.code == 0, trained.err
    assert "predicts 16-bit samples from" in " ".join(trained.out.split())
    assert "over all held-out clips, 0.5 s, of 16-bit samples" in trained.out
    facts = json.loads(wavegen("info", "--json").out)
    assert facts["config"]["model"]["head"] == head
    assert facts["coding"] == "16-bit samples"
    assert facts["validation"] < facts["history"][0]["train"]
    assert "16-bit samples" in " ".join(wavegen("info").out.split())

    sampled = wavegen("sample", "--seconds", 0.05, "-n", 2, "--seed", 5, "--temperature", 0.9)
    assert sampled.code == 0, sampled.err
    first = soundfile.read(tmp_path / "data" / "generated" / "tones-seed5-0.wav", dtype="int16")[0]
    assert len(np.unique(first)) > 50
    on_torch = wavegen("sample", "--seconds", 0.05, "--seed", 5, "--temperature", 0.9, "--engine", "torch")
    assert on_torch.code == 0, on_torch.err
    ranked = wavegen("sample", "--seconds", 0.1, "-n", 3, "--rank", "--keep", 1)
    assert ranked.code == 0, ranked.err
    assert "bits per sample" in ranked.out
    primed = wavegen("sample", "--seconds", 0.05, "--prime", tone_folder / "tone0.wav", "--keep-prime", "--seed", 8)
    assert primed.code == 0, primed.err
    joined = soundfile.read(tmp_path / "data" / "generated" / "tones-seed8-0.wav")[0]
    original = soundfile.read(tone_folder / "tone0.wav")[0]
    np.testing.assert_allclose(joined[: len(original)], original, atol=2**-15)  # at the level of the recordings

    measured = wavegen("eval", "--seconds", 1, "-n", 2, "--clip-seconds", 0.3, "--json")
    assert measured.code == 0, measured.err
    report = json.loads(measured.out)
    assert report["coding"] == "16-bit samples"
    # only training measures the first 30 ms of the half second
    assert report["bits"]["overall"]["model"] == pytest.approx(facts["validation"], rel=2e-3)

    assert wavegen("export", "--name", "mine").code == 0
    assert (
        read_checkpoint(tmp_path / "data" / "pretrained" / "wavenet_mine.pth", "wavenet")["config"]["model"]["head"]
        == head
    )
    assert wavegen("sample", "mine", "--seconds", 0.05).code == 0
    assert wavegen("receptive-field", "tones", "--count", 2).code == 0
    resumed = wavegen("train", "--resume", "tones", "--max-steps", 32, "--logger", "none")
    assert resumed.code == 0, resumed.err


def test_a_vocoder_of_sixteen_bits(wavegen, tone_folder, tmp_path):
    options = ("--head", "gaussian", "--condition", "mel", "--set=training.window=512", "--max-steps", 3)
    assert wavegen("train", tone_folder, *TINY, *options, "--logger", "none").code == 0
    made = wavegen("vocode", "tones", tone_folder / "tone0.wav", "--out", tmp_path / "out")
    assert made.code == 0, made.err
    waveform = soundfile.read(tmp_path / "out" / "tone0.wav", dtype="int16")[0]
    assert len(waveform) == soundfile.info(tone_folder / "tone0.wav").frames
    refused = wavegen("vocode", "tones", tone_folder / "tone0.wav", "--top-k", 5, "--out", tmp_path / "other")
    assert refused.code == 2
    assert "top-k, top-p and min-p compare mu-law codes" in refused.err


def test_what_another_head_cannot_do_is_one_line(wavegen, tmp_path):
    checkpoint = write_random_checkpoint(tmp_path / "net.pth", SHAPES["odd widths"].model_copy(update=GAUSSIAN))
    for arguments, said in (
        (("sample", checkpoint, "--top-k", 5), "top-k, top-p and min-p compare mu-law codes"),
        (("sample", checkpoint, "--top-p", 0.9), "take a temperature"),
        (("sample", checkpoint, "--temperature", 0, "--quiet-temperature", 1), "set both to 0"),
        (("train", "--head", "laplace"), "must be 'mu-law', 'logistics' or 'gaussian'"),
        (("train", "--head", "gaussian", "--set", "model.mixtures=3"), "mixtures = 3 is for the head logistics"),
        (("train", "--head", "logistics", "--set", "model.quantization_channels=64"), "for the head mu-law, not for"),
        (("train", "--resume", "net", "--head", "gaussian"), "there is no run 'net' to resume"),
    ):
        found = wavegen(*arguments)
        assert found.code == 2
        assert said in found.err
        assert len(found.err.strip().splitlines()) == 1


@pytest.mark.parametrize("head", HEADS)
def test_weights_of_every_head_are_kept(tmp_path, head):
    checkpoint = write_random_checkpoint(tmp_path / "net.pth", SHAPES["three taps"].model_copy(update=HEADS[head]))
    trained = load_trained(checkpoint)
    weights, cache = GeneratorWeights.of(trained.model), WeightCache(tmp_path / "cache")
    cache.keep(checkpoint, trained.config, weights)
    found = cache.find(checkpoint)
    assert found is not None
    for name, value in vars(weights).items():
        np.testing.assert_array_equal(getattr(found[1], name), value)
        assert type(getattr(found[1], name)) is type(value)


def test_a_checkpoint_from_before_there_were_heads_is_of_mu_law(tmp_path):
    from wavenet_app.core.checkpoint import write_checkpoint

    path = write_random_checkpoint(tmp_path / "old.pth", SHAPES["one layer"])
    content = read_checkpoint(path, "wavenet")
    for name in ("head", "mixtures"):
        del content["config"]["model"][name]
    write_checkpoint(path, "wavenet", {key: content[key] for key in ("config", "weights")})
    model = load_trained(path).config.model
    assert (model.head, model.coding.name) == ("mu-law", "16 mu-law codes")


@pytest.mark.parametrize("head", HEADS)
def test_the_engines_of_a_gpu_take_it(head, monkeypatch):
    pytest.importorskip("triton", reason="triton is not installed")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    monkeypatch.setattr(triton_gpu, "_missing_compiler", lambda: None)
    weights = GeneratorWeights.of(random_net(SHAPES["two cycles"].model_copy(update=HEADS[head])))
    for name in ("cuda", "graph"):
        assert choose_engine(name, weights).device == "cuda"


@pytest.mark.parametrize("head", HEADS)
def test_chunks_join_and_engines_are_verified(head):
    net = random_net(SHAPES["two cycles"].model_copy(update=HEADS[head]))
    weights = GeneratorWeights.of(net)
    assert choose_engine("auto", weights).name == "cpu"
    found = verify(
        TorchQueue(weights), net, net.config.coding.encode(np.random.default_rng(0).normal(0, 0.1, (2, 150)))
    )
    assert found.greatest_logit_difference < 1e-4
    assert abs(found.bits_cost) < 1e-4
    assert found.samples_equal > 0.99
    whole = generate(TorchQueue(weights), num_samples=1_500, seed=1, settings=SamplingSettings())
    again = generate(TorchQueue(weights), num_samples=1_100, seed=1, settings=SamplingSettings())
    np.testing.assert_array_equal(whole[:, :1_100], again)
    np.testing.assert_array_equal(whole, np.round(whole * 2**15) / 2**15)
