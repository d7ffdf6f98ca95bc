"""`wavegen voices`: lists the voices that ship with the package."""

from __future__ import annotations

import json
import math
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from wavenet_app.checkpoints.voices import DEFAULT, ShippedVoice, shipped_voices
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
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("voice", no_wrap=True)
    table.add_column("language", overflow="fold")
    for title in ("Hz", "minutes", "steps", "bits", "LPC-24", "MB"):  # minutes and steps of the last run
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("licence", no_wrap=True)
    for voice in voices:
        table.add_row(
            voice.name,
            _language(voice),
            str(voice.config.audio.sample_rate),
            f"{voice.minutes:.0f}",
            f"{voice.steps:,}",
            _figure(voice.bits),
            _figure(voice.lpc),
            f"{voice.size / 1e6:.2f}",
            voice.licence,
        )
    console.print(table)
    console.print(
        "minutes and steps of its last run; bits per sample of held-out clips, and of LPC-24, a linear predictor"
    )
    usable = [voice for voice in voices if not voice.vocoder]
    first = next((voice for voice in usable if voice.name == DEFAULT), usable[0] if usable else None)
    if first is not None:
        console.print(
            f"hear one: wavegen sample {first.name} --play\n"
            f"train from one: wavegen train FOLDER --start-from {first.name}"
        )
    vocoder = next((voice for voice in voices if voice.vocoder), None)
    if vocoder is not None:
        console.print(
            f"vocode with one: wavegen vocode {vocoder.name} RECORDING\n"
            "the bits of a vocoder are of other codes, so they do not compare with those of a voice"
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


def _language(voice: ShippedVoice) -> str:
    """Returns the language, the number of speakers if there are several, and whether it is a vocoder."""
    speakers = len(voice.config.model.speakers)
    facts = (voice.language, f"{speakers} speakers" if speakers else None, "vocoder" if voice.vocoder else None)
    return ", ".join(fact for fact in facts if fact) or "no speech"


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _figure(value: float | None) -> str:
    return "?" if value is None else f"{value:.3f}"
