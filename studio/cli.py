"""The command `studio`."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated

import typer

from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.core.extras import how_to_install
from wavenet_app.core.options import DataDir, make_console

_NEEDED = ("starlette", "uvicorn")


def studio(
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port to serve at; 0 for any that is free.")] = 7_860,
    host: Annotated[
        str,
        typer.Option(help="Address to serve at; with another than 127.0.0.1 the URL has a token that others need."),
    ] = "127.0.0.1",
    data_dir: DataDir = None,
) -> None:
    """Serve a page to play, continue, compare, train, segment and see networks.

    Only this machine can connect, unless --host says otherwise. Ctrl-C stops it.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise UserError(f"the studio needs {' and '.join(missing)}; {how_to_install('studio')}")
    from studio.server.command import StudioRequest, run_studio

    run_studio(StudioRequest(host, port, open_page, data_dir), DataFolder.at(data_dir), console=make_console())
