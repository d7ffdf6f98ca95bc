"""Who is here: each open page listens to one stream of events; when it closes, all that was made for it ends."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from typing import Any

from studio.playing.jobs import Jobs

_INTERVAL = 0.2  # seconds between looks at what has changed
_SILENCE = 5.0  # seconds after which an event is sent though nothing has changed
_GRACE = 0.4  # seconds in which a page that lost its connection may come back


class Visitors:
    """The open pages.

    Args:
        jobs: what is made for them.
        instance: name of this start of the studio.
        left: called with a visitor whose last page has closed.
    """

    def __init__(self, jobs: Jobs, instance: str, left: Callable[[str], None]) -> None:
        self._jobs, self._instance, self._left = jobs, instance, left
        self._pages: Counter[str] = Counter()
        self.closing = asyncio.Event()

    async def events(self, client: str, gone: asyncio.Event) -> AsyncGenerator[bytes, None]:
        """Yields server-sent events for a page: the state of its jobs, and how many others are here.

        Args:
            client: the visitor.
            gone: set when the page has closed.
        """
        self._pages[client] += 1
        try:
            before, silent = None, 0.0
            while not (gone.is_set() or self.closing.is_set()):
                state = self._state(client)
                if state != before or silent >= _SILENCE:
                    before, silent = state, 0.0
                    yield f"data: {json.dumps(state)}\n\n".encode()
                silent += _INTERVAL
                await _wait(gone, _INTERVAL)
        finally:
            self._pages[client] -= 1
            asyncio.get_running_loop().call_later(_GRACE, self._leave, client)

    def _leave(self, client: str) -> None:
        if self._pages[client] <= 0:
            del self._pages[client]
            self._jobs.stop_of(client)
            self._left(client)

    def _state(self, client: str) -> dict[str, Any]:
        visitors = sum(1 for pages in self._pages.values() if pages > 0)
        jobs = self._jobs.states(client)
        return {"studio": self._instance, "visitors": visitors, **self._jobs.counts, "jobs": jobs}


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return
