"""A new run starts from the shipped voice that predicts its recordings best, if one is near."""

import json
from pathlib import Path

import pytest
from random_checkpoint import write_random_voice
from tiny_run import TINY

from wavenet_app.checkpoints.trained import load_trained
from wavenet_app.config import MelConfig, ModelConfig, PredictionConfig
from wavenet_app.core.shipped import VOICES_VARIABLE
from wavenet_app.training import nearest_voice, run

QUICK = ["--max-steps", 1, "--logger", "none"]


@pytest.fixture
def shipped(wavegen, tone_folder, tmp_path, monkeypatch) -> Path:
    """A folder with a voice that was trained on the tones, and others that were not, or cannot be compared."""
    folder = tmp_path / "shipped"
    train = ["train", tone_folder, "--name", "tones", "--max-steps", 100, "--logger", "none", *TINY]
    assert wavegen(*train).code == 0
    assert wavegen("publish", "tones", "--licence", "x", "-n", 1, "--seconds", 0.1, "--out", folder).code == 0
    model = load_trained(folder / "tones.safetensors").config.model
    for seed in range(2):
        write_random_voice(folder / f"random{seed}.safetensors", model, sample_rate=8_000, seed=seed)
    mel = model.model_copy(update={"mel": MelConfig().resolved(8_000)})
    write_random_voice(folder / "vocoder.safetensors", mel, sample_rate=8_000)
    write_random_voice(folder / "other-rate.safetensors", model)
    few = model.model_copy(update={"quantization_channels": 64})
    write_random_voice(folder / "few-codes.safetensors", few, sample_rate=8_000)
    (folder / "damaged.safetensors").write_bytes(b"")
    monkeypatch.setenv(VOICES_VARIABLE, str(folder))
    return folder


def test_a_run_starts_from_the_voice_that_predicts_best(wavegen, shipped, tone_folder, monkeypatch):
    monkeypatch.setattr(nearest_voice, "MARGIN", -100.0)
    reason = "note: tones is the nearest shipped voice: "
    outcome = wavegen("train", tone_folder, *QUICK, *TINY, "--name", "next")
    assert outcome.code == 0, outcome.err
    assert outcome.out.count(reason) == 1
    assert "starts from tones, " in outcome.out
    assert "start_from = tones" in wavegen("info", "next").out
    note = "note: the learning rate is 0.005 instead of 0.008, as the run starts from a trained model"
    assert note in " ".join(outcome.out.split())
    recorded = json.loads(Path("data/checkpoints/next/config.json").read_text())
    assert recorded["training"]["learning_rate"] == 0.005
    fast = wavegen("train", tone_folder, *QUICK, *TINY, "--name", "fast", "--set=training.learning_rate=0.02")
    assert "instead of" not in fast.out
    recorded = json.loads(Path("data/checkpoints/fast/config.json").read_text())
    assert recorded["training"]["learning_rate"] == 0.02
    (shipped / "tones.safetensors").unlink()
    assert "note: starts from random" in wavegen("train", tone_folder, *QUICK, *TINY).out


def test_a_run_of_that_name_is_not_taken_for_the_voice(wavegen, shipped, tone_folder, monkeypatch):
    """The run `tones` has many steps of its own by now, and the voice is the file that ships."""
    monkeypatch.setattr(nearest_voice, "MARGIN", -100.0)
    Path("data/checkpoints/tones/best.pth").write_bytes(b"")
    assert "starts from tones, " in wavegen("train", tone_folder, *QUICK, *TINY).out


@pytest.mark.parametrize(
    "others",
    [
        ["--start-from", "tones"],
        ["--start-from", "none", *TINY],
        [*TINY, "--condition", "mel", "--set=training.window=400"],
        [*TINY, "--set=model.skip_channels=24"],
    ],
    ids=["another source", "from scratch", "a vocoder", "another shape"],
)
def test_the_user_decides(wavegen, shipped, tone_folder, monkeypatch, others):
    monkeypatch.setattr(nearest_voice, "MARGIN", -100.0)
    trained = wavegen("train", tone_folder, *QUICK, "--set=training.processes=1", "--name", "next", *others)
    assert trained.code == 0, trained.err
    assert "nearest shipped voice" not in trained.out
    recorded = json.loads(Path("data/checkpoints/next/config.json").read_text())
    source = recorded["training"]["start_from"]
    assert (source and Path(source).name) == ("tones" if "tones" in others else None)


def test_resuming_and_the_built_in_corpus_ask_no_voice(wavegen, shipped, monkeypatch):
    asked = []
    monkeypatch.setattr(run, "nearest_voice", lambda corpus, _: asked.append(corpus))
    assert wavegen("train", "--resume", "tones", "--max-steps", 101).code == 0
    assert wavegen("train", *QUICK, *TINY, "--set=training.window=8192").code == 0
    assert not asked


@pytest.mark.parametrize(
    ("voice", "new", "suits"),
    [
        (PredictionConfig(), PredictionConfig(innovation=True), True),
        (PredictionConfig(innovation=True), PredictionConfig(innovation=True), True),
        (PredictionConfig(innovation=True), PredictionConfig(innovation=False), False),  # it would lose what it knows
        (PredictionConfig(order=9), PredictionConfig(innovation=True), False),
        (None, PredictionConfig(innovation=True), False),
        (None, None, True),
    ],
)
def test_a_voice_without_innovations_suits_a_run_that_reads_them(voice, new, suits):
    assert nearest_voice._alike(ModelConfig(prediction=voice), ModelConfig(prediction=new, speakers=("a",))) == suits


def test_a_voice_that_is_far_from_the_recordings_is_not_taken(wavegen, shipped, tone_folder):
    (shipped / "tones.safetensors").unlink()
    assert "nearest shipped voice" not in wavegen("train", tone_folder, *QUICK, *TINY).out


def test_where_no_voice_is_at_the_rate_of_the_recordings_a_note_names_one_at_another(wavegen, shipped, tone_folder):
    hint = "note: no shipped voice is at 8,000 Hz; for speech, try --start-from other-rate, which resamples"
    assert "no shipped voice is at" not in wavegen("train", tone_folder, *QUICK, *TINY).out
    for name in ("tones", "random0", "random1"):
        (shipped / f"{name}.safetensors").unlink()
    outcome = wavegen("train", tone_folder, *QUICK, *TINY)
    assert " ".join(outcome.out.split()).count(hint) == 1
    for others in (["--start-from", "none"], ["--condition", "mel"], ["--set=model.skip_channels=24"]):
        quiet = wavegen("train", tone_folder, *QUICK, *TINY, "--set=training.window=400", *others)
        assert quiet.code == 0, quiet.err
        assert "no shipped voice is at" not in quiet.out
    several = ["--speakers", r"regex:tone(\d)", *QUICK, *TINY]
    speakers = load_trained(shipped / "other-rate.safetensors").config.model.model_copy(update={"speakers": ("a", "b")})
    write_random_voice(shipped / "pair.safetensors", speakers)
    assert "try --start-from pair" in " ".join(wavegen("train", tone_folder, *several).out.split())
