"""The models that can be heard: shipped voices, runs and exported files, with what is known of each without torch."""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fast_gen.engines.sampling import usual_temperatures
from studio.web.metrics import read_metrics
from wavenet_app.checkpoints.trained import read_trained
from wavenet_app.checkpoints.voice_file import read_plain_voice
from wavenet_app.checkpoints.voices import DEFAULT, ShippedVoice, shipped_voices
from wavenet_app.config import RunConfig
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.core.runs import BEST, run_names
from wavenet_app.core.safetensors_file import SUFFIX
from wavenet_app.core.settings import validated


@dataclass(frozen=True)
class ModelFacts:
    """A model of the list.

    Attributes:
        name: that every command takes.
        kind: "voice", "run" or "export".
        sample_rate: in Hz.
        speakers: names; empty for one voice.
        vocoder: whether it makes sound from mel frames.
        ranks: whether top-k, top-p and min-p apply, which they do to mu-law codes.
        codes: number of these codes; 0 for other heads.
        temperature: at which it is sampled unless another is chosen.
        quiet_temperature: that of its quiet parts; None for the same.
        milliseconds: of the receptive field.
        bits: per sample on held-out clips; None if unknown.
        lpc: of LPC-24 on the same clips; None if unknown.
        minutes: of training; None if unknown.
        date: of the file, in ISO 8601; None for a shipped voice.
        language: that is spoken; None if unknown.
    """

    name: str
    kind: str
    sample_rate: int
    speakers: tuple[str, ...]
    vocoder: bool
    ranks: bool
    codes: int
    temperature: float
    quiet_temperature: float | None
    milliseconds: float
    bits: float | None = None
    lpc: float | None = None
    minutes: float | None = None
    date: str | None = None
    language: str | None = None


class ModelList:
    """The models of a data folder; a file is read again only when it has changed. May be used by several threads.

    Args:
        folder: the data folder.
    """

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder
        self._known: dict[tuple[Path, int], ModelFacts | str] = {}
        self._reading = threading.Lock()

    def read(self) -> dict[str, Any]:
        """Returns what is known at once, and reads in the background what needs torch, whose import takes seconds.

        Returns:
            `models`, the default voice first; `problems`, a line for each file that cannot be used; `unread`, how many
            files are still being read.
        """
        voices, problems = shipped_voices()
        models = [_of_voice(voice) for voice in sorted(voices, key=lambda voice: (voice.name != DEFAULT, voice.name))]
        runs = [self._folder.checkpoints / name / BEST for name in run_names(self._folder.checkpoints, BEST)]
        exports = [path for path in self._folder.pretrained.glob("wavenet_*") if path.suffix in (".pth", SUFFIX)]
        unread = []
        for path in (*sorted(runs, key=lambda path: -path.stat().st_mtime), *sorted(exports)):
            key = path, path.stat().st_mtime_ns
            if key not in self._known and path.name != BEST and path.suffix != SUFFIX:
                unread.append(key)
                continue
            found = self._facts(key)
            if isinstance(found, str):
                problems.append(found)
            else:
                models.append(found)
        if unread:
            threading.Thread(target=self._read, args=(unread,), name="models", daemon=True).start()
        return {"models": [asdict(model) for model in models], "problems": problems, "unread": len(unread)}

    def _read(self, keys: list[tuple[Path, int]]) -> None:
        with self._reading:
            for key in keys:
                self._facts(key)

    def _facts(self, key: tuple[Path, int]) -> ModelFacts | str:
        """Returns what is known of a file, or why it cannot be used."""
        if key not in self._known:
            path = key[0]
            try:
                self._known[key] = _of_run(path) if path.name == BEST else _of_export(path)
            except (UserError, OSError) as error:
                self._known[key] = str(error)
        return self._known[key]


def run_config(run: Path) -> RunConfig:
    """Returns the settings in a run's config.json.

    Raises:
        UserError: there are none, or they cannot be read.
    """
    path = run / "config.json"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        raise UserError(f"{path} cannot be read") from None
    if not isinstance(values, dict):
        raise UserError(f"{path} holds no settings")
    values.pop("software", None)
    return validated(RunConfig, values)


def _of_voice(voice: ShippedVoice) -> ModelFacts:
    return _facts(
        voice.name,
        "voice",
        voice.config,
        bits=voice.bits,
        lpc=voice.lpc,
        minutes=voice.minutes,
        language=voice.language,
    )


def _of_run(path: Path) -> ModelFacts:
    rows = read_metrics(path.parent / "metrics.csv")
    return _facts(
        path.parent.name,
        "run",
        run_config(path.parent),
        bits=min((row["validation"] for row in rows), default=None),
        minutes=rows[-1]["seconds"] / 60 if rows else None,
        date=_date(path),
    )


def _of_export(path: Path) -> ModelFacts:
    content = read_plain_voice(path) if path.suffix == SUFFIX else read_trained(path)
    history, baseline, voice = content.get("history"), content.get("baseline"), content.get("voice")
    return _facts(
        path.name,
        "export",
        validated(RunConfig, content["config"]),
        bits=content.get("validation"),
        lpc=baseline["lpc"] if baseline else None,
        minutes=history[-1]["seconds"] / 60 if history else None,
        date=_date(path),
        language=voice.get("language") if voice else None,
    )


def _facts(
    name: str,
    kind: str,
    config: RunConfig,
    *,
    bits: float | None,
    minutes: float | None,
    lpc: float | None = None,
    date: str | None = None,
    language: str | None = None,
) -> ModelFacts:
    model = config.model
    is_mu_law = model.head == "mu-law"
    temperature, quiet_temperature = usual_temperatures(model)
    return ModelFacts(
        name=name,
        kind=kind,
        sample_rate=config.audio.sample_rate,
        speakers=model.speakers,
        vocoder=model.mel is not None,
        ranks=is_mu_law,
        codes=model.quantization_channels if is_mu_law else 0,
        temperature=temperature,
        quiet_temperature=quiet_temperature,
        milliseconds=1000 * model.receptive_field / config.audio.sample_rate,
        bits=bits,
        lpc=lpc,
        minutes=minutes,
        date=date,
        language=language,
    )


def _date(path: Path) -> str:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds")
