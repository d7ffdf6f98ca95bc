"""What a resumed run says of its budget."""

import pytest
from line_task import plan

from wavenet_app.core.loop.view import budget_line


@pytest.mark.parametrize(
    ("step", "before", "now", "rises"),
    [(2, 8, 8, False), (2, 8, 9, True), (2, 8, 7, False), (0, 8, 9, False)],
)
def test_only_a_larger_budget_raises_the_learning_rate_again(tmp_path, step, before, now, rises):
    resumed = {
        "training": {"step": step, "seconds": 1.0},
        "config": {"training": {"max_steps": before, "minutes": None}},
    }
    line = budget_line(plan(tmp_path, max_steps=now), resumed)
    assert line.startswith(f"resumes at 0:01, step {step}, and trains to {now} steps")
    assert ("the learning rate rises again" in line) == rises
