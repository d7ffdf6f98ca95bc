"""Processes that start together compile librosa's functions one after another."""

import os
import re
import subprocess
import sys
from pathlib import Path

import librosa
import pytest

from wavenet_app.compiling.librosa_code import librosa_with_pitch

TRACE = """
import sys, time
from wavenet_app.compiling.librosa_code import compiled_librosa, librosa_with_pitch

librosa = compiled_librosa()
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


def test_all_packages_take_librosa_from_here():
    """An import elsewhere compiles some functions while another process may do the same."""
    root = Path(__file__).resolve().parents[3]
    importing = re.compile(r"^\s*(import librosa|from librosa)", re.MULTILINE)
    found = {
        str(path.relative_to(root))
        for package in ("wavenet_app", "fast_gen", "segmentation", "studio")
        for path in (root / package).rglob("*.py")
        if importing.search(path.read_text(encoding="utf-8"))
    }
    assert found == {"wavenet_app/compiling/librosa_code.py"}
