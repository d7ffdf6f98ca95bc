"""`wavegen studio`: serves the page until Ctrl-C."""

from __future__ import annotations

import socket
import tempfile
import webbrowser
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from rich.console import Console

from studio.server.app import Studio, create_studio
from studio.web.access import Access, is_loopback
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError

_SHUTDOWN_SECONDS = 2


@dataclass(frozen=True)
class StudioRequest:
    """The options of `wavegen studio`.

    Attributes:
        host: address to bind to.
        port: to bind to; 0 for any that is free.
        opens: whether the page is opened in a browser.
        data_dir: the data folder as it was given; None for the default one.
    """

    host: str
    port: int
    opens: bool
    data_dir: Path | None


class _Server(uvicorn.Server):
    """A server that says when it is ready, and tells the studio before it waits for open connections."""

    def __init__(self, config: uvicorn.Config, studio: Studio, ready: str, console: Console, opens: bool) -> None:
        super().__init__(config)
        self._studio, self._ready, self._console, self._opens = studio, ready, console, opens

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._console.print(f"wavegen studio: {self._ready}  (Ctrl-C stops it)", highlight=False, soft_wrap=True)
            if self._opens:
                webbrowser.open(self._ready)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._studio.visitors.closing.set()
        await super().shutdown(sockets)


def run_studio(request: StudioRequest, folder: DataFolder, *, console: Console) -> None:
    """Serves the studio until Ctrl-C.

    Raises:
        UserError: the address cannot be bound to.
    """
    bound = _bound(request.host, request.port)
    access = Access.of(request.host, bound.getsockname()[1])
    if not is_loopback(request.host):
        console.print(
            "note: others can connect. Whoever has the whole address can use this machine through the page, and the "
            "connection is not encrypted",
            highlight=False,
            soft_wrap=True,
        )
    data_dir = None if request.data_dir is None else str(request.data_dir)
    with bound, tempfile.TemporaryDirectory(prefix="wavegen-studio-") as scratch:
        studio = create_studio(access, folder, Path(scratch), data_dir)
        config = uvicorn.Config(
            studio.app,
            log_level="warning",
            access_log=False,
            server_header=False,
            date_header=False,
            ws="none",
            timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
            timeout_keep_alive=30,
        )
        _Server(config, studio, access.url, console, request.opens).run(sockets=[bound])


def _bound(host: str, port: int) -> socket.socket:
    """Returns a socket that is bound to an address.

    Raises:
        UserError: that is not possible.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        raise UserError(
            f"cannot serve at {host}, port {port}: {error.strerror or error}; choose another --host or --port"
        ) from None
    return bound
