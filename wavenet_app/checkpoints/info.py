"""`wavegen info`: describes a checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from wavenet_app.checkpoints.trained import find_checkpoint, load_trained, plain_config
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.terminal import number_of, thinned
from wavenet_app.corpus.baseline import Baseline
from wavenet_app.corpus.verdict import verdict

_MAX_ROWS = 8  # of the history


def run_info(checkpoint: str | None, folder: DataFolder, *, console: Console, as_json: bool) -> None:
    """Prints a checkpoint's settings, size, receptive field, work per sample, history and bits.

    Raises:
        UserError: the checkpoint does not exist or cannot be read.
    """
    path = find_checkpoint(folder.root, checkpoint)
    facts = describe(path)
    if as_json:
        console.print_json(json.dumps(facts))
        return
    table = Table(title=str(path), title_justify="left", show_header=False)
    for name in ("name", "parameters", "multiply_accumulates_per_sample"):
        table.add_row(name.replace("_", " "), f"{facts[name]:,}" if isinstance(facts[name], int) else facts[name])
    table.add_row("receptive field", f"{facts['receptive_field']:,} samples, {facts['receptive_field_ms']:.0f} ms")
    for section in ("model", "audio", "corpus", "training"):
        settings = facts["config"][section]
        table.add_row(section, "\n".join(f"{key} = {value}" for key, value in settings.items()))
    if facts["voice"] is not None:
        voice = facts["voice"]
        table.add_row("voice", "\n".join(f"{key} = {value}" for key, value in voice.items() if value is not None))
    table.add_row("trained", f"{number_of(facts['steps'], 'step')} in {facts['seconds'] / 60:.1f} minutes")
    table.add_row("history", "\n".join(_history_lines(facts["history"])))
    if facts["validation"] is not None and facts["baseline"] is not None:
        baseline = Baseline(**facts["baseline"])
        table.add_row(
            f"bits per sample, held out, of {facts['coding']}",
            f"{facts['validation']:.3f} (LPC-24 {baseline.lpc:.3f}, order-1 {baseline.order1:.3f}, "
            f"unigram {baseline.unigram:.3f})\n{verdict(facts['validation'], baseline)}",
        )
    console.print(table)


def describe(path: Path) -> dict[str, Any]:
    """Returns the description of a checkpoint as plain values.

    Raises:
        UserError: the checkpoint cannot be read.
    """
    trained = load_trained(path)
    model, content = trained.config.model, trained.content
    latest = content["history"][-1] if content["history"] else {"step": 0, "seconds": 0.0}
    return {
        "file": str(path),
        "name": trained.config.name,
        "config": plain_config(trained.config),
        "parameters": sum(parameter.numel() for parameter in trained.model.parameters()),
        "multiply_accumulates_per_sample": model.multiply_accumulates,
        "receptive_field": model.receptive_field,
        "receptive_field_ms": 1000 * model.receptive_field / trained.config.audio.sample_rate,
        "steps": latest["step"],
        "seconds": latest["seconds"],
        "history": content["history"],
        "baseline": content.get("baseline"),
        "validation": content.get("validation"),
        "coding": model.coding.name,
        "voice": content.get("voice"),
        "software": content.get("software"),
    }


def _history_lines(history: list[dict[str, float]]) -> list[str]:
    return [
        f"step {row['step']:>6}  train {row['train']:.3f}  validation {row['validation']:.3f}"
        for row in thinned(history, _MAX_ROWS)
    ]
