"""Ranks that torchrun starts train like ranks of our own, find out what does not fit, and end together."""

import csv
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from in_process import exit_code
from tiny_run import TINY_NET
from torch.distributed import HashStore

from wavenet_app.core.checkpoint import read_checkpoint
from wavenet_app.core.errors import UserError
from wavenet_app.core.launch import Launch
from wavenet_app.core.loop import meeting
from wavenet_app.core.loop.interrupts import handlers_restored
from wavenet_app.core.loop.meeting import first_difference, meet

FACTS = {"wavegen": "1", "torch": "2", "Python": "3", "device": "cpu", "host": "a"}


def test_ranks_that_fit_have_no_difference_whatever_their_hosts():
    assert first_difference([FACTS, {**FACTS, "host": "b"}]) is None


@pytest.mark.parametrize("name", ["wavegen", "torch", "Python", "device"])
def test_a_difference_names_both_machines(name):
    found = first_difference([FACTS, FACTS, {**FACTS, "host": "b", name: "other"}])
    assert found is not None
    assert found.startswith(f"rank 0 on a has {name} {FACTS[name]}, and rank 2 on b has {name} other")


@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_does_not_start_is_named_in_time(monkeypatch, unused_port, rank):
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(unused_port))
    began = time.monotonic()
    with pytest.raises(UserError) as error:
        meet(Launch(rank, rank, 2, "torchrun"), "cpu", join=timedelta(seconds=1))
    assert time.monotonic() - began < 20
    assert "within 1 s" in str(error.value)
    assert len(str(error.value).splitlines()) == 1
    assert not torch.distributed.is_initialized()


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _without_data(_group: object) -> None:
    raise FileNotFoundError(2, "No such file or directory", "/data/cache/clip.npy")


def test_a_rank_without_the_data_says_so(monkeypatch):
    store = HashStore()
    store.set("task", "")
    monkeypatch.setattr(meeting, "meet", lambda *_: store)
    monkeypatch.setattr(
        torch.distributed, "broadcast_object_list", lambda given, **_: given.__setitem__(0, pickle.dumps(_without_data))
    )
    with handlers_restored(), pytest.raises(UserError, match=r"^rank 1 on .* does not find /data/cache/clip\.npy; "):
        meeting.follow(Launch(1, 1, 2, "torchrun"))


def _torchrun(*options: object, launcher: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *launcher]
    return subprocess.Popen(
        [*command, "-m", "wavenet_app", "train", *map(str, options), "--logger", "none", *TINY_NET],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def _weights(run: Path) -> dict[str, torch.Tensor]:
    return read_checkpoint(run / "last.pth", "wavenet")["training"]["weights"]


@pytest.fixture
def runs(monkeypatch, tmp_path) -> Path:
    monkeypatch.setenv("WAVEGEN_DATA", str(tmp_path / "data"))
    return tmp_path / "data" / "checkpoints"


@pytest.mark.slow
def test_torchrun_gives_the_bits_of_processes_of_our_own(tone_folder, runs, monkeypatch):
    launched = _torchrun(tone_folder, "--name", "launched", "--max-steps", 6)
    own = ["--name", "own", "--max-steps", 6, "--logger", "none", *TINY_NET, "--set=training.processes=2"]
    assert exit_code(monkeypatch, "train", tone_folder, *own) == 0
    output, _ = launched.communicate(timeout=400)
    assert launched.returncode == 0, output
    assert output.count("checkpoint: ") == 1  # rank 0 alone prints
    expected, found = _weights(runs / "own"), _weights(runs / "launched")
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


@pytest.mark.exhaustive
def test_one_and_four_processes_learn_the_same_from_the_same_batch(tone_folder, runs, monkeypatch):
    curves = []
    for processes in (1, 4):
        options = ["--max-steps", 5, "--logger", "none", *TINY_NET, f"--set=training.processes={processes}"]
        options += ["--name", f"p{processes}", f"--set=training.batch_size={4 // processes}"]
        options.append("--set=training.validate_seconds=3600")  # else a slow machine validates before the end, too
        assert exit_code(monkeypatch, "train", tone_folder, *options) == 0
        with (runs / f"p{processes}" / "metrics.csv").open(newline="") as table:
            curves.append([[float(row["train"]), float(row["validation"])] for row in csv.DictReader(table)])
    torch.testing.assert_close(torch.tensor(curves[1]), torch.tensor(curves[0]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "victim", [pytest.param(0, marks=pytest.mark.slow), pytest.param(1, marks=pytest.mark.exhaustive)]
)
def test_a_killed_rank_ends_all_and_a_restart_resumes(tone_folder, runs, victim):
    training = _torchrun(
        tone_folder, "--name", "killed", "--max-steps", 100_000, "--set=training.checkpoint_seconds=0",
        launcher=("--max-restarts", "0"),
    )  # fmt: skip
    _wait_for(runs / "killed" / "last.pth", training)
    os.kill(_rank_process(training.pid, victim), signal.SIGKILL)
    began = time.monotonic()
    output, _ = training.communicate(timeout=300)
    assert time.monotonic() - began < 60
    assert training.returncode != 0
    if victim == 1:
        assert re.search(r"error: another rank of this training ended .*continue with\s+--resume", output)
        return
    steps = read_checkpoint(runs / "killed" / "last.pth", "wavenet")["training"]["step"]
    again = _torchrun("--resume", "killed", "--max-steps", steps + 3)
    output, _ = again.communicate(timeout=400)
    assert again.returncode == 0, output
    assert read_checkpoint(runs / "killed" / "last.pth", "wavenet")["training"]["step"] == steps + 3


@pytest.mark.exhaustive
def test_a_named_run_resumes_by_itself_when_torchrun_restarts_it(tone_folder, runs):
    training = _torchrun(
        tone_folder, "--name", "elastic", "--minutes", 30, "--set=training.checkpoint_seconds=0",
        launcher=("--max-restarts", "1"),
    )  # fmt: skip
    last = runs / "elastic" / "last.pth"
    _wait_for(last, training)
    first = _rank_process(training.pid, 1)
    os.kill(first, signal.SIGKILL)
    before = read_checkpoint(last, "wavenet")["training"]["step"]
    deadline = time.monotonic() + 300
    restarted_at = None  # when the last checkpoint was written that the restarted processes begin with
    while restarted_at is None or last.stat().st_mtime_ns == restarted_at:
        if restarted_at is None and _rank_process(training.pid, 1) not in (first, None):
            restarted_at = last.stat().st_mtime_ns
        assert training.poll() is None, training.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(_rank_process(training.pid, 0), signal.SIGINT)
    output, _ = training.communicate(timeout=300)
    assert read_checkpoint(last, "wavenet")["training"]["step"] > before, output


@pytest.mark.slow
def test_settings_that_contradict_the_launcher_are_one_line(tone_folder, runs):
    training = _torchrun(tone_folder, "--set=training.processes=3")
    output, _ = training.communicate(timeout=300)
    assert training.returncode != 0
    assert "torchrun started 2 processes, but training.processes is 3; leave it out" in " ".join(output.split())


def _wait_for(path: Path, training: subprocess.Popen[str]) -> None:
    while not path.exists():
        assert training.poll() is None, training.stdout.read()
        time.sleep(0.05)


def _rank_process(launcher: int, rank: int) -> int | None:
    """Returns the process of a rank among the children of its launcher; None if there is none."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            environment = (folder / "environ").read_bytes().split(b"\0")
        except (OSError, ValueError):
            continue
        if parent == launcher and f"RANK={rank}".encode() in environment:
            return int(folder.name)
    return None
