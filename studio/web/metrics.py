"""The curve of a run, out of its metrics.csv."""

from __future__ import annotations

import csv
import io
from pathlib import Path


def read_metrics(path: Path) -> list[dict[str, float]]:
    """Returns the rows of a run's metrics.csv; empty if there is none, or none that can be read."""
    try:
        text = path.read_text(encoding="utf-8")
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(io.StringIO(text))]
    except (OSError, ValueError, TypeError):
        return []
