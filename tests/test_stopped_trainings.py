"""Ctrl-C in each phase of a training ends with one line: what is kept, what is not measured, and the next command."""

import os
import signal

import pytest
from test_cli import shell
from tiny_run import TINY
from tiny_segmentation import TINY_DEEPLAB

from fast_gen.evaluation import for_training
from segmentation.training.task import SegmentationTask
from wavenet_app.evaluation.runaway import Judgement
from wavenet_app.training.task import WaveNetTask

NOTHING = "stopped before the first step: nothing was trained, so nothing is kept\n"
TRAIN = ("train", "--max-steps", 2, "--name", "x", "--logger", "none", *TINY)
SEG_TRAIN = ("seg-train", "--max-steps", 2, "--name", "x", "--logger", "none", *TINY_DEEPLAB)


def ctrl_c(*_, **__):
    os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(autouse=True)
def default_ctrl_c(monkeypatch):
    """Has Ctrl-C interrupt also where the tests were started in the background, and leaves out the verdict's clips."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr(for_training, "judge", lambda _checkpoint, _corpus, _say: Judgement("", usable=True))
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("command", "place"),
    [
        (TRAIN, "wavenet_app.training.command.prepare_run"),
        (TRAIN, "wavenet_app.training.command.show_start"),
        (TRAIN, "wavenet_app.training.task.WaveNetTask.optimizer"),
        (SEG_TRAIN, "segmentation.training.command.prepare_run"),
        (SEG_TRAIN, "segmentation.training.command.show_start"),
        (SEG_TRAIN, "segmentation.training.task.SegmentationTask.optimizer"),
    ],
)
def test_before_the_first_step(wavegen, tmp_path, monkeypatch, command, place):
    monkeypatch.setattr(place, ctrl_c)
    found = wavegen(*command)
    assert (found.code, found.err) == (130, NOTHING)
    runs = tmp_path / "data" / "checkpoints"
    assert not any((runs / name).exists() for name in ("x", "segmentation/x"))


@pytest.mark.parametrize(
    ("command", "task"), [(TRAIN, WaveNetTask), (SEG_TRAIN, SegmentationTask)], ids=["train", "seg-train"]
)
def test_a_ctrl_c_that_arrives_twice_stops_after_the_step(wavegen, tmp_path, monkeypatch, command, task):
    loss = task.loss

    def stopped_loss(self, batch):
        ctrl_c()
        ctrl_c()
        return loss(self, batch)

    monkeypatch.setattr(task, "loss", stopped_loss)
    found = wavegen(*command)
    assert found.code == 0, found.err
    assert "Ctrl-C: validating and saving; another Ctrl-C saves at once" in found.out
    assert f"stopped by Ctrl-C; resume with: wavegen {command[0]} --resume x" in found.out
    assert len(list((tmp_path / "data").rglob("x/last.pth"))) == 1


@pytest.mark.parametrize(
    ("command", "task"), [(TRAIN, WaveNetTask), (SEG_TRAIN, SegmentationTask)], ids=["train", "seg-train"]
)
def test_a_second_ctrl_c_in_the_validation_keeps_the_last_step(wavegen, tmp_path, monkeypatch, command, task):
    monkeypatch.setattr("wavenet_app.core.loop.interrupts.ONE_PRESS", 0.0)
    loss = task.loss

    def stopped_loss(self, batch):
        ctrl_c()
        return loss(self, batch)

    monkeypatch.setattr(task, "loss", stopped_loss)
    monkeypatch.setattr(task, "tally", ctrl_c)
    found = wavegen(*command)
    assert found.code == 130
    (last,) = tmp_path.glob("data/checkpoints/**/last.pth")
    kept = last.relative_to(tmp_path)
    assert found.err.endswith(f"{kept} is kept; train on with: wavegen {command[0]} --resume x\n")
    assert found.err.startswith("stopped; ")
    assert found.err.count("\n") == 1


def test_while_the_held_out_clips_are_measured(wavegen, monkeypatch):
    monkeypatch.setattr("wavenet_app.training.task.score_of", ctrl_c)
    found = wavegen(*TRAIN)
    assert found.code == 130
    assert "measuring all held-out clips (" in found.out
    assert found.err.startswith("stopped; ")
    assert found.err.endswith(
        "best.pth is kept, and was not measured on all held-out clips; measure it with: wavegen eval x\n"
    )


def test_while_the_clips_for_the_verdict_are_made(wavegen, monkeypatch):
    monkeypatch.setattr(for_training, "judge", ctrl_c)
    found = wavegen(*TRAIN)
    assert found.code == 130
    assert "best.pth is kept: " in found.err
    assert found.err.endswith("the clips for the verdict were not made; hear it with: wavegen sample x\n")
    assert found.err.count("\n") == 1


@pytest.mark.slow
def test_ctrl_c_at_once_in_a_process_of_its_own(tmp_path):
    process = shell(*SEG_TRAIN, "--minutes", 5, "--data-dir", "data", folder=tmp_path)
    assert process.stdout is not None
    while not process.stdout.readline().startswith("run x"):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    kept = (tmp_path / "data" / "checkpoints" / "segmentation" / "x" / "last.pth").exists()
    assert kept == ("--resume x" in out + err)
    assert kept or (process.returncode, err) == (130, NOTHING)
