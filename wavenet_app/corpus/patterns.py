"""Regular expressions that a user gives, searched in bounded time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wavenet_app.core.errors import UserError
from wavenet_app.core.shown import shown

MOST_CHARACTERS = 1_000
"""Length of an expression; compiling takes memory and time that grow with it."""

MOST_SECONDS = 1.0
"""Time that one search may take; names are short, so only a pattern that tries everything again and again takes it."""


@dataclass(frozen=True)
class Pattern:
    """A compiled expression.

    Attributes:
        search: returns the match in a text, or None; raises UserError if it takes more than `MOST_SECONDS`.
        groups: number of groups.
        names: names of groups.
    """

    search: Callable[[str], Any]
    groups: int
    names: frozenset[str]


def compiled(expression: str, option: str) -> Pattern:
    """Compiles an expression.

    Args:
        expression: as Python's `re` takes it.
        option: what the user gave it as, for errors, such as "--split-by".

    Raises:
        UserError: it is not valid.
    """
    if len(expression) > MOST_CHARACTERS:
        raise UserError(
            f"{option} {shown(expression)} has {len(expression):,} characters; an expression may have "
            f"{MOST_CHARACTERS:,}"
        )
    import regex  # which can stop a search, as re cannot

    try:
        pattern = regex.compile(expression)
    except (regex.error, RecursionError, OverflowError, MemoryError) as error:
        reason = str(error) or "it is nested too deeply"
        raise UserError(f"{option} {shown(expression)} is not a valid regular expression: {reason}") from None

    def search(text: str) -> Any:
        try:
            return pattern.search(text, timeout=MOST_SECONDS)
        except (TimeoutError, MemoryError):
            raise UserError(
                f"{option} {shown(expression)} takes more than {MOST_SECONDS:g} s for {shown(text)}; use an expression "
                "without repeats inside repeats"
            ) from None

    return Pattern(search, pattern.groups, frozenset(pattern.groupindex))
