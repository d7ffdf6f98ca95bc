"""Compares a data set on disk with what it must hold: counts, pairs, and files that are empty or cut."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from wavenet_app.core.terminal import MoveBar
from wavenet_app.downloads.data_set import Count, DataSet

_MAGIC = {".jpg": b"\xff\xd8", ".png": b"\x89PNG\r\n\x1a\n", ".wav": b"RIFF", ".flac": b"fLaC", ".mat": b"MATLAB"}
_PNG_END = b"IEND\xaeB`\x82"
_STREAMED = 0xFFFFFFFF  # what a WAV says of its length if it does not know it


@dataclass(frozen=True)
class Verdict:
    """What was found in one folder.

    Attributes:
        folder: below the data folder.
        ending: of the files' names.
        found: how many there are.
        expected: how many there must be; None if it is not published.
        unpaired: files without their partner.
        broken: files that are empty, cut or of another kind, each with the reason.
    """

    folder: str
    ending: str
    found: int
    expected: int | None
    unpaired: tuple[str, ...]
    broken: tuple[tuple[str, str], ...]

    @property
    def good(self) -> bool:
        """Whether all is there and readable."""
        return bool(self.found) and self.expected in (None, self.found) and not self.unpaired and not self.broken


def verify(one: DataSet, root: Path, move: MoveBar) -> list[Verdict]:
    """Returns a verdict on each folder of a data set, optional parts only where they are present."""
    parts = {archive.part for archive in one.present(root)}
    counts = [count for count in one.counts if not count.part or count.part in parts]
    return [_verdict(count, root, move) for count in counts]


def _verdict(count: Count, root: Path, move: MoveBar) -> Verdict:
    folder = root / count.folder
    files = _files(folder, count.ending)
    partners = set(_stems(root / count.partner, count.partner_ending)) if count.partner else set()
    unpaired, broken = [], []
    for done, path in enumerate(files, 1):
        name = path.relative_to(folder).as_posix()
        if count.partner and name.removesuffix(count.ending) not in partners:
            unpaired.append(name)
        reason = damage(path)
        if reason:
            broken.append((name, reason))
        move(done, len(files))
    return Verdict(count.folder, count.ending, len(files), count.number, tuple(unpaired), tuple(broken))


def _files(folder: Path, ending: str) -> list[Path]:
    return sorted(path for path in folder.rglob(f"*{ending}") if not path.name.startswith("."))


def _stems(folder: Path, ending: str) -> list[str]:
    return [path.relative_to(folder).as_posix().removesuffix(ending) for path in _files(folder, ending)]


def damage(path: Path) -> str | None:
    """Returns why a file cannot be whole, from its first and last bytes; None if nothing is wrong with it."""
    check: Callable[[bytes, bytes, int], str | None] | None = {".png": _png, ".wav": _wav}.get(path.suffix)
    magic = _MAGIC.get(path.suffix, b"")
    try:
        with path.open("rb") as file:
            start = file.read(64)
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 64))
            end = file.read()
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    if not size:
        return "is empty"
    if not start.startswith(magic):
        return f"is no {path.suffix[1:].upper()} file"
    return check(start, end, size) if check else None


def _png(_start: bytes, end: bytes, _size: int) -> str | None:
    return None if _PNG_END in end else "ends too early"


def _wav(start: bytes, _end: bytes, size: int) -> str | None:
    announced = int.from_bytes(start[4:8], "little")
    return "ends too early" if announced != _STREAMED and announced + 8 > size + 1 else None
