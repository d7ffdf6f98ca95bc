"""The runs of a data folder, read from the files that training writes."""

from __future__ import annotations

import os
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from studio.web.metrics import read_metrics
from wavenet_app.core.checkpoint import read_checkpoint
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.core.run_lock import LOCK
from wavenet_app.core.runs import LAST
from wavenet_app.core.text import whole_number

MOST_ROWS = 600
"""Of a curve that is sent."""


@dataclass(frozen=True)
class Run:
    """A run in the list.

    Attributes:
        name: of the run.
        modified: when its metrics were last written, in seconds since 1970.
        bits: the best on held-out clips; None before the first validation.
        minutes: of training so far.
        training: whether a process trains it now.
        resumable: whether it has a checkpoint to resume from.
    """

    name: str
    modified: float
    bits: float | None
    minutes: float | None
    training: bool
    resumable: bool


@dataclass(frozen=True)
class Preview:
    """A sound that training logged.

    Attributes:
        kind: "real" or "generated".
        step: of the training.
        content: of a WAV file.
    """

    kind: str
    step: int
    content: bytes


class Runs:
    """What is known of the runs; its methods may run in threads.

    Args:
        folder: the data folder.
    """

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder
        self._baselines: dict[tuple[Path, int], dict[str, float] | None] = {}
        self._events: dict[str, _Events] = {}
        self._lock = threading.Lock()

    def listed(self) -> list[Run]:
        """Returns the runs, the newest first."""
        if not self._folder.checkpoints.is_dir():
            return []
        folders = [path for path in self._folder.checkpoints.iterdir() if (path / "config.json").is_file()]
        return sorted(map(self._run, folders), key=lambda run: -run.modified)

    def find(self, name: str) -> Path:
        """Returns the folder of a run.

        Raises:
            UserError: there is none of that name.
        """
        for run in self.listed():
            if run.name == name:
                return self._folder.checkpoints / name
        raise UserError(f"there is no run '{name}'")

    def described(self, name: str) -> dict[str, Any]:
        """Returns the curve of a run, its baseline and its previews.

        Raises:
            UserError: there is none of that name.
        """
        path = self.find(name)
        rows = read_metrics(path / "metrics.csv")
        step = -(-len(rows) // MOST_ROWS) or 1
        with self._lock:
            previews = self.previews(name)
        return {
            **asdict(self._run(path)),
            "rows": rows[::-1][::step][::-1],
            "baseline": self._baseline(path),
            "previews": [{"kind": one.kind, "step": one.step, "index": at} for at, one in enumerate(previews)],
        }

    def preview(self, name: str, index: int) -> bytes:
        """Returns a preview as a WAV file.

        Raises:
            UserError: there is no such run or preview.
        """
        self.find(name)
        with self._lock:
            previews = self.previews(name)
        if not 0 <= index < len(previews):
            raise UserError(f"the run '{name}' has no such preview")
        return previews[index].content

    def previews(self, name: str) -> list[Preview]:
        """Returns all sounds that a run has logged to TensorBoard so far, in their order."""
        place = self._folder.tensorboard / name
        if not place.is_dir():
            return []
        events = self._events.setdefault(name, _Events(place))
        events.read()
        return events.previews

    def _run(self, path: Path) -> Run:
        rows = read_metrics(path / "metrics.csv")
        metrics = path / "metrics.csv"
        newest = metrics if metrics.exists() else path / "config.json"
        return Run(
            name=path.name,
            modified=newest.stat().st_mtime,
            bits=min((row["validation"] for row in rows), default=None),
            minutes=rows[-1]["seconds"] / 60 if rows else None,
            training=is_locked(path),
            resumable=(path / LAST).is_file(),
        )

    def _baseline(self, path: Path) -> dict[str, float] | None:
        """Returns the bits of the classical predictors, which do not change during a run; None if unknown yet.

        They are read in the background, since a checkpoint takes a while, and the curve should be seen at once.
        """
        last, split = path / LAST, path / "split.json"
        if not (last.is_file() and split.is_file()):
            return None
        key = path, split.stat().st_mtime_ns
        if key not in self._baselines:
            self._baselines[key] = None
            threading.Thread(target=self._read_baseline, args=(key, last), daemon=True).start()
        return self._baselines[key]

    def _read_baseline(self, key: tuple[Path, int], last: Path) -> None:
        try:
            self._baselines[key] = read_checkpoint(last, "wavenet").get("baseline")
        except UserError:
            del self._baselines[key]  # it may be read the next time


class _Events:
    """The TensorBoard events of a run, read on where the last look ended.

    Args:
        folder: of the event files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loaders: dict[Path, Any] = {}
        self.previews: list[Preview] = []

    def read(self) -> None:
        """Adds what was logged since the last time."""
        from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

        for path in sorted(self._folder.glob("events.out.tfevents.*")):
            if path not in self._loaders:
                self._loaders[path] = LegacyEventFileLoader(str(path))
            for event in self._loaders[path].Load():
                for value in event.summary.value:
                    if value.WhichOneof("value") == "audio":
                        self.previews.append(Preview(value.tag, event.step, value.audio.encoded_audio_string))


def is_locked(run: Path) -> bool:
    """Returns whether a process trains a run; a lock that is taken to find out would keep a training from starting."""
    try:
        number = whole_number((run / LOCK).read_text(encoding="ascii").strip(), 2**31)
        if not number:
            return False
        os.kill(number, 0)
    except PermissionError:  # it runs, for another user
        return True
    except (OSError, UnicodeDecodeError):
        return False
    return True
