"""What a segmentation run logs beside curves, and that a failed start leaves nothing behind."""

import math

import pytest
from tiny_segmentation import TINY_DEEPLAB

from segmentation.training.task import _PICTURES, SegmentationTask

COMMAND = ("seg-train", "--max-steps", 2, "--name", "x", *TINY_DEEPLAB)


def test_weights_and_biases_get_the_overlays(wavegen, tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    outcome = wavegen(*COMMAND, "--logger", "wandb")
    assert outcome.code == 0, outcome.err
    (run,) = (tmp_path / "data" / "wandb").glob("offline-run-*")
    pictures = (run / "files" / "media" / "images").glob("*.png")
    assert {path.name.partition("_")[0] for path in pictures} == {f"validation {number}" for number in range(_PICTURES)}


def test_a_failed_start_leaves_no_folder(wavegen, tmp_path, monkeypatch):
    loss = SegmentationTask.loss
    monkeypatch.setattr(SegmentationTask, "loss", lambda self, batch: loss(self, batch) * math.nan)
    for logger in ("tensorboard", "none"):
        outcome = wavegen(*COMMAND, "--logger", logger)
        assert (outcome.code, "diverged" in outcome.err) == (2, True)
        assert not list((tmp_path / "data" / "checkpoints" / "segmentation").glob("*"))
        assert not list((tmp_path / "data" / "tensorboard" / "segmentation").glob("*"))
