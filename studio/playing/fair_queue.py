"""Who may generate now: as many at a time as the machine keeps up with. Visitors take turns, in the order they came."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

TURN_SECONDS = 30.0
"""How long one may go on while others wait."""

LOAD = 0.9
"""Share of the cores that is given away; the rest serves the pages."""


@dataclass(eq=False)
class Ticket:
    """A place in the queue.

    Attributes:
        client: the visitor.
        cost: share of a core that it takes while it runs: 1 / its speed in real time, at most `LOAD`.
        admitted: set while it may run.
        since: when it was admitted, by the clock.
    """

    client: str = ""
    cost: float = LOAD
    admitted: asyncio.Event = field(default_factory=asyncio.Event)
    since: float = 0.0


class FairQueue:
    """A queue that admits from its head as long as the costs fit into the cores; used by one event loop alone.

    The next is always of the visitor with the fewest clips that run or come before it, so a second clip waits for the
    first ones of all others.

    Args:
        cores: of the machine.
        turn_seconds: after which one that runs goes back to the end, if others wait.
        clock: seconds, of any origin.
    """

    def __init__(
        self, cores: int, turn_seconds: float = TURN_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._capacity = LOAD * cores
        self._turn_seconds, self._clock = turn_seconds, clock
        self.waiting: list[Ticket] = []
        self.running: set[Ticket] = set()

    async def enter(self, ticket: Ticket) -> None:
        """Waits until a ticket is admitted; a wait that is cancelled leaves the queue."""
        self.waiting.append(ticket)
        self._admit()
        try:
            await ticket.admitted.wait()
        except asyncio.CancelledError:
            self.leave(ticket)
            raise

    def leave(self, ticket: Ticket) -> None:
        """Takes a ticket out, wherever it is."""
        if ticket in self.waiting:
            self.waiting.remove(ticket)
        self.running.discard(ticket)
        ticket.admitted.clear()
        self._admit()

    def set_cost(self, ticket: Ticket, cost: float) -> None:
        """Notes what a ticket costs, once that is measured."""
        ticket.cost = min(max(cost, 0.01), LOAD)
        self._admit()

    def turn_is_over(self, ticket: Ticket) -> bool:
        """Returns whether one that runs should let another one run."""
        return bool(self.waiting) and self._clock() - ticket.since > self._turn_seconds

    def place(self, ticket: Ticket) -> int:
        """Returns how many come before a ticket, and itself; 0 if it runs or is in no queue."""
        return self._order().index(ticket) + 1 if ticket in self.waiting else 0

    def _order(self) -> list[Ticket]:
        """Returns the tickets that wait, the next first."""
        left, order = list(self.waiting), []
        before = Counter(ticket.client for ticket in self.running)
        while left:
            order.append(min(left, key=lambda ticket: before[ticket.client]))  # the first of several
            left.remove(order[-1])
            before[order[-1].client] += 1
        return order

    def _admit(self) -> None:
        while self.waiting:
            taken = sum(ticket.cost for ticket in self.running)
            ticket = self._order()[0]
            if self.running and taken + ticket.cost > self._capacity:
                return
            self.waiting.remove(ticket)
            ticket.since = self._clock()
            self.running.add(ticket)
            ticket.admitted.set()
