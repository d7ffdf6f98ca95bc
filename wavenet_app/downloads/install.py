"""Unpacks an archive beside the place where its content belongs, and moves it there once it is whole."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from wavenet_app.core.errors import UserError
from wavenet_app.core.published import in_bytes
from wavenet_app.downloads.data_set import Archive
from wavenet_app.downloads.members import members, refused_damage
from wavenet_app.downloads.records import Content

_BLOCK = 1 << 18
_MOST_FILES = 2_000_000


def install(archive: Archive, file: BinaryIO, root: Path, move: Callable[[int, int], None]) -> Content:
    """Unpacks an archive into the data folder; nothing of it is left there if that fails.

    Args:
        archive: what it is.
        file: its bytes.
        root: the data folder.
        move: shows the progress, in bytes of the content.

    Returns:
        What was unpacked.

    Raises:
        UserError: the archive is damaged, hostile or another one, or the disk is full.
    """
    beside = staging(archive, root)
    sweep(archive, root)
    try:
        try:
            beside.mkdir(parents=True)
            content = _unpack(archive, file, beside, move)
            _move(archive, beside, root)
        except OSError as error:
            place = archive.place(root)
            raise UserError(
                f"cannot unpack {archive.name} to {place}: {error.strerror or error}; free some space or choose "
                "another folder with --data-dir"
            ) from None
        return content
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        remove_empty(beside.parent, root)


def staging(archive: Archive, root: Path) -> Path:
    """Returns the folder that an archive is unpacked into at first, on the disk where it belongs."""
    target = root / archive.folder
    parent = target if archive.product else target.parent
    return parent / f".{archive.name}.unpacking"


def sweep(archive: Archive, root: Path) -> None:
    """Removes what a killed process has left half unpacked."""
    shutil.rmtree(staging(archive, root), ignore_errors=True)


def remove_empty(folder: Path, root: Path) -> None:
    """Removes a folder below the data folder if nothing is in it, and then those above it."""
    while folder != root and folder.is_relative_to(root):
        try:
            folder.rmdir()
        except FileNotFoundError:
            pass
        except OSError:
            return
        folder = folder.parent


def _unpack(archive: Archive, file: BinaryIO, beside: Path, move: Callable[[int, int], None]) -> Content:
    total = files = 0
    for member in members(file, archive.name, archive.strip):
        path = beside.joinpath(*member.path.parts)
        files += 1
        if files > _MOST_FILES:
            raise UserError(f"{archive.name} is refused: it has more than {_MOST_FILES:,} members")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            target = path.open("xb")
        except (FileExistsError, NotADirectoryError):
            raise UserError(f"{archive.name} is refused: it has the member '{member.path}' twice") from None
        with target, refused_damage(archive.name):
            while block := member.file.read(_BLOCK):
                total += len(block)
                if total > archive.most_unpacked:
                    raise UserError(
                        f"{archive.name} is refused: it unpacks to more than {in_bytes(archive.most_unpacked)}, but "
                        f"about {in_bytes(archive.unpacked)} are expected"
                    )
                target.write(block)
            move(total, max(total, archive.unpacked))
    product = beside / archive.product
    if not product.is_dir() or not files:
        found = ", ".join(sorted(path.name for path in beside.iterdir())[:4]) or "nothing"
        raise UserError(f"{archive.name} is refused: it has no {archive.product or 'files'}, but {found}")
    return Content(files, total)


def _move(archive: Archive, beside: Path, root: Path) -> None:
    """Moves what was unpacked to where it belongs; the product last, since its presence says that all is there."""
    target = root / archive.folder
    if not archive.product:
        if target.is_dir() and not any(target.iterdir()):
            target.rmdir()
        beside.rename(target)
        return
    product = beside / archive.product
    for path in [*_beside(beside, archive.product), product]:
        place = target / path.relative_to(beside)
        if path == product and place.is_dir() and not any(place.iterdir()):
            place.rmdir()
        if place.exists() and path != product:
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        path.rename(place)


def _beside(folder: Path, product: str) -> list[Path]:
    """Returns what lies beside a product and the folders that it is in."""
    first, _, rest = product.partition("/")
    others = [path for path in sorted(folder.iterdir()) if path.name != first]
    return others + (_beside(folder / first, rest) if rest else [])
