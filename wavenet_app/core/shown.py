"""Values in error messages: short and in one line, whatever a file holds."""

from __future__ import annotations

import reprlib
from typing import Any

_LONGEST = 80  # characters


def shown(value: Any) -> str:
    """Returns a value as a short text in one line, whatever it is.

    >>> shown([1, "a"]), len(shown("a" * 1000))
    ("[1, 'a']", 80)
    """
    short = reprlib.Repr()
    short.maxlevel, short.maxlist, short.maxtuple, short.maxdict = 3, 12, 12, 4
    short.maxstring = short.maxother = short.maxlong = _LONGEST
    try:
        return " ".join(short.repr(value).split())[:_LONGEST]
    except (ValueError, RecursionError):  # an int of thousands of digits has no text
        return f"a {type(value).__name__}"
