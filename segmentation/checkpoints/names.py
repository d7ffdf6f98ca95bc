"""Which file a DeepLab's name stands for, and whether a file is a DeepLab or a WaveNet."""

from __future__ import annotations

import shlex
from pathlib import Path

from wavenet_app.core.checkpoint import read_plain
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.core.runs import BEST, first_file, places_of, refuse_of_other_half, run_names
from wavenet_app.core.safetensors_file import SUFFIX, read_parts
from wavenet_app.core.text import did_you_mean

PREFIXES = ("deeplab_v3plus_", "deeplab_v3_")
SUFFIXES = (".pth", SUFFIX)


def find_pretrained(name: str, data: DataFolder) -> Path:
    """Returns the file that a name stands for: a path, or a deeplab_*.pth of the data folder, with or without prefix.

    Raises:
        UserError: there is no such file, and the message lists the known names; or a short name fits more than one.
    """
    path = first_file(Path(name)) or _pretrained(name, data)
    if path is not None:
        return path
    known = _pretrained_names(data)
    listed = f"there are: {', '.join(known)}" if known else f"there are no deeplab_*.pth in {data.pretrained}"
    raise UserError(f"no trained DeepLab is called '{name}'; {listed}")


def find_segmenter(name: str, data: DataFolder) -> Path:
    """Returns the file that a name stands for: a file, a run's folder or name, or a deeplab_*.pth of data/pretrained.

    Raises:
        UserError: there is no such file, and the message lists the known names; or a short name fits more than one.
    """
    path = first_file(*places_of(name, data.segmentation_runs, BEST)) or _pretrained(name, data)
    if path is not None:
        return path
    audio_run = f"an audio run; use it with: wavegen sample {shlex.quote(name)}"
    refuse_of_other_half(name, data.segmentation_runs, data.checkpoints, BEST, audio_run)
    known = run_names(data.segmentation_runs, BEST) + _pretrained_names(data)
    listed = f"there are: {', '.join(known)}" if known else "none is there yet; make one with: wavegen seg-train"
    raise UserError(
        f"no file, or run in {data.segmentation_runs}, is called '{name}'{did_you_mean(name, known, listed)}"
    )


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
    if path.suffix == SUFFIX:
        return read_parts(path).metadata.get("format") != "wavegen-wavenet"
    content = read_plain(path)
    return not (isinstance(content, dict) and content.get("format") == "wavegen-wavenet")


def is_deeplab(name: str, data: DataFolder) -> bool:
    """Returns whether a name stands for the file of a DeepLab.

    Raises:
        UserError: there is a file of that name, but it cannot be read.
    """
    path = find_of_either_half(name, data)
    return bool(pretrained_files(name, data)) if path is None else holds_deeplab(path)


def pretrained_files(name: str, data: DataFolder) -> list[Path]:
    """Returns the files of data/pretrained that a name fits: with exactly that name, else with a prefix before it."""
    suffixes = [suffix for suffix in SUFFIXES if name.endswith(suffix)] or SUFFIXES
    stem = name.removesuffix(suffixes[0])

    def there(*prefixes: str) -> list[Path]:
        places = (data.pretrained / f"{prefix}{stem}{suffix}" for prefix in prefixes for suffix in suffixes)
        return [place for place in places if place.is_file()]

    return there("") or there(*PREFIXES)


def _pretrained(name: str, data: DataFolder) -> Path | None:
    """Returns the one file of data/pretrained that a name fits, or None.

    Raises:
        UserError: it fits more than one.
    """
    files = pretrained_files(name, data)
    if len(files) > 1:
        raise UserError(
            f"'{name}' fits {' and '.join(path.name for path in files)} in {data.pretrained}; give the whole name, "
            f"such as {files[0].name}"
        )
    return files[0] if files else None


def _pretrained_names(data: DataFolder) -> list[str]:
    found = (path for prefix in PREFIXES for suffix in SUFFIXES for path in data.pretrained.glob(f"{prefix}*{suffix}"))
    return sorted({path.stem for path in found})
