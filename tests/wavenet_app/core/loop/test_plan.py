"""The share of the budget that is spent: of the steps or the minutes, whichever is greater."""

import math
from pathlib import Path

import pytest
from line_task import plan

from wavenet_app.core.loop.plan import FitStatus, progress_of


@pytest.mark.parametrize(
    ("max_steps", "minutes", "step", "seconds", "expected"),
    [
        (100, None, 0, 1e9, 0.0),
        (100, None, 25, 0.0, 0.25),
        (100, None, 130, 0.0, 1.0),
        (None, 2.0, 10**9, 0.0, 0.0),
        (None, 2.0, 0, 30.0, 0.25),
        (None, 2.0, 0, 130.0, 1.0),
        (100, 2.0, 50, 30.0, 0.5),
        (100, 2.0, 25, 60.0, 0.5),
    ],
)
def test_progress_is_the_greater_share_of_steps_and_minutes(max_steps, minutes, step, seconds, expected):
    limits = plan(Path(), max_steps=max_steps, minutes=minutes)
    assert progress_of(limits, FitStatus(step=step, seconds=seconds)) == expected


def test_a_new_run_has_done_nothing_and_any_score_is_its_best():
    status = FitStatus()
    assert (status.step, status.seconds, status.progress, status.best) == (0, 0.0, 0.0, math.inf)
    assert status.history == []
    assert status.history is not FitStatus().history
    assert math.isnan(status.loss)
