"""Removes a data set from the data folder, with what its download has left."""

from __future__ import annotations

import shutil
from pathlib import Path

from wavenet_app.core.errors import UserError
from wavenet_app.downloads.data_set import Archive, DataSet
from wavenet_app.downloads.install import remove_empty, sweep
from wavenet_app.downloads.records import Content, counted, downloads_folder, record_path


def removable(one: DataSet, root: Path) -> Content:
    """Returns how much `remove` would delete, unfinished downloads and kept archives included."""
    folders = [counted(archive.place(root)) for archive in one.present(root)]
    files = [path for archive in one.archives for path in _downloaded(archive, root)]
    return Content(
        sum(content.files for content in folders) + len(files),
        sum(content.bytes for content in folders) + sum(path.stat().st_size for path in files),
    )


def remove(one: DataSet, root: Path) -> None:
    """Deletes what the archives of a data set created, and their downloads.

    A folder first gets another name, so that a removal that is interrupted leaves no data set that looks whole. A link
    is deleted, not what it leads to.

    Raises:
        UserError: something cannot be deleted.
    """
    try:
        for archive in one.archives:
            _remove_folder(archive.place(root))
            for path in _downloaded(archive, root):
                path.unlink(missing_ok=True)
            record_path(archive, root).unlink(missing_ok=True)
            sweep(archive, root)
            remove_empty(archive.place(root).parent, root)
    except OSError as error:
        raise UserError(f"cannot delete {error.filename}: {error.strerror or error}") from None


def _remove_folder(folder: Path) -> None:
    if folder.is_symlink():
        folder.unlink()
        return
    gone = folder.with_name(f".{folder.name}.removing")
    if gone.is_dir():
        shutil.rmtree(gone)
    if folder.is_dir():
        folder.rename(gone)
        shutil.rmtree(gone)


def _downloaded(archive: Archive, root: Path) -> list[Path]:
    folder = downloads_folder(root)
    names = (archive.name, f"{archive.name}.part", f"{archive.name}.part.json")
    return [folder / name for name in names if (folder / name).is_file()]
