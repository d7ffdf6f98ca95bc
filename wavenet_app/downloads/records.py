"""What was unpacked from each archive, written down, so that a list need not count the files again."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from wavenet_app.core.files import write_json
from wavenet_app.downloads.data_set import Archive


@dataclass(frozen=True)
class Content:
    """Files of a folder.

    Attributes:
        files: how many.
        bytes: their size together.
        whole: whether all were counted.
    """

    files: int
    bytes: int
    whole: bool = True


def downloads_folder(root: Path) -> Path:
    """Returns the folder of unfinished downloads, kept archives and records."""
    return root / ".downloads"


def record_path(archive: Archive, root: Path) -> Path:
    """Returns the file that says what was unpacked from an archive."""
    return downloads_folder(root) / "installed" / f"{archive.name}.json"


def write_record(archive: Archive, root: Path, content: Content, checksum: str) -> None:
    """Writes down what was unpacked from an archive, and the checksum it had."""
    record = {"archive": archive.name, "files": content.files, "bytes": content.bytes, "checksum": checksum}
    write_json(record_path(archive, root), record)


def recorded(archive: Archive, root: Path) -> Content | None:
    """Returns what was written down when the archive was unpacked; None if nothing was."""
    try:
        record = json.loads(record_path(archive, root).read_bytes())
        return Content(int(record["files"]), int(record["bytes"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def files_and_bytes(archive: Archive, root: Path, most: int) -> Content:
    """Returns what was unpacked from an archive, as recorded, else counted up to `most` files."""
    return recorded(archive, root) or counted(archive.place(root), most)


def counted(folder: Path, most: int | None = None) -> Content:
    """Counts the files below a folder, hidden ones left out.

    Args:
        folder: where to count.
        most: files after which counting stops; None for no limit.
    """
    files = size = 0
    waiting = [str(folder)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                        continue
                    files, size = files + 1, size + entry.stat(follow_symlinks=False).st_size
                    if most is not None and files >= most:
                        return Content(files, size, whole=False)
        except OSError:
            continue
    return Content(files, size)
