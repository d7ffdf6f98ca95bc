"""The guard before all pages: refuses what `Access` refuses, and adds the headers that bind the browser."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from starlette.responses import JSONResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from studio.web.access import Access

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "worker-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""What the page may load and run: the studio's own files, and pictures and sound that it made itself."""

HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "microphone=(self), camera=(), geolocation=()",
    "cache-control": "no-store",
}


class Guard:
    """Stands before an application; requests that it refuses do not get there.

    Args:
        app: the application.
        access: who may ask.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request, as ASGI calls it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # the studio has no other kind, and a server closes what ends without an answer
            return
        send = _with_headers(send)
        reason = self._access.refusal(scope["headers"])
        path = self._access.own_path(scope["path"])
        if reason is None and path is None:
            reason = "the token in the address is missing or wrong; open the address that the studio printed"
        if reason is not None:
            await JSONResponse({"error": reason}, 403)(scope, receive, send)
        elif path == "":
            await RedirectResponse(f"{scope['path']}/")(scope, receive, send)
        else:
            await self._app({**scope, "path": path, "raw_path": (path or "").encode()}, receive, send)


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            present = {name for name, _ in message["headers"]}
            added = [(name.encode(), value.encode()) for name, value in HEADERS.items() if name.encode() not in present]
            message = _replaced(message, [*message["headers"], *added])
        await send(message)

    return sending


def _replaced(message: Message, headers: list[tuple[bytes, bytes]]) -> MutableMapping[str, Any]:
    return {**message, "headers": headers}
