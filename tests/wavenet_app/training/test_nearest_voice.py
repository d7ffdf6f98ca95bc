"""A new run is offered the shipped voice that predicts its recordings best, if one is near."""

from pathlib import Path

import pytest
from engine_contract import SHAPES
from random_checkpoint import write_random_voice
from tiny_run import TINY

from wavenet_app.config import CorpusConfig, MelConfig, RunConfig
from wavenet_app.core.console import PlainConsole
from wavenet_app.core.shipped import VOICES_VARIABLE
from wavenet_app.training import command, nearest_voice
from wavenet_app.training.run import Run

QUICK = ["--max-steps", 1, "--logger", "none"]
MODEL = SHAPES["odd widths"].model_copy(update={"quantization_channels": 256, "speakers": ()})


@pytest.fixture
def shipped(wavegen, tone_folder, tmp_path, monkeypatch) -> Path:
    """A folder with a voice that was trained on the tones, and others that were not, or cannot be compared."""
    folder = tmp_path / "shipped"
    train = ["train", tone_folder, "--name", "tones", "--max-steps", 100, "--logger", "none", *TINY]
    assert wavegen(*train).code == 0
    assert wavegen("publish", "tones", "--licence", "x", "-n", 1, "--seconds", 0.1, "--out", folder).code == 0
    for seed in range(2):
        write_random_voice(folder / f"random{seed}.safetensors", MODEL, sample_rate=8_000, seed=seed)
    mel = MODEL.model_copy(update={"mel": MelConfig().resolved(8_000)})
    write_random_voice(folder / "vocoder.safetensors", mel, sample_rate=8_000)
    write_random_voice(folder / "other-rate.safetensors", MODEL)
    few = MODEL.model_copy(update={"quantization_channels": 64})
    write_random_voice(folder / "few-codes.safetensors", few, sample_rate=8_000)
    (folder / "damaged.safetensors").write_bytes(b"")
    monkeypatch.setenv(VOICES_VARIABLE, str(folder))
    return folder


def test_the_voice_that_predicts_best_is_offered(wavegen, shipped, tone_folder, monkeypatch):
    monkeypatch.setattr(nearest_voice, "MARGIN", -100.0)
    hint = "note: of the shipped voices, tones is the nearest: "
    outcome = wavegen("train", tone_folder, *QUICK, *TINY)
    assert outcome.code == 0, outcome.err
    assert outcome.out.count(hint) == 1
    assert "start from it with --start-from tones" in outcome.out
    for others in (["--start-from", "tones"], ["--condition", "mel", "--set=training.window=400"]):
        trained = wavegen("train", tone_folder, *QUICK, "--set=training.processes=1", *others)
        assert trained.code == 0, trained.err
        assert "of the shipped voices" not in trained.out
    assert "of the shipped voices" not in wavegen("train", "--resume", "tones", "--max-steps", 101).out
    (shipped / "tones.safetensors").unlink()
    assert "note: of the shipped voices, random" in wavegen("train", tone_folder, *QUICK, *TINY).out


def test_the_built_in_corpus_is_trained_from_scratch(monkeypatch):
    asked = []
    monkeypatch.setattr(command, "nearest_voice", lambda corpus, _: asked.append(corpus))
    for paths in ((), ("recordings",)):
        run = Run(RunConfig(corpus=CorpusConfig(paths=paths)), paths, None, None)
        command._offer_voice(PlainConsole(quiet=True), run)
    assert asked == [("recordings",)]


def test_a_voice_that_is_far_from_the_recordings_is_not_offered(wavegen, shipped, tone_folder):
    (shipped / "tones.safetensors").unlink()
    assert "of the shipped voices" not in wavegen("train", tone_folder, *QUICK, *TINY).out
