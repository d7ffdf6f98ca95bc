"""Where the voices lie that ship with the package. Imports nothing, so that names are completed at once."""

from __future__ import annotations

import os
from pathlib import Path

VOICES_VARIABLE = "WAVEGEN_VOICES"
"""Environment variable that names a folder of voices to use in the place of the shipped ones."""

_SUFFIX = ".safetensors"


def voices_folder() -> Path:
    """Returns the folder of voices: the one that WAVEGEN_VOICES names, else the package's."""
    return Path(os.environ.get(VOICES_VARIABLE) or Path(__file__).resolve().parents[1] / "voices")


def voice_names() -> list[str]:
    """Returns the names of the voices, sorted."""
    return sorted(path.stem for path in voices_folder().glob(f"*{_SUFFIX}"))


def voice_path(name: str) -> Path | None:
    """Returns the file of a voice, None if none has that name."""
    return voices_folder() / f"{name}{_SUFFIX}" if name in voice_names() else None
