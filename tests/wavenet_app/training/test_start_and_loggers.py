"""What a run logs beside curves, and that a failed start leaves nothing behind."""

import math

import pytest
from tiny_run import TINY

from fast_gen.evaluation import for_training
from wavenet_app.evaluation.runaway import Judgement
from wavenet_app.training.task import WaveNetTask

OPTIONS = ("--max-steps", 2, "--name", "x", *TINY)


@pytest.fixture(autouse=True)
def no_judgement(monkeypatch):
    """Leaves out the clips at the end of a run, which take longer than the run."""
    monkeypatch.setattr(for_training, "judge", lambda _checkpoint, _corpus, _say: Judgement("", usable=True))


def test_weights_and_biases_get_sounds_and_pictures(wavegen, tone_folder, tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    outcome = wavegen("train", tone_folder, *OPTIONS, "--logger", "wandb")
    assert outcome.code == 0, outcome.err
    (run,) = (tmp_path / "data" / "wandb").glob("offline-run-*")
    for kind, names in (
        ("audio", {"real", "generated"}),
        ("images", {"real spectrogram", "generated spectrogram"}),
    ):
        media = [path.name for path in (run / "files" / "media" / kind).rglob("*.*")]
        assert {name.rpartition("_")[0].rpartition("_")[0].replace("_", " ") for name in media} == names


@pytest.mark.parametrize("logger", ["tensorboard", "none"])
def test_a_failed_start_leaves_no_folder(wavegen, tone_folder, tmp_path, logger):
    data = tmp_path / "data"
    for arguments in (
        ("train", tone_folder, *OPTIONS, "--set", "training.learning_rate=1e30", "--logger", logger),
        ("train", "texts", *OPTIONS, "--logger", logger),
        ("train", tone_folder, *OPTIONS, "--set", "corpus.split_by=(", "--logger", logger),
    ):
        (tmp_path / "texts").mkdir(exist_ok=True)
        outcome = wavegen(*arguments)
        assert outcome.code == 2, outcome.out
        assert not (data / "checkpoints" / "x").exists()
        assert not (data / "tensorboard" / "x").exists()


def test_a_folder_from_before_and_a_run_with_a_checkpoint_stay(wavegen, tone_folder, tmp_path, monkeypatch):
    folder = tmp_path / "data" / "checkpoints" / "x"
    folder.mkdir(parents=True)
    (folder / "mine.txt").touch()
    assert wavegen("train", tone_folder, *OPTIONS, "--set", "training.learning_rate=1e30").code == 2
    assert (folder / "mine.txt").exists()
    assert wavegen("train", tone_folder, *OPTIONS, "--logger", "none").code == 0
    loss = WaveNetTask.loss
    monkeypatch.setattr(WaveNetTask, "loss", lambda self, batch: loss(self, batch) * math.nan)
    refused = wavegen("train", "--resume", "x", "--max-steps", 4, "--logger", "none")
    assert "diverged" in refused.err
    assert (folder / "last.pth").exists()
