"""Two threads share a clip only as long as that is faster, and the codes are the same either way."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fast_gen.engines.cpu.engine import NumbaCpu
from fast_gen.engines.cpu.sharing import FIRST_PAUSE, LONGEST_PAUSE, TRIAL_SAMPLES, Sharing
from fast_gen.engines.sampling import SamplingSettings, uniforms
from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.heads import DEFAULT_HEAD


class Machine:
    """A clock that advances by a fixed time for each sample made, one for each of the two ways."""

    def __init__(self, shared: float, alone: float) -> None:
        self.cost = {True: shared, False: alone}
        self.now = 0.0
        self.made: list[tuple[int, int, bool]] = []

    def __call__(self) -> float:
        return self.now

    def make(self, first: int, last: int, shared: bool) -> None:
        self.made.append((first, last, shared))
        self.now += (last - first) * self.cost[shared]


@given(st.lists(st.integers(0, 3_000), min_size=1, max_size=20), st.booleans())
def test_every_sample_is_made_once_and_in_order(calls: list[int], shared_is_faster: bool) -> None:
    machine = Machine(1.0, 2.0 if shared_is_faster else 0.5)
    sharing = Sharing(machine)
    for samples in calls:
        machine.made.clear()
        sharing.run(samples, machine.make)
        ends = [0] + [last for _, last, _ in machine.made]
        assert [first for first, _, _ in machine.made] == ends[:-1]
        assert ends[-1] == samples
        assert len(machine.made) in (0, 1, 2, 3)


@pytest.mark.parametrize(("shared", "alone", "faster"), [(1.0, 3.0, True), (10.0, 1.0, False)])
def test_the_faster_way_makes_all_but_the_trials(shared: float, alone: float, faster: bool) -> None:
    machine = Machine(shared, alone)
    sharing = Sharing(machine)
    for _ in range(1_000):
        sharing.run(1_024, machine.make)
    slower = sum(last - first for first, last, way in machine.made if way is not faster)
    trials = slower / TRIAL_SAMPLES
    assert trials <= 3 + 1_024_000 / LONGEST_PAUSE + np.log2(LONGEST_PAUSE / FIRST_PAUSE)
    assert (sharing.remark is None) is faster


def test_it_notices_when_the_machine_becomes_busy_and_free_again() -> None:
    machine = Machine(1.0, 2.0)
    sharing = Sharing(machine)
    for busy in (False, True, False):
        machine.cost[True] = 20.0 if busy else 1.0
        for _ in range(2 * LONGEST_PAUSE // 1_024):
            sharing.run(1_024, machine.make)
        assert sharing.shared is not busy


def test_short_calls_are_shared_without_a_trial() -> None:
    machine = Machine(10.0, 1.0)
    sharing = Sharing(machine)
    sharing.run(2 * TRIAL_SAMPLES - 1, machine.make)
    assert machine.made == [(0, 2 * TRIAL_SAMPLES - 1, True)]


@settings(deadline=None, max_examples=5)
@given(st.lists(st.integers(1, 1_300), min_size=1, max_size=4), st.integers(0, 9))
def test_the_codes_are_those_of_one_thread_whatever_the_trials_say(calls: list[int], seed: int) -> None:
    weights = GeneratorWeights.smallest(DEFAULT_HEAD)
    one, two = NumbaCpu(weights), NumbaCpu(weights, threads=2)
    start = 0
    for samples in calls:
        numbers = uniforms(seed, rows=1, start=start, length=samples)
        np.testing.assert_array_equal(
            two.generate(numbers, SamplingSettings()), one.generate(numbers, SamplingSettings())
        )
        start += samples
