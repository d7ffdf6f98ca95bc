"""Answers that are sent while they are made, and that notice when nobody listens any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping

from starlette.responses import Response
from starlette.types import Receive, Scope, Send


class StreamedAnswer(Response):
    """A body in parts; each is sent as soon as it is there.

    Args:
        parts: of the body; closed at the end, however it ends.
        gone: called once if the visitor leaves before the end; `parts` should end soon after.
        media_type: of the body.
        headers: of the answer.
    """

    def __init__(
        self,
        parts: AsyncGenerator[bytes, None],
        gone: Callable[[], None],
        media_type: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._parts, self._gone = parts, gone
        self.status_code, self.media_type, self.background = 200, media_type, None
        self.body = b""
        self.init_headers(headers)
        self.raw_headers = [(name, value) for name, value in self.raw_headers if name != b"content-length"]

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Sends the answer, as ASGI calls it."""

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            self._gone()

        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        watching = asyncio.ensure_future(watch())
        try:
            async for part in self._parts:
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            watching.cancel()
            await self._parts.aclose()
