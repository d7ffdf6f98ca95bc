"""Runs and trainings: read from the files of the command line, started and stopped as processes of their own."""

import json
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from served_studio import Served, eventually
from torch.utils.tensorboard import SummaryWriter

from studio.training.process import Trainer, TrainRequest
from studio.training.runs import Runs, is_locked
from studio.web.requests import RefusedError
from wavenet_app.config import RunConfig
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.core.run_lock import LOCK, run_lock

METRICS = "step,seconds,train,validation,learning_rate\n100,30.0,4.2,4.1,0.005\n200,60.0,4.0,3.9,0.004\n"


@pytest.fixture
def folder(tmp_path) -> DataFolder:
    """A data folder with the run `voice`."""
    run = tmp_path / "checkpoints" / "voice"
    run.mkdir(parents=True)
    (run / "config.json").write_text(json.dumps({**RunConfig(name="voice").model_dump(mode="json"), "software": {}}))
    (run / "metrics.csv").write_text(METRICS)
    return DataFolder(tmp_path)


def test_a_run_is_what_its_files_say(folder):
    runs = Runs(folder)
    (run,) = runs.listed()
    assert (run.name, run.bits, run.minutes, run.training, run.resumable) == ("voice", 3.9, 1.0, False, False)
    found = runs.described("voice")
    assert [row["validation"] for row in found["rows"]] == [4.1, 3.9]
    assert found["baseline"] is None
    assert found["previews"] == []
    with pytest.raises(UserError, match=r"there is no run '\.\./voice'"):
        runs.described("../voice")


def test_a_locked_run_is_being_trained_and_looking_changes_nothing(folder):
    run = folder.checkpoints / "voice"
    assert not is_locked(run)
    with run_lock(run):
        assert is_locked(run)
        before = (run / LOCK).read_text()
        assert is_locked(run)
        assert (run / LOCK).read_text() == before
    before = sorted(run.iterdir())
    assert not is_locked(run)
    assert sorted(run.iterdir()) == before


def test_a_lock_that_a_killed_process_left_is_no_training(folder):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (folder.checkpoints / "voice" / LOCK).write_text(str(ended.pid))
    assert not is_locked(folder.checkpoints / "voice")


def test_looking_does_not_keep_a_training_from_starting(folder):
    """As taking the lock for a moment to find out would."""
    run = folder.checkpoints / "voice"
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            is_locked(run)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(200):
            with run_lock(run):
                pass
    finally:
        over.set()
        looking.join()


def test_previews_come_as_they_are_logged(folder):
    runs = Runs(folder)
    writer = SummaryWriter(str(folder.tensorboard / "voice"))
    writer.add_audio("generated", np.zeros((1, 800), np.float32), 100, sample_rate=8_000)
    writer.flush()
    assert [(one["kind"], one["step"]) for one in runs.described("voice")["previews"]] == [("generated", 100)]
    writer.add_scalar("other", 1.0, 150)
    writer.add_audio("generated", np.ones((1, 800), np.float32), 200, sample_rate=8_000)
    writer.close()
    assert [one["step"] for one in runs.described("voice")["previews"]] == [100, 200]
    first, second = (runs.preview("voice", index) for index in (0, 1))
    assert first[:4] == second[:4] == b"RIFF"
    assert first != second
    with pytest.raises(UserError, match="no such preview"):
        runs.preview("voice", 2)


