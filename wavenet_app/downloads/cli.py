"""The commands `wavegen data`: list, get, verify, remove and info."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.core.options import AsJson, DataDir, make_console
from wavenet_app.core.published import PUBLISHED, in_bytes

data = typer.Typer(help="List, get, verify and remove published data sets.", invoke_without_command=True)


def _names(incomplete: str) -> list[str]:
    return [name for name in PUBLISHED if name.startswith(incomplete.lower())]


Name = Annotated[str, typer.Argument(metavar="NAME", help="A data set of `wavegen data`.", autocompletion=_names)]
Names = Annotated[
    list[str], typer.Argument(metavar="NAME...", help="Data sets of `wavegen data`.", autocompletion=_names)
]

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


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


@data.command("get")
def get(
    context: typer.Context,
    names: Names,
    with_sbd: Annotated[bool, typer.Option("--with-sbd", help="voc: also SBD's masks, for 10,582 images.")] = False,
    subset: Annotated[
        list[str] | None, typer.Option(help="libritts: a subset, or repeat it (default: dev-clean).")
    ] = None,
    voice: Annotated[list[str] | None, typer.Option(help="cmu-arctic: a voice, or repeat it (default: slt).")] = None,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="FOLDER", help="Take the archives from this folder, also from inside other zip files."
        ),
    ] = None,
    yes: Yes = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be done.")] = False,
    keep_archive: Annotated[bool, typer.Option("--keep-archive", help="Keep the archives after unpacking.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Download data sets, check and unpack them; the same command resumes after any interruption."""
    from wavenet_app.downloads.catalogue import chosen_parts, data_set, refuse_foreign_options
    from wavenet_app.downloads.get import GetRequest, run_get

    subsets, voices = subset or [], voice or []
    refuse_foreign_options(names, sbd=with_sbd, subsets=subsets, voices=voices)
    wanted = []
    for one in map(data_set, names):
        parts = chosen_parts(one, sbd=with_sbd, subsets=subsets, voices=voices)
        wanted.append((one, one.chosen(parts)))
    run_get(GetRequest(wanted, source, yes, dry_run, keep_archive), _root(context, data_dir), make_console())


@data.command("verify")
def verify(context: typer.Context, name: Name, data_dir: DataDir = None) -> None:
    """Check that a data set is whole: its counts, its pairs, and files that are empty or cut."""
    from wavenet_app.core.terminal import progress_bar
    from wavenet_app.downloads.catalogue import data_set
    from wavenet_app.downloads.verify import verify as verified
    from wavenet_app.downloads.view import print_verdicts

    one, root, console = data_set(name), _root(context, data_dir), make_console()
    if not one.present(root):
        raise DataFolder(root).absent(one.name)
    with progress_bar(console, one.name) as move:
        verdicts = verified(one, root, move)
    print_verdicts(verdicts, console)
    if not all(verdict.good for verdict in verdicts):
        raise typer.Exit(1)


@data.command("remove")
def remove(context: typer.Context, name: Name, yes: Yes = False, data_dir: DataDir = None) -> None:
    """Delete a data set and what its download has left."""
    from wavenet_app.core.terminal import number_of
    from wavenet_app.downloads.catalogue import data_set
    from wavenet_app.downloads.get import confirmed
    from wavenet_app.downloads.remove import removable
    from wavenet_app.downloads.remove import remove as delete

    one, root = data_set(name), _root(context, data_dir)
    content = removable(one, root)
    if not content.files:
        raise UserError(f"{one.name} is not in {root}; nothing to remove")
    what = f"{number_of(content.files, 'file')}, {in_bytes(content.bytes)}"
    if not yes and not confirmed(
        f"Delete {one.name} from {root} ({what})?", f"add --yes to delete {one.name} ({what})"
    ):
        raise typer.Exit(1)
    delete(one, root)
    make_console().print(f"{one.name} is removed ({what})", soft_wrap=True)


@data.command("info")
def info(context: typer.Context, name: Name, data_dir: DataDir = None) -> None:
    """Describe a data set: what it holds, its licence, layout, archives and commands."""
    from wavenet_app.downloads.catalogue import data_set
    from wavenet_app.downloads.view import page

    make_console().print(page(data_set(name), _root(context, data_dir)), soft_wrap=True)


def _root(context: typer.Context, data_dir: Path | None) -> Path:
    return DataFolder.at(data_dir or context.obj).root
