"""How many clips to generate together: the number that is fastest here, measured while clips are made."""

from __future__ import annotations

from collections.abc import Sequence

ON_A_CPU = (4, 16, 64)
ON_A_GPU = (256, 1_024, 4_096)

MOST_BYTES = 2**28
"""Memory for the waveforms of a batch."""

_BYTES_A_SAMPLE = 16  # the codes, the uniform numbers and the waveform


class BatchSize:
    """Tries each size twice, on clips that are wanted anyway, and then takes the fastest.

    Twice, because another program may have slowed down one of the tries.

    Args:
        sizes: to try, rising.
        num_samples: of a clip; long clips limit the size, so that memory does not grow with their length.
    """

    def __init__(self, sizes: Sequence[int], num_samples: int) -> None:
        most = max(1, MOST_BYTES // (_BYTES_A_SAMPLE * num_samples))
        self.untried = 2 * sorted({min(size, most) for size in sizes})
        self.speeds: dict[int, float] = {}
        self._usual = self.untried[0]

    def next(self, left: int, processes: int) -> int:
        """Returns how many clips the next batch has, at least 1.

        Args:
            left: clips that are left to generate, at least 1.
            processes: that share them; at the end each gets about as many as the others.
        """
        size = self.untried.pop(0) if self.untried else self.fastest
        return min(size, -(-left // processes))

    def measured(self, clips: int, samples_per_second: float) -> None:
        """Notes the speed of a batch of `clips` clips, in samples of all clips a second."""
        self.speeds[clips] = max(samples_per_second, self.speeds.get(clips, 0.0))

    @property
    def fastest(self) -> int:
        """The fastest size so far; the smallest while none is known."""
        return max(self.speeds, key=lambda clips: self.speeds[clips], default=self._usual)
