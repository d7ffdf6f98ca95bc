"""`wavegen voices`: lists the voices that ship with the package."""

from __future__ import annotations

import json
import math
from typing import Any

from rich.console import Console
from rich.table import Table

from wavenet_app.checkpoints.voices import ShippedVoice, shipped_voices
from wavenet_app.core.console import print_labelled


def run_voices(console: Console, *, as_json: bool) -> None:
    """Prints the shipped voices, and files that cannot be used."""
    voices, problems = shipped_voices()
    if as_json:
        console.print_json(json.dumps([_facts(voice) for voice in voices], allow_nan=False))
        return
    for problem in problems:
        print_labelled(console, "skipped", problem)
    if not voices:
        console.print("no voice ships with this wavegen; train one with: wavegen train FOLDER")
        return
    table = Table("voice", "language", "speakers", "use")
    for title in ("Hz", "minutes trained", "steps", "bits (LPC-24)"):
        table.add_column(title, justify="right")
    table.add_column("licence")
    table.add_column("size", justify="right")
    for voice in voices:
        table.add_row(
            voice.name,
            voice.language or "",
            ", ".join(voice.config.model.speakers) or "1",
            "vocode" if voice.vocoder else "sample",
            str(voice.config.audio.sample_rate),
            f"{voice.minutes:.0f}",
            f"{voice.steps:,}",
            f"{_figure(voice.bits)} ({_figure(voice.lpc)})",
            voice.licence,
            f"{voice.size / 1e6:.2f} MB",
        )
    console.print(table)
    first = next((voice for voice in voices if not voice.vocoder), None)
    if first is not None:
        console.print(
            f"hear one: wavegen sample {first.name} --play\n"
            f"train from one: wavegen train FOLDER --start-from {first.name}"
        )


def _facts(voice: ShippedVoice) -> dict[str, Any]:
    return {
        "name": voice.name,
        "file": str(voice.path),
        "language": voice.language,
        "speakers": list(voice.config.model.speakers),
        "vocoder": voice.vocoder,
        "sample_rate": voice.config.audio.sample_rate,
        "audio_minutes": voice.audio_minutes,
        "minutes": voice.minutes,
        "steps": voice.steps,
        "bits": _finite(voice.bits),
        "lpc": _finite(voice.lpc),
        "licence": voice.licence,
        "data": voice.data,
        "size": voice.size,
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _figure(value: float | None) -> str:
    return "?" if value is None else f"{value:.3f}"
