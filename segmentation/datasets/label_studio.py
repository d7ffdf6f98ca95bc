"""Label Studio's own JSON files, which hold annotations that only its exports turn into masks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_HEAD = 2**22  # bytes, in which the first result of a file ends: run lengths come before their kind
_EXAMINED = 3  # JSON files of a folder
_KINDS = {b'"brushlabels"': "Brush labels to COCO", b'"polygonlabels"': "COCO"}


def label_studio_remedy(root: Path) -> str | None:
    """Returns which export to take, if a folder or one in it holds tasks of Label Studio; else None.

    Args:
        root: folder of a data set without masks.
    """
    for path in _json_files(root):
        try:
            with path.open("rb") as file:
                head = file.read(_HEAD)
        except OSError:
            continue
        export = next((export for kind, export in _KINDS.items() if kind in head and b'"result"' in head), None)
        if export is not None:
            return (
                f"{path} holds tasks of Label Studio, which are not masks; export the project there as '{export}', "
                f"unpack that as {root / 'result.json'} and put the images into {root / 'images'}"
            )
    return None


def _json_files(root: Path) -> Iterator[Path]:
    for folder in (root, *sorted(path for path in root.iterdir() if path.is_dir())):
        yield from sorted(path for path in folder.glob("*.json") if path.is_file())[:_EXAMINED]
