"""Which file a DeepLab's name stands for, and whether a file is a DeepLab or a WaveNet."""

from __future__ import annotations

from pathlib import Path

from wavenet_app.core.checkpoint import read_plain
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.core.runs import BEST, first_file, places_of, run_names

PREFIXES = ("deeplab_v3plus_", "deeplab_v3_")


def find_pretrained(name: str, data: DataFolder) -> Path:
    """Returns the file that a name stands for: a path, or a deeplab_*.pth of the data folder, with or without prefix.

    Raises:
        UserError: there is no such file; the message lists the known names.
    """
    path = first_file(Path(name), *_pretrained_places(name, data))
    if path is not None:
        return path
    known = _pretrained_names(data)
    listed = f"there are: {', '.join(known)}" if known else f"there are no deeplab_*.pth in {data.pretrained}"
    raise UserError(f"no trained DeepLab is called '{name}'; {listed}")


def find_segmenter(name: str, data: DataFolder) -> Path:
    """Returns the file that a name stands for: a file, a run's folder or name, or a deeplab_*.pth of data/pretrained.

    Raises:
        UserError: there is no such file; the message lists the known names.
    """
    path = first_file(*places_of(name, data.segmentation_runs, BEST), *_pretrained_places(name, data))
    if path is not None:
        return path
    known = run_names(data.segmentation_runs, BEST) + _pretrained_names(data)
    listed = f"there are: {', '.join(known)}" if known else "none is there yet; make one with: wavegen seg-train"
    raise UserError(f"no segmentation checkpoint is called '{name}'; {listed}")


def find_of_either_half(name: str, data: DataFolder) -> Path | None:
    """Returns the file that a name stands for, of a WaveNet's run or a DeepLab's: a path, a run's folder or name."""
    return first_file(*places_of(name, data.checkpoints, BEST), *places_of(name, data.segmentation_runs, BEST))


def holds_deeplab(path: Path) -> bool:
    """Returns whether a file is a DeepLab's, by its name or because it is no WaveNet's.

    Raises:
        UserError: the file cannot be read.
    """
    if path.name.startswith(PREFIXES):
        return True
    content = read_plain(path)
    return not (isinstance(content, dict) and content.get("format") == "wavegen-wavenet")


def is_deeplab(name: str, data: DataFolder) -> bool:
    """Returns whether a name stands for the file of a DeepLab.

    Raises:
        UserError: there is a file of that name, but it cannot be read.
    """
    path = find_of_either_half(name, data)
    if path is not None:
        return holds_deeplab(path)
    try:
        find_pretrained(name, data)
    except UserError:
        return False
    return True


def _pretrained_places(name: str, data: DataFolder) -> list[Path]:
    """Returns where a trained DeepLab of that name may lie in the data folder, with or without its prefix."""
    stem = name.removesuffix(".pth")
    return [data.pretrained / f"{prefix}{stem}.pth" for prefix in ("", *PREFIXES)]


def _pretrained_names(data: DataFolder) -> list[str]:
    return sorted(path.stem for prefix in PREFIXES for path in data.pretrained.glob(f"{prefix}*.pth"))
