"""Gets data sets: asks, fetches, unpacks, one archive after the other."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.console import Console

from wavenet_app.core.errors import UserError
from wavenet_app.core.files import make_folder
from wavenet_app.core.options import SaidStop
from wavenet_app.core.published import in_bytes
from wavenet_app.core.run_lock import locked
from wavenet_app.downloads.data_set import Archive, DataSet
from wavenet_app.downloads.install import install, sweep
from wavenet_app.downloads.local import local_archive, refuse_absent
from wavenet_app.downloads.progress import transfer_bar
from wavenet_app.downloads.records import downloads_folder, write_record
from wavenet_app.downloads.transfer import Patience, fetch


@dataclass(frozen=True)
class GetRequest:
    """What to get, and how.

    Attributes:
        wanted: data sets, each with the archives of it.
        source: folder of archives that are here already; None to download them.
        yes: whether to get them without asking.
        dry_run: whether only to say what would be done.
        keep_archive: whether to keep the archives after unpacking.
    """

    wanted: Sequence[tuple[DataSet, tuple[Archive, ...]]]
    source: Path | None = None
    yes: bool = False
    dry_run: bool = False
    keep_archive: bool = False


def run_get(request: GetRequest, root: Path, console: Console, patience: Patience | None = None) -> None:
    """Gets data sets into the data folder.

    Args:
        request: what to get.
        root: the data folder.
        console: where to print.
        patience: with slow or failing servers.

    Raises:
        UserError: one needs registration, the disk is too small, another process is getting it, or it cannot be had.
    """
    for one, archives in request.wanted:
        if any(not archive.urls for archive in archives) and request.source is None and _absent(archives, root):
            raise UserError(one.registration)
    for one, archives in request.wanted:
        missing = _absent(archives, root)
        if not missing:
            console.print(f"{one.name} is here already. Check it: wavegen data verify {one.name}", soft_wrap=True)
            continue
        if request.source is not None:
            refuse_absent(missing, request.source)
        _announce(one, missing, request, root, console)
        if request.dry_run:
            continue
        if not request.yes:
            _ask(one)
        with _terminated_like_ctrl_c(), _lock(one, root):
            _check_disk(missing, request, root)
            for archive in missing:
                if _absent([archive], root):  # another process may have got it meanwhile
                    _get_archive(archive, request, root, console, patience)
        console.print(f"{one.name} is ready. Next: {one.next_command}", soft_wrap=True)


def _absent(archives: Sequence[Archive], root: Path) -> tuple[Archive, ...]:
    return tuple(archive for archive in archives if not _filled(archive.place(root)))


def _filled(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def _announce(one: DataSet, missing: Sequence[Archive], request: GetRequest, root: Path, console: Console) -> None:
    size = sum(archive.size for archive in missing)
    unpacked = sum(archive.unpacked for archive in missing)
    how = f"from {request.source}" if request.source else f"{in_bytes(size)} to download"
    console.print(f"{one.title}: {how}, {in_bytes(unpacked)} unpacked. {one.licence}", soft_wrap=True)
    if request.dry_run:
        for archive in missing:
            source = request.source or archive.urls[0]
            console.print(f"  {archive.name} from {source} to {archive.place(root)}", soft_wrap=True)


def _ask(one: DataSet) -> None:
    if not confirmed(f"Get {one.name}?", f"add --yes to get {one.name} without being asked"):
        raise typer.Exit(1)


def confirmed(question: str, otherwise: str) -> bool:
    """Asks a question in the terminal; returns whether the answer is yes.

    Raises:
        UserError: nobody is there to ask, and the message says what to add.
    """
    if not sys.stdin.isatty():
        raise UserError(otherwise)
    return typer.confirm(question, default=False)


@contextmanager
def _terminated_like_ctrl_c() -> Iterator[None]:
    """Ends the block with SystemExit if the process is asked to terminate, so that it cleans up."""

    def end(*_: object) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _lock(one: DataSet, root: Path) -> Iterator[None]:
    """Lets one process at a time get a data set.

    Raises:
        UserError: another one does, or nothing can be written.
    """
    folder = downloads_folder(root)
    make_folder(folder)
    path = folder / f"{one.name}.lock"
    try:
        descriptor = locked(path)
    except BlockingIOError:
        raise UserError(f"another process is getting {one.name}; wait until it ends") from None
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _check_disk(missing: Sequence[Archive], request: GetRequest, root: Path) -> None:
    """Raises a UserError if the disk cannot take what is missing of the archives and what they unpack to."""
    folder = downloads_folder(root)
    kept = peak = 0
    elsewhere: dict[Path, int] = {}
    for archive in missing:
        sweep(archive, root)
        download = 0
        if request.source is None:
            here = max((path.stat().st_size for path in _arrived(archive, folder)), default=0)
            download = max(0, archive.size - here)
        unpacked, target = archive.unpacked, _existing(archive.place(root))
        if target.stat().st_dev != folder.stat().st_dev:  # such as a link to a larger disk
            elsewhere[target] = elsewhere.get(target, 0) + unpacked
            unpacked = 0
        peak = max(peak, kept + download + unpacked)
        kept += unpacked + (download if request.keep_archive else 0)
    for place, needed in {folder: max(peak, kept), **elsewhere}.items():
        _refuse_small_disk(place, needed)


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.absolute().parents) if folder.exists())


def _refuse_small_disk(place: Path, needed: int) -> None:
    free = shutil.disk_usage(place).free
    if free < needed:
        raise UserError(
            f"the disk of {place} has {in_bytes(free)} free, but {in_bytes(needed)} are needed for the archive and "
            "what it unpacks to; free some space or choose another folder with --data-dir"
        )


def _arrived(archive: Archive, folder: Path) -> list[Path]:
    names = (archive.name, f"{archive.name}.part")
    return [folder / name for name in names if (folder / name).is_file()]


def _get_archive(
    archive: Archive, request: GetRequest, root: Path, console: Console, patience: Patience | None
) -> None:
    if request.source is not None:
        with transfer_bar(console, f"unpacking {archive.name}") as move:
            with local_archive(archive, request.source) as (file, checksum):
                content = install(archive, file, root, move)
            write_record(archive, root, content, checksum)
        return
    folder = downloads_folder(root)
    try:
        with transfer_bar(console, archive.name) as move:
            path, checksum = fetch(archive, folder, move, patience)
    except KeyboardInterrupt:
        console.print(f"{archive.name} is not complete; the same command resumes", soft_wrap=True)
        raise SaidStop from None
    try:
        with transfer_bar(console, f"unpacking {archive.name}") as move, path.open("rb") as file:
            content = install(archive, file, root, move)
        write_record(archive, root, content, checksum)
    except UserError:
        if not archive.checksum:
            path.unlink(missing_ok=True)  # nothing says that it is the published one
        raise
    if not request.keep_archive:
        path.unlink(missing_ok=True)
