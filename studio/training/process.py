"""Commands of wavegen in processes of their own: a training that can be stopped, and a look at recordings."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from studio.training.runs import Runs
from studio.web.requests import RefusedError
from wavenet_app.config import PRESETS
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.core.names import as_name, name_problem
from wavenet_app.core.settings import Settings
from wavenet_app.core.text import without_control_characters

LOG_BYTES = 8_192
"""Of the output of a training that are sent."""


class TrainRequest(Settings):
    """What to train; the same as the options of `wavegen train`."""

    path: str = ""
    name: str = ""
    preset: str = "auto"
    minutes: float = 30.0


class Trainer:
    """Starts and stops trainings, one at a time; its methods may run in several threads.

    Args:
        folder: the data folder.
        runs: the runs in it.
        scratch: a temporary folder for the output.
    """

    def __init__(self, folder: DataFolder, runs: Runs, scratch: Path) -> None:
        self._folder, self._runs = folder, runs
        self._log = scratch / "training.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._starting = threading.Lock()
        self.name: str | None = None
        self.stopping = False

    @property
    def running(self) -> bool:
        """Whether a training that was started here goes on."""
        return self._process is not None and self._process.poll() is None

    def start(self, request: TrainRequest) -> str:
        """Starts a training, and returns the name of its run.

        Raises:
            UserError: a setting is invalid.
            RefusedError: one goes on already.
        """
        if request.preset not in ("auto", *PRESETS):
            raise UserError(f"there is no preset '{request.preset}'")
        if not 0.01 <= request.minutes <= 100_000:
            raise UserError("a training takes from 0.01 to 100,000 minutes")
        path = self._folder.data_set(request.path) if request.path else None
        if request.name and (problem := name_problem(request.name)):
            raise UserError(f"the name of the run {problem}")
        taken = {run.name for run in self._runs.listed()}
        name = request.name or _free(as_name("plucked" if path is None else path.resolve().name), taken)
        if name in taken:
            raise UserError(f"a run called '{name}' exists; choose another name, or resume it")
        options = ["--preset", request.preset, "--minutes", str(request.minutes), f"--name={name}"]
        self._run(name, [*options, *([] if path is None else ["--", str(path)])])
        return name

    def resume(self, name: str) -> None:
        """Resumes a run from its last checkpoint.

        Raises:
            UserError: there is none of that name.
            RefusedError: a training goes on already.
        """
        self._runs.find(name)
        self._run(name, [f"--resume={name}"])

    def stop(self) -> None:
        """Asks the training to stop, which keeps its checkpoints.

        Raises:
            RefusedError: none goes on.
        """
        if not self.running:
            raise RefusedError(409, "no training goes on that was started here")
        assert self._process is not None
        if not self.stopping:  # a second signal would not wait for the checkpoint
            self._process.send_signal(signal.SIGINT)
        self.stopping = True

    def close(self) -> None:
        """Asks the training to stop, if one goes on; it ends after the studio, once its checkpoint is written."""
        if self.running:
            self.stop()

    @property
    def state(self) -> dict[str, Any]:
        """What the page shows of the training that was started last."""
        code = None if self._process is None else self._process.poll()
        return {
            "name": self.name,
            "running": self.running,
            "stopping": self.running and self.stopping,
            "failed": code not in (None, 0, 130),
            "log": self._tail(),
        }

    def _run(self, name: str, options: Sequence[str]) -> None:
        with self._starting:
            if self.running:
                raise RefusedError(409, f"'{self.name}' is being trained; stop it first")
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    wavegen_command("train", "--data-dir", str(self._folder.root), *options),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=own_environment(),
                    start_new_session=True,  # or Ctrl-C in the studio's terminal would reach it a second time
                )
            self.name, self.stopping = name, False

    def _tail(self) -> str:
        try:
            with self._log.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - LOG_BYTES))
                return without_control_characters(file.read().decode("utf-8", "replace"))
        except OSError:
            return ""


async def inspected(path: str, folder: DataFolder) -> dict[str, Any]:
    """Returns what `wavegen inspect` says of recordings, as it writes it.

    Raises:
        UserError: there is nothing to inspect.
    """
    found = folder.data_set(path)
    process = await asyncio.create_subprocess_exec(
        *wavegen_command("inspect", "--json", "--data-dir", str(folder.root), "--", str(found)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=own_environment(),
    )
    try:
        out, err = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        raise
    if process.returncode:
        lines = [line for line in err.decode("utf-8", "replace").splitlines() if line.startswith("error: ")]
        raise UserError(lines[-1].removeprefix("error: ") if lines else f"{path} cannot be inspected")
    report: dict[str, Any] = json.loads(out)
    report.pop("files", None)  # a line for each of thousands
    return report


def wavegen_command(*arguments: str) -> list[str]:
    """Returns how to run a command of this wavegen in another process."""
    return [sys.executable, "-m", "wavenet_app", *arguments]


def own_environment() -> dict[str, str]:
    """Returns the environment of such a process, which finds the same packages."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "COLUMNS": "100"}


def _free(name: str, taken: set[str]) -> str:
    """Returns a name that no run has.

    >>> _free("a", {"a", "a-2"})
    'a-3'
    """
    number = 2
    free = name
    while free in taken:
        free, number = f"{name}-{number}", number + 1
    return free
