"""Processes that start together compile librosa's pitch tracker one after another."""

import os
import subprocess
import sys

import librosa
import pytest

from wavenet_app.compiling.librosa_code import librosa_with_pitch

TRACE = """
import sys, time
import librosa
from wavenet_app.compiling.librosa_code import librosa_with_pitch

real = librosa.pyin
def slow(*arguments, **options):
    print("begins", flush=True, file=open(sys.argv[1], "a"))
    time.sleep(0.3)
    result = real(*arguments, **options)
    print("ends", flush=True, file=open(sys.argv[1], "a"))
    return result

librosa.pyin = slow
librosa_with_pitch()
"""


@pytest.mark.slow
def test_processes_that_start_together_take_turns(tmp_path):
    trace = tmp_path / "trace"
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "code")}
    processes = [subprocess.Popen([sys.executable, "-c", TRACE, str(trace)], env=environment) for _ in range(2)]
    assert [process.wait(300) for process in processes] == [0, 0]
    assert trace.read_text().split() == ["begins", "ends"] * 2


def test_it_runs_once_a_process(monkeypatch):
    librosa_with_pitch()
    monkeypatch.setattr(librosa, "pyin", None)
    assert librosa_with_pitch() is librosa