STAND_IN = """
import signal, sys, time
print("begins", sys.argv[1:], flush=True)
def stop(*_):
    print("stops", flush=True)
    sys.exit(0)
signal.signal(signal.SIGINT, stop)
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture
def trainer(folder, tmp_path, monkeypatch):
    """A trainer whose command waits for the signal to stop, and says what it was given."""
    monkeypatch.setattr(
        "studio.training.process.wavegen_command", lambda *given: [sys.executable, "-c", STAND_IN, *given]
    )
    found = Trainer(folder, Runs(folder), tmp_path)
    yield found
    found.close()
    assert eventually(lambda: not found.running)


def test_a_training_is_started_and_stopped_once(trainer, folder, tmp_path):
    recordings = tmp_path / "-odd name"
    recordings.mkdir()
    assert trainer.start(TrainRequest(path=str(recordings), minutes=2, preset="tiny")) == "odd name"
    assert eventually(lambda: "ready" in trainer.state["log"])
    given = trainer.state["log"]
    options = ["--preset", "tiny", "--minutes", "2.0", "--name=odd name", "--", str(recordings)]
    assert str(["train", "--data-dir", str(folder.root), *options]) in given
    with pytest.raises(RefusedError, match="'odd name' is being trained"):
        trainer.start(TrainRequest())
    with pytest.raises(RefusedError):
        trainer.resume("voice")
    trainer.stop()
    trainer.stop()  # a second signal would end it before its checkpoint is written
    assert eventually(lambda: not trainer.running)
    assert "stops" in trainer.state["log"]
    assert not trainer.state["failed"]
    with pytest.raises(RefusedError, match="no training goes on"):
        trainer.stop()


def test_of_two_trainings_at_once_one_starts(trainer):
    together = threading.Barrier(4)
    refused = []

    def begin() -> None:
        together.wait()
        try:
            trainer.start(TrainRequest())
        except RefusedError as error:
            refused.append(error)

    threads = [threading.Thread(target=begin) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 3


def test_a_run_is_resumed(trainer):
    trainer.resume("voice")
    assert eventually(lambda: "--resume=voice" in trainer.state["log"])
    assert trainer.state["name"] == "voice"


MISTAKES = [
    ({"path": "nowhere"}, "nowhere"),
    ({"preset": "huge"}, "there is no preset 'huge'"),
    ({"minutes": 0}, "minutes"),
    ({"name": "../x"}, "plain name"),
    ({"name": "--data-dir"}, "must begin with"),
    ({"name": "voice"}, "a run called 'voice' exists"),
]


@pytest.mark.parametrize(("changes", "said"), MISTAKES)
def test_a_mistake_starts_nothing(trainer, changes, said):
    with pytest.raises(UserError, match=said):
        trainer.start(TrainRequest(**changes))
    assert trainer.state["name"] is None


def test_a_free_name_is_found(trainer, tmp_path):
    (tmp_path / "voice").mkdir()
    assert trainer.start(TrainRequest(path=str(tmp_path / "voice"))) == "voice-2"


@pytest.mark.slow
def test_a_real_training_from_the_page(studio: Served, tone_folder, data):
    inspected = studio.post("/api/training/inspect", {"path": str(tone_folder)})
    assert inspected.status == 200, inspected.body
    assert inspected.json["corpus"]["sample_rate"] == 8_000
    begun = studio.post("/api/training/start", {"path": str(tone_folder), "minutes": 10, "preset": "tiny"})
    assert begun.json == {"name": "tones"}
    state = lambda: studio.get("/api/training").json  # noqa: E731
    assert eventually(lambda: any(run["training"] and run["bits"] for run in state()["runs"]), 240), state()
    assert studio.post("/api/training/stop", b"").status == 200
    assert eventually(lambda: not state()["training"]["running"], 120)
    assert not state()["training"]["failed"], state()
    assert eventually(lambda: studio.get("/api/training/runs/tones").json["baseline"], 60)
    found = studio.get("/api/training/runs/tones").json
    assert found["baseline"]["lpc"] > 0
    assert found["resumable"]
    assert {one["kind"] for one in found["previews"]} == {"real", "generated"}
    sound = studio.get("/api/training/runs/tones/previews/0")
    assert sound.headers["content-type"] == "audio/wav"
    models = studio.get("/api/models").json["models"]
    assert "tones" in [model["name"] for model in models if model["kind"] == "run"]
    assert studio.post("/api/training/resume", {"name": "tones"}).status == 200
    time.sleep(1)
    assert state()["training"]["running"]
    studio.post("/api/training/stop", b"")
    assert eventually(lambda: not state()["training"]["running"], 120)
