"""The existing path closest to a misspelt one."""

from __future__ import annotations

import os
from collections.abc import Collection
from itertools import islice
from pathlib import Path

from wavenet_app.core.text import closest

_MOST_LISTED = 4_000
"""Entries of a folder that are compared, so that an error about a huge folder comes at once."""


def did_you_mean_path(argument: str | Path, root: Path | None = None, without: Collection[str] = ()) -> str:
    """Returns "; did you mean ...?" with the path closest to one that does not exist, or nothing if none is close.

    Args:
        argument: the path, as the user gave it.
        root: the data folder, below which names count too; None for paths alone.
        without: names in the data folder that do not count.
    """
    near = nearest_path(Path(argument))
    if near is None and root is not None and root.is_dir() and not Path(argument).is_absolute():
        below = nearest_path(root / argument)
        if below is not None and below.relative_to(root).parts[0] not in without:
            near = below.relative_to(root)
    return "" if near is None else f"; did you mean '{near}'?"


def nearest_path(path: Path) -> Path | None:
    """Returns the path whose first absent name is replaced by the closest one beside it; None if none is close."""
    for parent in reversed(path.parents):
        absent = path.relative_to(parent).parts[0]
        if (parent / absent).exists():
            continue
        name = _closest_name(absent, _names_in(parent))
        if name is None:
            return None
        whole = parent / name / path.relative_to(parent / absent)
        return whole if whole.exists() else parent / name
    return None


def _names_in(folder: Path) -> list[str]:
    """Returns names in a folder without hidden ones; nothing if it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in islice(entries, _MOST_LISTED) if not entry.name.startswith(".")]
    except OSError:
        return []


def _closest_name(name: str, names: list[str]) -> str | None:
    """Returns the name closest to one; an equal ending alone, as of b.wav and a.wav, makes none close."""
    suffix = Path(name).suffix.lower()
    of_kind = {Path(one).stem: one for one in names if suffix and Path(one).suffix.lower() == suffix}
    stem = closest(Path(name).stem, of_kind)
    others = [one for one in names if one not in of_kind.values()]
    return of_kind[stem] if stem is not None else closest(name, others)
