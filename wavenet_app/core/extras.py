"""How an optional part of wavegen is installed, in the words that all commands use."""

from __future__ import annotations

import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]


def how_to_install(extra: str) -> str:
    """Returns what installs an optional part into the environment that runs wavegen, as docs/install.md has it.

    Args:
        extra: a name of [project.optional-dependencies], such as "studio".
    """
    if (_ROOT / "pyproject.toml").is_file():
        return f"install it with: uv sync --extra {extra}"
    # `uv tool` leaves this file in an environment, into which pip cannot install
    tool = "uv tool install" if (Path(sys.prefix) / "uv-receipt.toml").is_file() else "pip install"
    return f"install it in wavegen's source folder with: {tool} '.[{extra}]'"
