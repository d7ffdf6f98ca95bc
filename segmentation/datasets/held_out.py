"""Which images validate where a data set does not say: a function of their names alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

HELD_OUT_SHARE = 0.2


def is_held_out(names: Sequence[str]) -> list[bool]:
    """Returns which files are held out for validation: a fifth, at least one, by name.

    >>> sum(is_held_out([f"{number}.png" for number in range(10)]))
    2
    """
    order = sorted(range(len(names)), key=lambda place: hashlib.sha256(names[place].encode()).digest())
    held_out = set(order[: max(1, round(len(names) * HELD_OUT_SHARE))])
    return [place in held_out for place in range(len(names))]
