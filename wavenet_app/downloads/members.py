"""The files in an archive, refused if one would leave its folder or is no plain file."""

from __future__ import annotations

import gzip
import lzma
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, BinaryIO

from wavenet_app.core.errors import UserError
from wavenet_app.core.text import without_control_characters

_DRIVE = re.compile(r"[A-Za-z]:")
_SHOWN = 80
_DAMAGES = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, lzma.LZMAError, gzip.BadGzipFile, NotImplementedError,
    UnicodeError,
)  # fmt: skip


@dataclass(frozen=True)
class Member:
    """One file of an archive.

    Attributes:
        path: below the folder that it is unpacked into.
        file: its content.
    """

    path: PurePosixPath
    file: IO[bytes]


def members(file: BinaryIO, name: str, strip: int) -> Iterator[Member]:
    """Yields the files of a tar or zip archive; folders are left out, and so is what macOS adds.

    Args:
        file: the archive.
        name: of the archive, for errors.
        strip: how many leading folders to drop.

    Raises:
        UserError: it is damaged or no archive, or a member would leave the folder, is a link or device, or is locked.
    """
    with refused_damage(name):
        listed = _of_zip(file, name) if name.endswith(".zip") else _of_tar(file, name)
        for text, content in listed:
            path = safe_path(text, name, strip)
            if path is not None:
                yield Member(path, content)


@contextmanager
def refused_damage(name: str) -> Iterator[None]:
    """Turns what the readers of archives raise into a UserError of one line."""
    try:
        yield
    except _DAMAGES as error:
        reason = without_control_characters(str(error)).replace("\n", " ")[:_SHOWN] or "it ends too early"
        raise UserError(f"{name} is damaged or no archive ({reason}); get it again") from None
    except OSError as error:
        if error.errno is None:  # what bz2 says of other data
            raise UserError(f"{name} is damaged or no archive ({error}); get it again") from None
        raise


def safe_path(text: str, name: str, strip: int) -> PurePosixPath | None:
    """Returns the path of a member below its folder; None if nothing is left of it or macOS added it.

    Raises:
        UserError: it is absolute, has a drive letter, or leads out of the folder.

    >>> safe_path("./a-1.0/b/c.wav", "a.tar", 1)
    PurePosixPath('b/c.wav')
    """
    reason = None
    if text.startswith("/"):
        reason = "is absolute"
    elif "\\" in text or _DRIVE.match(text) or "\0" in text:
        reason = "has a drive letter, a backslash or a zero byte"
    elif ".." in text.split("/"):
        reason = "leads out of the folder"
    if reason:
        raise _refused(text, reason, name)
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if len(parts) <= strip or "__MACOSX" in parts or parts[-1].startswith("._"):
        return None
    return PurePosixPath(*parts[strip:])


def _refused(text: str, reason: str, name: str) -> UserError:
    return UserError(f"{name} is refused: its member '{without_control_characters(text)[:_SHOWN]}' {reason}")


def _of_tar(file: BinaryIO, name: str) -> Iterator[tuple[str, IO[bytes]]]:
    with tarfile.open(fileobj=file, mode="r:*") as archive:
        for member in archive:
            if member.isdir():
                safe_path(member.name, name, 0)
                continue
            if member.issym() or member.islnk():
                raise _refused(member.name, "is a link", name)
            if not member.isfile():
                raise _refused(member.name, "is a device or another special file", name)
            content = archive.extractfile(member)
            assert content is not None
            yield member.name, content
            archive.members = []  # type: ignore[attr-defined]  # or the headers of 100,000 files pile up


def _of_zip(file: BinaryIO, name: str) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            kind = stat.S_IFMT(member.external_attr >> 16)
            if stat.S_ISLNK(kind):
                raise _refused(member.filename, "is a link", name)
            if kind and not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
                raise _refused(member.filename, "is a device or another special file", name)
            if member.is_dir():
                safe_path(member.orig_filename, name, 0)
                continue
            if member.flag_bits & 1:
                raise _refused(member.filename, "needs a password", name)
            with archive.open(member) as content:
                yield member.orig_filename, content
