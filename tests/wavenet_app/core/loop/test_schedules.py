"""Every schedule falls from 1 to 0, and the curves of both siblings keep their bits."""

import math

import pytest

from segmentation.config import SegmentationConfig
from wavenet_app.config import RunConfig
from wavenet_app.core.errors import UserError
from wavenet_app.core.loop.schedules import SCHEDULES, learning_rate_share
from wavenet_app.core.settings import override

POINTS = [(step, progress / 997) for step in (0, 1, 150, 10**6) for progress in range(998)]


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_falls_from_one_to_zero(name):
    shares = [SCHEDULES[name](progress / 100) for progress in range(101)]
    assert (shares[0], shares[-1]) == (1, 0)
    assert shares == sorted(shares, reverse=True)


@pytest.mark.parametrize("final", [0.0, 0.02, 0.3])
def test_wavenets_cosine_keeps_its_bits(final):
    for step, progress in POINTS:
        warm = min(1.0, (step + 1) / 201)
        expected = warm * (final + (1 - final) * 0.5 * (1 + math.cos(math.pi * progress)))
        assert learning_rate_share("cosine", step, progress, warmup_steps=200, final=final) == expected


def test_deeplabs_poly_keeps_its_bits():
    for step, progress in POINTS:
        expected = min(1.0, (step + 1) / 21) * (1 - min(1.0, progress)) ** 0.9
        assert learning_rate_share("linear", step, progress, warmup_steps=20, power=0.9) == expected


@pytest.mark.parametrize("config", [RunConfig(), SegmentationConfig()])
def test_the_settings_take_every_schedule_and_no_other_name(config):
    for name in SCHEDULES:
        assert override(config, {"training": {"schedule": name}}).training.schedule == name
    with pytest.raises(UserError, match=r"training\.schedule = 'steps': choose one of cosine, linear"):
        override(config, {"training": {"schedule": "steps"}})


def test_a_new_schedule_is_one_function_and_one_line(monkeypatch):
    monkeypatch.setitem(SCHEDULES, "late", lambda progress: 1 - progress**4)
    config = override(RunConfig(), {"training": {"schedule": "late"}})
    assert learning_rate_share(config.training.schedule, 5, 0.5, warmup_steps=0) == 1 - 0.5**4


def test_the_linear_schedule_stays_at_zero_beyond_the_budget():
    assert learning_rate_share("linear", 10, 1.25, warmup_steps=0, power=0.9) == 0


def test_without_other_settings_the_share_is_the_schedules():
    for progress in (0.0, 0.25, 1.0):
        assert learning_rate_share("linear", 10, progress, warmup_steps=0) == 1 - progress
