"""What the shell completes beside options: names of runs and of presets. Imports neither torch nor pydantic."""

from __future__ import annotations

from pathlib import Path

import typer

from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.shipped import voice_names


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


def _starting(incomplete: str, names: list[str]) -> list[str]:
    return sorted({name for name in names if name.startswith(incomplete)})
