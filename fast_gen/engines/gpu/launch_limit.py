"""How many samples one launch takes: a desktop ends what keeps its GPU busy for two seconds."""

from __future__ import annotations

LONGEST_SECONDS = 0.25
"""Of one launch."""

FIRST_STEPS = 64
"""Samples of the first launch, whose speed is not known yet."""

MOST_GROWTH = 8
"""Greatest ratio of a launch's samples to those of the longest launch that was timed."""


class LaunchLimit:
    """The most samples of a launch, learned from launches that took as many.

    Attributes:
        steps: samples.
    """

    def __init__(self) -> None:
        self.steps = FIRST_STEPS

    def learn(self, steps: int, seconds: float) -> None:
        """Takes in how long a launch took."""
        allowed = int(steps * LONGEST_SECONDS / max(seconds, 1e-9))
        self.steps = max(1, min(allowed, steps * MOST_GROWTH))
