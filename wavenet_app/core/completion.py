"""What the shell completes beside options: names of runs, data sets and choices. Imports neither torch nor pydantic."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import typer

from wavenet_app.core.data_folder import DataFolder, data_set_names
from wavenet_app.core.published import PUBLISHED
from wavenet_app.core.shipped import voice_names


def choices(metavar: str) -> Callable[[str], list[str]]:
    """Returns what completes an option with fixed values, from how its help lists them.

    >>> choices("auto|cpu|cuda")("c")
    ['cpu', 'cuda']
    """

    def matching(incomplete: str) -> list[str]:
        return [name for name in metavar.split("|") if name.startswith(incomplete)]

    return matching


def audio_sets(ctx: typer.Context, incomplete: str) -> list[str]:
    """Returns the audio in the data folder by name, and what lies here; the shell completes longer paths itself."""
    folder = _folder(ctx)
    names = [one.name for one in PUBLISHED.values() if not one.images and (folder.root / one.folder).is_dir()]
    images = {one.folder for one in PUBLISHED.values() if one.images} | {"custom"}
    return _beside_paths(_starting(incomplete, [*names, *(data_set_names(folder.root) - images)]), incomplete)


def image_sets(ctx: typer.Context, incomplete: str) -> list[str]:
    """Returns the names of the image data sets, and what lies here; the shell completes longer paths itself."""
    custom = data_set_names(_folder(ctx).root / "custom")
    published = [one.name for one in PUBLISHED.values() if one.images]
    return _beside_paths(_starting(incomplete, [*published, "shapes", *custom]), incomplete)


def runs_to_resume(ctx: typer.Context, incomplete: str) -> list[str]:
    """Returns the runs of the command's kind that have a last checkpoint."""
    folder = _folder(ctx)
    images = str(ctx.info_name).startswith("seg-")
    runs = folder.segmentation_runs if images else folder.checkpoints
    return _starting(incomplete, _runs(runs, "last.pth"))


def wavenets(ctx: typer.Context, incomplete: str) -> list[str]:
    """Returns the trained WaveNets: runs, files in the folder `pretrained`, and shipped voices."""
    folder = _folder(ctx)
    exported = [path.stem.removeprefix("wavenet_") for path in folder.pretrained.glob("wavenet_*.pth")]
    return _starting(incomplete, [*_runs(folder.checkpoints, "best.pth"), *exported, *voice_names()])


def deeplabs(ctx: typer.Context, incomplete: str) -> list[str]:
    """Returns the trained DeepLabs: runs, and files in the folder `pretrained`."""
    folder = _folder(ctx)
    exported = [path.name for path in folder.pretrained.glob("deeplab_*.pth")]
    return _starting(incomplete, [*_runs(folder.segmentation_runs, "best.pth"), *exported])


def _folder(ctx: typer.Context) -> DataFolder:
    given = ctx.params.get("data_dir")
    return DataFolder.at(None if given is None else Path(given))


def _runs(runs: Path, file: str) -> list[str]:
    return [path.parent.name for path in runs.glob(f"*/{file}")]


def _beside_paths(names: list[str], incomplete: str) -> list[str]:
    """Returns names and the files and folders here that begin alike; nothing without names, as the shell then does."""
    if not names:
        return []
    hidden = incomplete.startswith(".")
    here = [path.name for path in Path().iterdir() if hidden or not path.name.startswith(".")]
    return sorted({*names, *_starting(incomplete, here)})


def _starting(incomplete: str, names: list[str]) -> list[str]:
    return sorted({name for name in names if name.startswith(incomplete)})
