"""A run's name and folder belong to one process at a time."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from wavenet_app.core.errors import UserError
from wavenet_app.core.run_lock import LOCK, refuse_locked, run_lock
from wavenet_app.core.runs import free_name

HOLDER = """
import sys, pathlib
from wavenet_app.core.run_lock import run_lock
with run_lock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_runs_that_begin_at_once_get_names_of_their_own(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(lambda _: free_name("speech", tmp_path / "runs"), range(24)))
    assert sorted(names) == sorted(["speech", *(f"speech-{number}" for number in range(2, 25))])


def test_a_second_training_is_refused_with_the_process_that_has_the_run(tmp_path):
    run = tmp_path / "speech"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(run)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path.cwd()
    )
    try:
        assert holder.stdout.readline() == b"held\n"
        message = f"the run 'speech' is being trained by process {holder.pid}; wait"
        with pytest.raises(UserError, match=message), run_lock(run):
            pass
        with pytest.raises(UserError, match=message):
            refuse_locked(run)
    finally:
        holder.kill()
        holder.wait()
    assert (run / LOCK).exists()  # as a killed process leaves it
    refuse_locked(run)
    with run_lock(run):
        assert (run / LOCK).read_text() == str(os.getpid())
    assert list(run.iterdir()) == []


def test_many_that_want_a_run_never_have_it_together(tmp_path):
    inside = []

    def try_it(number: int) -> bool:
        try:
            with run_lock(tmp_path):
                inside.append(number)
                assert inside == [number]
                inside.remove(number)
        except UserError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert any(pool.map(try_it, range(400)))


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write in"), run_lock(tmp_path / "file" / "run"):
        pass
