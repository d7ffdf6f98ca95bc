"""Finds the audio files in given folders and files, and counts all other files."""

from __future__ import annotations

import os
import shlex
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from wavenet_app.audio.decoding import AUDIO_SUFFIXES, UNDECODABLE_SUFFIXES
from wavenet_app.core.data_folder import elsewhere
from wavenet_app.core.errors import UserError
from wavenet_app.core.near import did_you_mean_path
from wavenet_app.core.suffixes import IMAGE_SUFFIXES
from wavenet_app.core.walk import walk

PLAYLIST_SUFFIXES = frozenset({".m3u", ".m3u8", ".pls", ".cue", ".xspf", ".asx", ".wpl"})


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
        UserError: a path does not exist, or is a playlist.
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
            raise UserError(_absent(path, error)) from None
        if is_folder:
            found: Iterator[tuple[Path, Path]] = (
                (path, file) for file in walk(path, lambda *note: unlisted.append(note), seen_folders)
            )
        elif path.suffix.lower() in PLAYLIST_SUFFIXES:
            raise UserError(f"{path} is a playlist; give the folder of its files")
        else:
            found = iter([(path.parent, path)])
        for root, file in found:
            suffix = file.suffix.lower()
            if file != path and not is_audio(file):
                others[suffix] += 1
            elif (identity := os.path.realpath(file)) not in seen_files:
                seen_files.add(identity)
                files.append((root, file))
    return Sources(tuple(files), dict(others), tuple(unlisted))


def is_audio(file: Path) -> bool:
    """Returns whether a file has the suffix of audio, decodable or not."""
    return file.suffix.lower() in AUDIO_SUFFIXES | UNDECODABLE_SUFFIXES


def no_audio_in(paths: Sequence[Path], sources: Sources, reason: str | None = None) -> str:
    """Returns what to say of paths that hold no audio, and what to give instead.

    Args:
        paths: as the user gave them.
        sources: what is there.
        reason: why files cannot be used, where the scan counts none that is not audio.
    """
    given = ", ".join(map(str, paths))
    found = set(sources.others)
    what = sources.remark or reason or "there are no files"
    if found and found <= PLAYLIST_SUFFIXES:
        return f"no audio in {given}: a playlist; give the folder of its files"
    if found & IMAGE_SUFFIXES:
        return f"no audio in {given}: {what}; pictures are checked with: wavegen seg-check {shlex.quote(str(paths[0]))}"
    return f"no audio in {given}: {what}; give a folder of WAV, FLAC, OGG, MP3 or other audio files"


def _absent(path: Path, error: OSError) -> str:
    known = isinstance(error, FileNotFoundError)
    why = "" if known else f" ({(error.strerror or str(error)).lower()})"
    return f"there is no file or folder {path}{why}{elsewhere(path)}{did_you_mean_path(path) if known else ''}"
