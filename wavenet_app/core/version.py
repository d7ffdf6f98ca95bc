"""The version of wavegen, and of the libraries that a result depends on."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

__version__ = "0.1.0"

LIBRARIES = ("torch", "torchaudio", "torchvision", "lightning", "numpy", "numba", "librosa", "soundfile", "av")


def version_line() -> str:
    """Returns the version with the commit, if that is known."""
    found = commit()
    return f"wavegen {__version__}" + (f" ({found[:12]})" if found else "")


@cache
def commit() -> str | None:
    """Returns the commit of the source checkout that this runs from; None for an installed package."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists() or not (root / "pyproject.toml").is_file():
        return None
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() or None


def software() -> dict[str, str | None]:
    """Returns the versions of wavegen, Python and the libraries, for the files that a run writes."""
    versions: dict[str, str | None] = {
        "wavegen": __version__,
        "commit": commit(),
        "python": platform.python_version(),
    }
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return versions
