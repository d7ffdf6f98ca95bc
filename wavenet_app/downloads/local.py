"""Archives that the user has downloaded, also inside other zip files."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from wavenet_app.core.errors import UserError
from wavenet_app.downloads.checksum import Checksum
from wavenet_app.downloads.data_set import Archive
from wavenet_app.downloads.transfer import refuse_web_page


@contextmanager
def local_archive(archive: Archive, folder: Path) -> Iterator[tuple[BinaryIO, str]]:
    """Opens an archive in a folder, or inside a zip file there; yields it with its checksum.

    Raises:
        UserError: it is not there, or it is not what was published.
    """
    with _opened(archive, folder) as (file, where):
        refuse_web_page(file.read(200), where)
        file.seek(0)
        checksum = Checksum(archive.checksum)
        size = checksum.add_file(file)
        file.seek(0)
        if archive.exact and size != archive.size:
            raise UserError(f"{where} has {size:,} bytes, but {archive.size:,} were published; download it again")
        if not checksum.agrees:
            raise UserError(f"{where} has a wrong checksum: another file than was published; download it again")
        yield file, checksum.text


@contextmanager
def _opened(archive: Archive, folder: Path) -> Iterator[tuple[BinaryIO, str]]:
    if not folder.exists():
        raise UserError(f"there is no folder {folder}; name the one with {archive.name}")
    files = [folder] if folder.is_file() else sorted(path for path in folder.rglob("*") if path.is_file())
    for path in files:
        if path.name == archive.name:
            with path.open("rb") as file:
                yield file, str(path)
            return
    for path in files:
        if path.suffix.lower() == ".zip" and zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as outer:
                for name in outer.namelist():
                    if name.rpartition("/")[2] == archive.name:
                        with outer.open(name) as inner:
                            yield cast("BinaryIO", inner), f"{path}/{name}"
                        return
    raise UserError(f"{archive.name} is not in {folder}, nor inside a zip file there; download it")


def refuse_absent(archives: Sequence[Archive], folder: Path) -> None:
    """Raises a UserError if a folder lacks one of several archives, before the first one is unpacked."""
    for archive in archives:
        with _opened(archive, folder):
            pass
