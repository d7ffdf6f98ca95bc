"""Decides at run time whether two threads share a clip, or one works alone because that is faster."""

from __future__ import annotations

import time
from collections.abc import Callable

TRIAL_SAMPLES = 256
"""What each way makes in a trial: some 5 ms, a few turns of the scheduler where the threads share a core."""

FIRST_PAUSE, LONGEST_PAUSE = 16_384, 262_144
"""Samples between two trials; the pause doubles as long as they agree, and is the first again when one does not."""


class Sharing:
    """Whether two threads share a clip's samples, by trials of both ways.

    Two threads wait for each other some sixty times a sample. Where another program needs one of their cores, each wait
    can last for a turn of the scheduler, and two threads are ten times slower than one. Both ways make the same codes.

    Attributes:
        shared: whether two threads share at present.
        alone_samples: how many samples one thread has made alone, apart from trials.
        shared_samples: how many two threads have made together, apart from trials.

    Args:
        clock: returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.shared = True
        self.alone_samples = self.shared_samples = 0
        self._clock = clock
        self._pause = FIRST_PAUSE
        self._until_trial = 0

    def run(self, samples: int, make: Callable[[int, int, bool], None]) -> None:
        """Makes samples in the faster way, after a trial of both where one is due.

        Args:
            samples: how many.
            make: called with the first sample, the one after the last, and whether two threads share.
        """
        first = 0
        if self._until_trial <= 0 and samples >= 2 * TRIAL_SAMPLES:
            self._try_both(make)
            first = 2 * TRIAL_SAMPLES
        if first < samples:
            make(first, samples, self.shared)
        if self.shared:
            self.shared_samples += samples - first
        else:
            self.alone_samples += samples - first
        self._until_trial -= samples - first

    def _try_both(self, make: Callable[[int, int, bool], None]) -> None:
        begin = self._clock()
        make(0, TRIAL_SAMPLES, True)
        between = self._clock()
        make(TRIAL_SAMPLES, 2 * TRIAL_SAMPLES, False)
        faster = between - begin <= self._clock() - between
        self._pause = min(2 * self._pause, LONGEST_PAUSE) if faster == self.shared else FIRST_PAUSE
        self._until_trial = self._pause
        self.shared = faster

    @property
    def remark(self) -> str | None:
        """A line for the user if one thread made most of the samples, else None."""
        if self.alone_samples <= self.shared_samples:
            return None
        return "two threads were slower than one, as when other programs need the cores; one made most of this"
