"""A file of the data where a command takes a model: most likely, two arguments are swapped."""

from __future__ import annotations

import shlex
from pathlib import Path

from wavenet_app.core.errors import UserError
from wavenet_app.core.suffixes import IMAGE_SUFFIXES, RECORDING_SUFFIXES

IMAGE, RECORDING, FRAMES = "an image", "a recording", "an array"
_SUFFIXES = {IMAGE: IMAGE_SUFFIXES, RECORDING: RECORDING_SUFFIXES, FRAMES: frozenset({".npy", ".npz"})}


def refuse_data_as_model(name: str | None, usage: str, *taken: str) -> None:
    """Raises a UserError if the name of a model is that of an image, a recording or an array, by its suffix.

    Args:
        name: of the model; None for the newest run.
        usage: the command without its name, up to the file that it takes, such as "vocode MODEL".
        taken: kinds of file that the command takes.
    """
    if name is None or Path(name).is_dir():
        return
    suffix = Path(name).suffix.lower()
    for kind, suffixes in _SUFFIXES.items():
        if suffix not in suffixes:
            continue
        if kind in taken:
            raise UserError(f"{name} is {kind}; the model comes first: wavegen {usage} {shlex.quote(name)}")
        raise UserError(f"{name} is {kind}, not a model; the model comes first: wavegen {usage} ...")
