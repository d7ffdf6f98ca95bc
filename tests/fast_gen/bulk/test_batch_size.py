"""The size of a batch is the fastest of those that fit into memory."""

from hypothesis import given
from hypothesis import strategies as st

from fast_gen.bulk.batch_size import MOST_BYTES, BatchSize


def _settled(speeds: dict[int, float]) -> int:
    size = BatchSize(list(speeds), num_samples=100)
    for _ in range(2 * len(speeds)):
        clips = size.next(left=10_000, processes=1)
        size.measured(clips, speeds[clips])
    return size.next(left=10_000, processes=1)


def test_the_fastest_size_is_taken():
    assert _settled({4: 10.0, 16: 30.0, 64: 20.0}) == 16
    assert _settled({4: 10.0, 16: 30.0, 64: 40.0}) == 64


def test_a_try_that_was_disturbed_counts_less_than_the_other():
    size = BatchSize([4, 16], num_samples=100)
    for speed in (10.0, 1.0, 10.0, 30.0):  # of 4, 16, 4 and 16
        size.measured(size.next(left=1_000, processes=1), speed)
    assert size.fastest == 16


@given(st.integers(1, 10**9), st.integers(1, 10_000), st.integers(1, 64))
def test_a_batch_fits_into_memory_and_leaves_work_for_the_others(num_samples, left, processes):
    size = BatchSize((4, 16, 64), num_samples)
    for _ in range(8):
        clips = size.next(left, processes)
        assert 1 <= clips <= -(-left // processes)
        assert clips == 1 or clips * num_samples * 16 <= MOST_BYTES
        size.measured(clips, 1.0)
