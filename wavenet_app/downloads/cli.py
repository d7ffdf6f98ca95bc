"""The commands `wavegen data`: list, get, verify, remove and info."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.options import AsJson, DataDir, make_console
from wavenet_app.core.published import PUBLISHED

data = typer.Typer(help="List, get, verify and remove published data sets.", invoke_without_command=True)


def _names(incomplete: str) -> list[str]:
    return [name for name in PUBLISHED if name.startswith(incomplete.lower())]


Name = Annotated[str, typer.Argument(metavar="NAME", help="A data set of `wavegen data`.", autocompletion=_names)]
Names = Annotated[
    list[str], typer.Argument(metavar="NAME...", help="Data sets of `wavegen data`.", autocompletion=_names)
]


@data.callback()
def list_data_sets(context: typer.Context, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """List the published data sets: which are here, their size and licence, and the next command."""
    context.obj = data_dir
    if context.invoked_subcommand is not None:
        return
    import json

    from wavenet_app.downloads.catalogue import DATA_SETS
    from wavenet_app.downloads.view import listed, print_list

    root = DataFolder.at(data_dir).root
    rows = [listed(one, root) for one in DATA_SETS.values()]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    else:
        print_list(rows, make_console())


@data.command("info")
def info(context: typer.Context, name: Name, data_dir: DataDir = None) -> None:
    """Describe a data set: what it holds, its licence, layout, archives and commands."""
    from wavenet_app.downloads.catalogue import data_set
    from wavenet_app.downloads.view import page

    make_console().print(page(data_set(name), _root(context, data_dir)), soft_wrap=True)


def _root(context: typer.Context, data_dir: Path | None) -> Path:
    return DataFolder.at(data_dir or context.obj).root
