"""Parts of a set of clips cover it once, and what is missing is found."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fast_gen.bulk.shard import Shard, missing_ranges
from wavenet_app.core.errors import UserError


@given(st.integers(0, 300), st.integers(1, 40))
def test_parts_cover_all_clips_once_and_differ_by_one_clip_at_most(clips, of):
    parts = [Shard(number, of).numbers(clips) for number in range(1, of + 1)]
    assert [number for part in parts for number in part] == list(range(clips))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@given(st.integers(0, 20), st.integers(0, 30), st.sets(st.integers(0, 60)))
def test_what_is_missing_is_what_is_not_done(start, length, done):
    numbers = range(start, start + length)
    found = list(missing_ranges(numbers, done))
    assert [number for part in found for number in part] == [number for number in numbers if number not in done]
    assert all(found)
    assert all(before.stop < after.start for before, after in itertools.pairwise(found))


@pytest.mark.parametrize("text", ["", "1", "0/4", "5/4", "1/0", "a/b", "1/4/2", "-1/4", "1/4\n"])
def test_a_part_that_does_not_exist_is_one_line(text):
    with pytest.raises(UserError, match="--shard must be i/n"):
        Shard.parsed(text)
