"""Finds the audio files in given folders and files, and counts all other files."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from wavenet_app.audio.decoding import AUDIO_SUFFIXES, UNDECODABLE_SUFFIXES
from wavenet_app.core.errors import UserError
from wavenet_app.core.walk import walk


@dataclass(frozen=True)
class Sources:
    """What a scan found.

    Attributes:
        files: pairs of (root, file): the given folder, or the parent of a given file, and the audio file.
        others: suffix -> number of files that are not audio.
        unlisted: folders that cannot be listed, with the reason.
    """

    files: tuple[tuple[Path, Path], ...]
    others: dict[str, int]
    unlisted: tuple[tuple[Path, str], ...]

    @property
    def remark(self) -> str | None:
        """A sentence that counts the files that are not audio, or None if there are none.

        >>> Sources((), {".txt": 10, ".json": 2}, ()).remark
        '12 files are not audio: .txt 10, .json 2'
        """
        count = sum(self.others.values())
        if not count:
            return None
        kinds = sorted(self.others.items(), key=lambda item: (-item[1], item[0]))
        listed = ", ".join(f"{suffix or 'no suffix'} {number}" for suffix, number in kinds[:8])
        return f"{count} {'file is' if count == 1 else 'files are'} not audio: {listed}{', ...' if kinds[8:] else ''}"


def scan_sources(paths: Sequence[Path]) -> Sources:
    """Finds the audio files in folders, at any depth.

    Files come in the order of `paths`, sorted within each. A file that is reached twice, through a link or because it
    is given twice, counts once; a link back to a folder is not followed again. Inside folders, names that start with a
    dot are ignored. A file that is given directly is accepted with any suffix.

    Raises:
        UserError: a path does not exist.
    """
    files: list[tuple[Path, Path]] = []
    others: Counter[str] = Counter()
    unlisted: list[tuple[Path, str]] = []
    seen_files: set[str] = set()
    seen_folders: set[tuple[int, int]] = set()
    for path in paths:
        try:
            is_folder = stat.S_ISDIR(path.stat().st_mode)
        except OSError as error:
            raise UserError(f"there is no file or folder {path} ({(error.strerror or str(error)).lower()})") from None
        if is_folder:
            found: Iterator[tuple[Path, Path]] = (
                (path, file) for file in walk(path, lambda *note: unlisted.append(note), seen_folders)
            )
        else:
            found = iter([(path.parent, path)])
        for root, file in found:
            suffix = file.suffix.lower()
            if file != path and suffix not in AUDIO_SUFFIXES | UNDECODABLE_SUFFIXES:
                others[suffix] += 1
            elif (identity := os.path.realpath(file)) not in seen_files:
                seen_files.add(identity)
                files.append((root, file))
    return Sources(tuple(files), dict(others), tuple(unlisted))
