"""The command `publish`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.core.options import CheckpointName, DataDir, finite, loading, make_console


def publish(
    checkpoint: CheckpointName = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to make (default: published/NAME in the data folder).")
    ] = None,
    licence: Annotated[
        str | None, typer.Option(metavar="NAME", help="Licence of the weights, such as CC0-1.0; asked for if omitted.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the model (default: the run's name).")] = None,
    data: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What it was trained on (default: the names of the folders).")
    ] = None,
    language: Annotated[str | None, typer.Option(metavar="TEXT", help="Language that is spoken.")] = None,
    evaluation: Annotated[
        Path | None, typer.Option("--eval", metavar="FILE", help="Add the figures that wavegen eval --json printed.")
    ] = None,
    clips: Annotated[int, typer.Option("--clips", "-n", min=1, max=100, help="Number of audio samples.")] = 4,
    seconds: Annotated[
        float, typer.Option(callback=finite, min=0.1, max=600, help="Length of each generated sample.")
    ] = 4.0,
    data_dir: DataDir = None,
) -> None:
    """Make a folder to share: a model with bfloat16 weights, its model card and audio samples."""
    from wavenet_app.checkpoints.trained import find_checkpoint

    folder = DataFolder.at(data_dir)
    find_checkpoint(folder.root, checkpoint)
    if out is not None and out.exists():
        raise UserError(f"{out} exists, and nothing in it is replaced; choose another folder with --out")
    chosen = _asked_licence() if licence is None else licence
    with loading(make_console(stderr=True)):
        from fast_gen.publishing.command import PublishRequest, checked_line, run_publish

    request = PublishRequest(
        checkpoint=checkpoint,
        licence=checked_line(chosen, "--licence"),
        out=out,
        name=name,
        data=None if data is None else checked_line(data, "--data"),
        language=None if language is None else checked_line(language, "--language"),
        evaluation=evaluation,
        clips=clips,
        seconds=seconds,
    )
    run_publish(request, folder, console=make_console())


def _asked_licence() -> str:
    """Returns the licence that the user types in a terminal.

    Raises:
        UserError: there is no terminal to ask in.
    """
    if not sys.stdin.isatty():
        raise UserError("say under which licence others may use the weights: --licence CC0-1.0, for example")
    typer.echo("Others may use the weights only as the licence of your recordings allows.")
    return str(typer.prompt("Licence of the weights (such as CC0-1.0, CC-BY-4.0 or 'all rights reserved')"))
