"""Ranks join over a store that still holds what ranks of an earlier start have written."""

import json
import random
import threading
import time
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributed import HashStore, Store

from wavenet_app.core.loop.joining import MissingRanksError, join_ranks

PATIENCE = timedelta(seconds=20)


def _join_all(store: Store, size: int, delays: list[float]) -> list[Store]:
    joined: dict[int, Store] = {}

    def join(rank: int) -> None:
        time.sleep(delays[rank])
        joined[rank] = join_ranks(store, rank, size, PATIENCE)

    threads = [threading.Thread(target=join, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [joined[rank] for rank in range(size)]


@settings(max_examples=5, deadline=None)
@given(size=st.sampled_from([2, 3, 7]), seed=st.integers(0, 1000))
def test_each_start_has_keys_of_its_own(size, seed):
    store, drawn = HashStore(), random.Random(seed)
    for start in range(3):
        joined = _join_all(store, size, [drawn.choice([0, 0.03]) for _ in range(size)])
        assert not any(one.check(["written"]) for one in joined)  # by the start before
        joined[-1].set("written", str(start))
        assert {one.get("written").decode() for one in joined} == {str(start)}


def test_an_answer_to_a_rank_that_ended_is_not_believed():
    store = HashStore()
    store.set("name-1", "ended")
    store.set("answer-1", json.dumps(["old", "ended"]))
    store.set("old/confirmed-1", "")
    store.set("old/complete", "")
    first, second = _join_all(store, 2, [0.0, 0.1])
    first.set("here", "1")
    assert second.get("here") == b"1"
    assert not store.check(["old/here"])


@pytest.mark.parametrize(("present", "missing"), [([0, 2], (1, 3)), ([2, 3], (0,))])
def test_missing_ranks_are_named(present, missing):
    store, found = HashStore(), []

    def join(rank: int) -> None:
        with pytest.raises(MissingRanksError) as error:
            join_ranks(store, rank, 4, timedelta(seconds=0.5))
        found.append(error.value.ranks)

    threads = [threading.Thread(target=join, args=(rank,)) for rank in present]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [missing] * len(present)
