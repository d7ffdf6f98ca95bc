"""Files that appear whole or not at all."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from wavenet_app.core.errors import UserError

HOUR = 3_600.0
_PART = re.compile(r"\..{1,40}\.[0-9a-f]{32}\.part", re.DOTALL)  # what `replacing` makes


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Opens a temporary file beside `path` for writing, and moves it there only if the block ends without an error."""
    temporary = path.with_name(f".{path.name[:40]}.{uuid.uuid4().hex}.part")
    try:
        with temporary.open("xb") as file:
            yield file
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def sweep_parts(folder: Path, older_than: float = 0.0) -> None:
    """Deletes the temporary files that killed processes have left in a folder.

    Args:
        folder: may be missing.
        older_than: seconds; younger files may be those of a process that is still writing.
    """
    latest = time.time() - older_than
    for path in folder.glob(".*.part"):
        with suppress(OSError):
            if _PART.fullmatch(path.name) and path.stat().st_mtime <= latest:
                path.unlink()


def make_folder(folder: Path) -> None:
    """Makes a folder if it is missing; to call before long work, so that its results can be written.

    Raises:
        UserError: it cannot be made, or no file can be written in it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except FileExistsError:
        raise UserError(f"{folder} is a file, not a folder; choose another folder") from None
    except OSError as error:
        raise UserError(f"cannot write in {folder}: {error.strerror or error}; choose another folder") from None


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all, and makes its folder.

    It is flushed to the disk before it gets its name, so even a power failure leaves no partial file.

    Raises:
        UserError: the disk is full or the folder cannot be written; an old file of that name is still there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}; free some space or choose another folder") from None


def keep_as(path: Path, previous: Path) -> None:
    """Gives a file, if it is there, a second name in the same folder, in place of what had that name.

    Raises:
        UserError: the folder cannot be written.
    """
    temporary = previous.with_name(f".{previous.name[:40]}.{uuid.uuid4().hex}.part")
    try:
        try:
            os.link(path, temporary)
        except FileNotFoundError:
            return
        except OSError:  # a file system without links
            shutil.copyfile(path, temporary)
        temporary.replace(previous)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UserError(
            f"cannot write {previous}: {error.strerror}; free some space or choose another folder"
        ) from None


def write_json(path: Path, content: Any) -> None:
    """Writes plain values as indented JSON, whole or not at all; raises what `write_whole` does."""
    write_whole(path, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())
