"""A studio that is served in a thread of the test, and plain requests to it."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from studio.server.app import create_studio
from studio.web.access import Access
from wavenet_app.core.data_folder import DataFolder


@dataclass(frozen=True)
class Answer:
    """What the studio answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Served:
    """A studio that can be asked."""

    port: int
    scratch: Path
    access: Access

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(
            "127.0.0.1", self.port, timeout=180
        )  # the first clip imports torch, on a machine that may be busy

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, b"", headers)

    def post(self, path: str, body: bytes | Mapping[str, Any], **headers: str) -> Answer:
        if isinstance(body, bytes):
            return self.ask("POST", path, body, headers)
        return self.ask("POST", path, json.dumps(body).encode(), {"content-type": "application/json", **headers})

    def ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        connection = self.connect()
        try:
            connection.request(method, path, body or None, {name.replace("_", "-"): v for name, v in headers.items()})
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()


@contextmanager
def served(data: Path, scratch: Path, *, host: str = "127.0.0.1", token: str | None = None) -> Iterator[Served]:
    """Serves the studio of a data folder at a free port, as if it were bound to `host`."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        access = Access(host, bound.getsockname()[1], token)
        studio = create_studio(access, DataFolder(data), scratch)
        config = uvicorn.Config(studio.app, log_level="error", ws="none", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        until = time.monotonic() + 20
        while not server.started and time.monotonic() < until:
            time.sleep(0.01)
        try:
            yield Served(access.port, scratch, access)
        finally:
            studio.visitors.closing.set()
            server.should_exit = True
            thread.join(10)


def eventually(condition: Any, seconds: float = 5.0) -> bool:
    """Returns whether a condition holds within some seconds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.02)
    return bool(condition())
