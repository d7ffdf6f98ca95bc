"""A web server on the loopback interface that has archives, and the faults of real servers."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Served:
    """A file and how the server gives it.

    Attributes:
        content: its bytes.
        etag: of the file, "" for none.
        ranges: whether parts can be asked for.
        status: 200 for the file, else an error, or a redirect to `location`.
        cut_after: bytes after which the connection breaks; 0 for never.
        cuts: how many answers are cut; -1 for all.
        content_type: of the file.
        announced: the length that is announced, if not the true one.
        pause: seconds before each block of `block` bytes.
        busy: how many answers are 503 first.
    """

    content: bytes = b""
    etag: str = '"one"'
    ranges: bool = True
    status: int = 200
    location: str = ""
    cut_after: int = 0
    cuts: int = -1
    content_type: str = "application/octet-stream"
    announced: int | None = None
    pause: float = 0.0
    block: int = 1 << 14
    busy: int = 0


@dataclass
class ArchiveServer:
    """What is served, what was asked for, and how many bytes were sent."""

    address: str = ""
    files: dict[str, Served] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    sent: int = 0

    def url(self, name: str) -> str:
        return f"{self.address}/{name}"


@contextmanager
def serving() -> Iterator[ArchiveServer]:
    """Runs a server while it is entered."""
    shared = ArchiveServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments: object) -> None:
            pass

        def do_GET(self) -> None:
            name = self.path.lstrip("/")
            span = self.headers.get("Range")
            shared.asked.append((name, span))
            one = shared.files.get(name, Served(status=404))
            if one.busy:
                one.busy -= 1
                self._empty(503)
            elif one.status != 200:
                self._empty(one.status, one.location)
            else:
                self._give(one, span)

        def _empty(self, status: int, location: str = "") -> None:
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _give(self, one: Served, span: str | None) -> None:
            start, condition = 0, self.headers.get("If-Range")
            if span and one.ranges and condition in (None, one.etag):
                start = int(span.removeprefix("bytes=").rstrip("-"))
                if start >= len(one.content):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(one.content)}")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(one.content) - 1}/{len(one.content)}")
            else:
                self.send_response(200)
            length = len(one.content) - start if one.announced is None else one.announced
            self.send_header("Content-Length", str(length))
            self.send_header("Content-Type", one.content_type)
            if one.etag:
                self.send_header("ETag", one.etag)
            self.end_headers()
            body = one.content[start:]
            cut = one.cut_after and one.cuts
            if cut:
                body, one.cuts = body[: one.cut_after], one.cuts - 1
            for begin in range(0, len(body), one.block):
                if one.pause:
                    time.sleep(one.pause)
                try:
                    self.wfile.write(body[begin : begin + one.block])
                except OSError:
                    self.close_connection = True
                    return
                shared.sent += len(body[begin : begin + one.block])
            if cut or one.announced is not None:
                self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    shared.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02), daemon=True)
    thread.start()
    try:
        yield shared
    finally:
        server.shutdown()
        server.server_close()
