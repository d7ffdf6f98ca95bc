"""The queue: in order, as many as fit, and no one for ever."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.playing.fair_queue import FairQueue, Ticket


def places(queue: FairQueue, tickets: list[Ticket]) -> list[int]:
    return [queue.place(ticket) for ticket in tickets]


@pytest.fixture
def tickets() -> list[Ticket]:
    return [Ticket(cost=0.5) for _ in range(5)]


def run(scenario):
    asyncio.run(scenario())


def test_as_many_run_as_fit_and_the_others_know_their_place(tickets):
    async def scenario():
        queue = FairQueue(2)
        entering = [asyncio.ensure_future(queue.enter(ticket)) for ticket in tickets]
        await asyncio.sleep(0)
        assert places(queue, tickets) == [0, 0, 0, 1, 2]  # 3 x 0.5 fit into 0.9 x 2
        queue.leave(tickets[0])
        await asyncio.sleep(0)
        assert places(queue, tickets[1:]) == [0, 0, 0, 1]
        entering[4].cancel()
        await asyncio.sleep(0)
        assert queue.waiting == []

    run(scenario)


def test_slow_ones_take_a_core_each():
    async def scenario():
        queue = FairQueue(2)
        tickets = [Ticket() for _ in range(3)]
        for ticket in tickets:
            queue.set_cost(ticket, 7.0)
        entering = [asyncio.ensure_future(queue.enter(ticket)) for ticket in tickets]
        await asyncio.sleep(0)
        assert places(queue, tickets) == [0, 0, 1]
        entering[2].cancel()

    run(scenario)


def test_one_runs_whatever_it_costs():
    async def scenario():
        queue = FairQueue(1)
        one, other = Ticket(), Ticket()
        await queue.enter(one)
        waiting = asyncio.ensure_future(queue.enter(other))
        await asyncio.sleep(0)
        assert queue.place(other) == 1
        queue.set_cost(one, 0.2)
        queue.set_cost(other, 0.2)
        await asyncio.wait_for(waiting, 1)

    run(scenario)


def test_a_turn_ends_only_when_others_wait():
    async def scenario():
        now = [0.0]
        queue = FairQueue(1, turn_seconds=10, clock=lambda: now[0])
        one, other = Ticket(), Ticket()
        await queue.enter(one)
        now[0] = 100.0
        assert not queue.turn_is_over(one)
        waiting = asyncio.ensure_future(queue.enter(other))
        await asyncio.sleep(0)
        assert queue.turn_is_over(one)
        queue.leave(one)
        await waiting
        again = asyncio.ensure_future(queue.enter(one))
        await asyncio.sleep(0)
        assert queue.place(one) == 1
        assert not queue.turn_is_over(other)
        now[0] = 110.5
        assert queue.turn_is_over(other)
        again.cancel()

    run(scenario)


@given(st.lists(st.integers(0, 3), max_size=20), st.integers(1, 4))
def test_visitors_take_turns(visitors, cores):
    """Whoever has more clips has no more of them before another's first, second, ... than one each."""

    async def scenario():
        queue = FairQueue(cores)
        tickets = [Ticket(client=str(visitor)) for visitor in visitors]
        entering = [asyncio.ensure_future(queue.enter(ticket)) for ticket in tickets]
        await asyncio.sleep(0)
        first_come = [ticket for ticket in tickets if not queue.place(ticket)]
        assert first_come == tickets[: len(first_come)]
        running = [ticket.client for ticket in first_come]
        waiting = [ticket for ticket in tickets if queue.place(ticket)]
        own = {ticket: running.count(ticket.client) for ticket in set(waiting)}
        for ticket in waiting:
            own[ticket] += sum(1 for other in waiting[: waiting.index(ticket)] if other.client == ticket.client)
        expected = sorted(waiting, key=lambda ticket: (own[ticket], waiting.index(ticket)))
        assert sorted(waiting, key=queue.place) == expected
        for one in entering:
            one.cancel()

    asyncio.run(scenario())
