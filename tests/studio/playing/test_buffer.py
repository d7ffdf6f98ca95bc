"""How much sound is held back before it is played."""

import pytest

from studio.playing.jobs import AGAIN_SECONDS, HOLD_SECONDS, Job


def job(**changes: object) -> Job:
    return Job("job", "client", "model", sample_rate=8_000, seconds=10.0, **changes)


def test_what_is_fast_is_hardly_held_back():
    assert job().buffer_seconds == HOLD_SECONDS
    assert job(speed=2.0).buffer_seconds == HOLD_SECONDS
    assert job(expected_speed=2.0).buffer_seconds == HOLD_SECONDS


def test_what_is_slow_is_held_back_so_that_it_has_no_gap():
    held = job(expected_speed=0.5).buffer_seconds
    assert (10.0 - held) / 0.5 <= 10.0 + 10.0 * 0.1  # the rest is made while what is held and it are played
    assert held == pytest.approx(0.25 + (1 - 0.45) * 10)
    assert job(expected_speed=0.5, speed=3.0).buffer_seconds == HOLD_SECONDS  # what is measured now counts


def test_after_a_gap_less_is_held_back():
    slow = job(speed=0.5)
    first = slow.buffer_seconds
    slow.made = round(first * 8_000) - 1
    assert slow.buffer_seconds == first
    slow.made += 2
    assert slow.buffer_seconds == AGAIN_SECONDS
