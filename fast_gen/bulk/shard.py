"""Which clips of a large set one command makes, and in which batches."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from wavenet_app.core.errors import UserError

MOST_AT_ONCE = 64
"""Most clips that `wavegen sample` makes as one batch, with pictures; more are written as they are made."""


@dataclass(frozen=True)
class Shard:
    """One of several parts of nearly equal size.

    Attributes:
        number: from 1.
        of: how many parts there are.
    """

    number: int = 1
    of: int = 1

    @classmethod
    def parsed(cls, text: str | None) -> Shard:
        """Returns the part that `--shard i/n` names; the whole for None.

        Raises:
            UserError: the text names no part.

        >>> Shard.parsed("2/4")
        Shard(number=2, of=4)
        """
        if text is None:
            return cls()
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text, re.ASCII)
        number, of = map(int, found.groups()) if found else (0, 0)
        if not 1 <= number <= of:
            raise UserError(f"--shard must be i/n with i from 1 to n, such as 1/4, not {text!r}")
        return cls(number, of)

    @property
    def label(self) -> str:
        """What the names of this part's own files hold: nothing for the whole.

        >>> Shard(2, 4).label
        '-2-of-4'
        """
        return "" if self.of == 1 else f"-{self.number}-of-{self.of}"

    def numbers(self, clips: int) -> range:
        """Returns the numbers of this part's clips, out of `clips` in all.

        >>> [list(Shard(number, 3).numbers(5)) for number in (1, 2, 3)]
        [[0], [1, 2], [3, 4]]
        """
        return range((self.number - 1) * clips // self.of, self.number * clips // self.of)


WHOLE = Shard()


def missing_ranges(numbers: range, done: Collection[int]) -> Iterator[range]:
    """Yields the ranges of consecutive numbers that are not done.

    >>> list(missing_ranges(range(8), {0, 3, 4}))
    [range(1, 3), range(5, 8)]
    """
    start = numbers.start
    for number in [*sorted(number for number in done if number in numbers), numbers.stop]:
        if number > start:
            yield range(start, number)
        start = number + 1
