"""Learning-rate schedules: each is one function and one line of `SCHEDULES`."""

from __future__ import annotations

import math
from collections.abc import Callable

Schedule = Callable[[float], float]
"""Share of the budget that is spent, 0 to 1 -> share of the learning rate, from 1 at the start to 0 at the end."""


def cosine(progress: float) -> float:
    """Falls along half a cosine (Loshchilov and Hutter 2017, section 3).

    >>> cosine(0.0), cosine(1.0)
    (1.0, 0.0)
    """
    return 0.5 * (1 + math.cos(math.pi * progress))


def linear(progress: float) -> float:
    """Falls in a straight line; to a power it is DeepLab's poly schedule (Chen et al. 2017, section 4.1)."""
    return 1 - min(1.0, progress)


SCHEDULES: dict[str, Schedule] = {
    "cosine": cosine,
    "linear": linear,
}
"""Name in the settings -> schedule."""


def warm_up(step: int, warmup_steps: int) -> float:
    """Returns the share of the rate during linear warm-up, 1 after it.

    Args:
        step: optimizer steps done.
        warmup_steps: length of the warm-up; 0 for none.

    >>> [warm_up(step, 3) for step in (0, 1, 2, 3, 4)]
    [0.25, 0.5, 0.75, 1.0, 1.0]
    """
    return min(1.0, (step + 1) / (warmup_steps + 1))


def learning_rate_share(
    schedule: str, step: int, progress: float, *, warmup_steps: int, final: float = 0.0, power: float = 1.0
) -> float:
    """Returns the share, 0 to 1, of the greatest learning rate: warm-up times the schedule.

    Args:
        schedule: a name in `SCHEDULES`.
        step: optimizer steps done.
        progress: share of the budget that is spent, 0 to 1.
        warmup_steps: steps of linear warm-up.
        final: share that is left at the end.
        power: that the schedule's curve is raised to.
    """
    return warm_up(step, warmup_steps) * (final + (1 - final) * SCHEDULES[schedule](progress) ** power)
