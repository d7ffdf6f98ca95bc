"""Values in error messages: short and in one line, whatever a file holds."""

from __future__ import annotations

import reprlib
import shlex
from pathlib import Path
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


def typed_path(path: str | Path) -> str:
    """Returns a path as one types it in a shell: relative to the current folder if it lies below it.

    >>> typed_path(Path.cwd() / "my photos")
    "'my photos'"
    """
    whole, here = Path(path).absolute(), Path.cwd()
    return shlex.quote(str(whole.relative_to(here) if whole.is_relative_to(here) and whole != here else path))
