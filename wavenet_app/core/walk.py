"""The files of a folder and its sub-folders, through links too, however they are tied together."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path


def walk(
    folder: Path,
    on_unlisted: Callable[[Path, str], None] = lambda _folder, _reason: None,
    seen: set[tuple[int, int]] | None = None,
) -> Iterator[Path]:
    """Yields the files below a folder, sorted in each folder, without names that start with a dot.

    Links to folders are followed, and each folder is entered once, so that links in a circle end.

    Args:
        folder: where to start.
        on_unlisted: called with a folder that cannot be listed, and the reason.
        seen: device and inode of the folders entered before, for several walks that share them; it is added to.
    """
    seen = set() if seen is None else seen
    try:
        status = folder.stat()
        if (status.st_dev, status.st_ino) in seen:
            return
        seen.add((status.st_dev, status.st_ino))
        # Links last, so a file keeps its own name even if links lead to it.
        entries = sorted(os.scandir(folder), key=lambda entry: (entry.is_symlink(), entry.name))
    except OSError as error:
        on_unlisted(folder, f"the folder cannot be listed ({(error.strerror or str(error)).lower()})")
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        try:
            is_folder = entry.is_dir()
        except OSError:  # a link to itself
            is_folder = False
        if is_folder:
            yield from walk(folder / entry.name, on_unlisted, seen)
        else:
            yield folder / entry.name
