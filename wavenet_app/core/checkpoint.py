"""Safe reading and writing of checkpoints of any model: tensors and plain values, whole or not at all."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from wavenet_app.core.content import Content, checked
from wavenet_app.core.errors import UserError
from wavenet_app.core.files import write_whole
from wavenet_app.core.names import name_problem
from wavenet_app.core.shown import shown
from wavenet_app.core.tensor_file import read_tensors
from wavenet_app.core.tensors import not_finite
from wavenet_app.core.version import software

FORMAT_VERSION = 1

_NOT_EXPORTED = ("training", "split", "format", "version")


def write_checkpoint(path: Path, kind: str, content: dict[str, Any]) -> None:
    """Writes `content` so that `path` is at every moment absent, the old file, or the whole new one.

    Args:
        path: where the file goes; its folder is made.
        kind: of model, such as "wavenet"; `read_checkpoint` takes the same.
        content: tensors, numbers, texts, None, and lists and dicts of these.

    Raises:
        UserError: the disk is full or the folder cannot be written; the old file is still there.
    """
    import torch

    whole = io.BytesIO()  # torch's own file writer hides the reason of a failure
    torch.save({"format": f"wavegen-{kind}", "version": FORMAT_VERSION, "software": software(), **content}, whole)
    write_whole(path, whole.getvalue())


def read_checkpoint(path: Path, kind: str, schema: type[Content] = Content) -> dict[str, Any]:
    """Returns what `write_checkpoint` wrote, tensors on the CPU. Nothing in the file is ever executed.

    Args:
        path: the file.
        kind: what the checkpoint must be, such as "wavenet".
        schema: what a checkpoint of that kind must hold.

    Returns:
        The content, with the schema's defaults for absent fields.

    Raises:
        UserError: the file is absent, damaged, of another kind or a newer version, does not fit the schema, or holds
            anything but tensors and plain values, or NaN or infinity in a tensor.
    """
    content = read_plain(path)
    refuse_other_format(path, kind, content.get("format") if isinstance(content, dict) else None)
    refuse_newer(path, content.get("version"))
    valid = checked(path, schema, content)
    refuse_not_finite(path, valid)
    return valid


def refuse_other_format(path: Path, kind: str, found: Any) -> None:
    """Raises a UserError if the format that a file names is not that of a kind of checkpoint."""
    if not isinstance(found, str) or found != f"wavegen-{kind}":
        raise UserError(f"{path} is not a wavegen {kind} checkpoint (its format is {shown(found)})")


def refuse_newer(path: Path, version: Any) -> None:
    """Raises a UserError if a file is of a newer version than this program reads."""
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise UserError(f"{path} was written by a newer wavegen (format {shown(version)}); upgrade to read it")


def refuse_not_finite(path: Path, content: Any) -> None:
    """Raises a UserError if a tensor that was read from `path` holds NaN or infinity."""
    ruined = not_finite(content)
    if ruined is not None:
        raise UserError(f"{path} holds NaN or infinity in {ruined}; take another checkpoint, or train again")


def read_plain(path: Path) -> Any:
    """Returns what any program wrote with `torch.save`, tensors on the CPU. Nothing in the file is ever executed.

    Raises:
        UserError: the file is absent, damaged, cut short, or holds anything but tensors and plain values.
    """
    if not path.is_file():
        raise UserError(f"there is no checkpoint {path}")
    return read_tensors(path)


def write_exported(path: Path, kind: str, content: dict[str, Any]) -> None:
    """Writes a checkpoint without its training state, for use and for sharing.

    Args:
        path: where the file goes.
        kind: as `write_checkpoint` takes it.
        content: what `read_checkpoint` returned.

    Raises:
        UserError: the file cannot be written.
    """
    write_checkpoint(path, kind, {key: value for key, value in content.items() if key not in _NOT_EXPORTED})


def export_name(name: str) -> str:
    """Returns the name of an exported file, which must not hold a folder.

    Raises:
        UserError: it is no name of a file.
    """
    problem = name_problem(name)
    if problem is not None:
        raise UserError(f"--name {shown(name)} {problem}")
    return name
