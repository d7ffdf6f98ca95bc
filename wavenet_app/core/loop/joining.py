"""Ranks that share a store agree on keys of their own, whatever an earlier start has left in that store.

torchrun restarts processes that failed, but keeps its store: the addresses of ended processes are still in it. The
count of restarts does not tell the starts apart, because it may differ between machines.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Sequence
from datetime import timedelta

from torch.distributed import DistStoreError, PrefixStore, Store

_PAUSE = 0.02
"""Seconds between two looks into the store."""

_COMPLETE = "complete"


class MissingRanksError(Exception):
    """Ranks that have not joined in time.

    Attributes:
        ranks: their numbers.
    """

    def __init__(self, ranks: Sequence[int]) -> None:
        super().__init__(ranks)
        self.ranks = tuple(ranks)


def join_ranks(store: Store, rank: int, size: int, patience: timedelta) -> Store:
    """Returns a part of the store that belongs to the ranks of this start alone.

    Every rank writes a new name for itself. Rank 0 answers each name that it reads with the name of this start, and a
    rank believes only an answer to its own name: that answer comes from a rank 0 that runs now. A rank then confirms
    below the name of the start, which makes it certain for rank 0, too.

    Args:
        store: shared by all ranks, and maybe with ranks that have ended.
        rank: of this process.
        size: ranks in all.
        patience: the longest wait for the others.

    Raises:
        MissingRanksError: a rank has not joined in time.
        torch.distributed.DistError: the connection to the store is lost.
    """
    deadline = time.monotonic() + patience.total_seconds()
    own = uuid.uuid4().hex
    if rank == 0:
        _answer_names(store, own, size, deadline)
        return PrefixStore(own, store)
    store.set(f"name-{rank}", own)
    while True:
        start, answered = _read(store, f"answer-{rank}") or ("", "")
        if answered == own:
            break
        _pause(deadline, [0])
    joined = PrefixStore(start, store)
    joined.set(f"confirmed-{rank}", "")
    try:
        joined.wait([_COMPLETE], timedelta(seconds=max(1, deadline - time.monotonic())))
    except DistStoreError:
        raise MissingRanksError(
            [other for other in range(1, size) if not joined.check([f"confirmed-{other}"])]
        ) from None
    return joined


def _answer_names(store: Store, start: str, size: int, deadline: float) -> None:
    """Answers the names of all other ranks until each has confirmed; see `join_ranks`.

    Args:
        store: shared by all ranks.
        start: the name of this start.
        size: ranks in all.
        deadline: on the monotonic clock, in seconds.

    Raises:
        MissingRanksError: a rank has not confirmed in time.
    """
    joined = PrefixStore(start, store)
    missing = list(range(1, size))
    answered: dict[int, str] = {}
    while missing:
        for rank in missing:
            name = store.get(f"name-{rank}").decode() if store.check([f"name-{rank}"]) else None
            if name is not None and answered.get(rank) != name:
                store.set(f"answer-{rank}", json.dumps([start, name]))
                answered[rank] = name
        missing = [rank for rank in missing if not joined.check([f"confirmed-{rank}"])]
        if missing:
            _pause(deadline, missing)
    joined.set(_COMPLETE, "")


def _read(store: Store, key: str) -> tuple[str, str] | None:
    if not store.check([key]):
        return None
    start, name = json.loads(store.get(key))
    return start, name


def _pause(deadline: float, missing: Sequence[int]) -> None:
    if time.monotonic() > deadline:
        raise MissingRanksError(missing)
    time.sleep(_PAUSE)
