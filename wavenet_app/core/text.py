"""Text files as editors and shells of all systems write them."""

from __future__ import annotations

import codecs
import difflib
from collections.abc import Iterable

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def decoded_text(content: bytes) -> str:
    r"""Returns a text file's content: UTF-8, with a byte order mark or without, or UTF-16 with one.

    Raises:
        UnicodeDecodeError: it is neither.

    >>> decoded_text(b"\xef\xbb\xbfa"), decoded_text(b"\xff\xfea\x00")
    ('a', 'a')
    """
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")
    return content.decode(encoding)


def whole_number(text: str, most: int) -> int | None:
    """Returns the number that a text of digits stands for; None if it holds anything else, or is above `most`.

    >>> [whole_number(text, 255) for text in ("12", "0255", "256", "9" * 9_999, "-1", "")]
    [12, 255, None, None, None, None]
    """
    digits = text.lstrip("0")
    if not text.isdecimal() or len(digits) > len(str(most)):  # Python converts no number of thousands of digits
        return None
    number = int(digits or "0")
    return number if number <= most else None


def without_control_characters(text: str) -> str:
    r"""Returns a text with a replacement for every control character but tab and line break.

    >>> without_control_characters("a\x1b[31mb\n") == "a\ufffd[31mb\n"
    True
    """
    return text.translate(_REPLACEMENTS)


_REPLACEMENTS = {code: "\ufffd" for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"}


def did_you_mean(name: str, known: Iterable[str], then: str = "") -> str:
    """Returns "; did you mean ...?" with the known name closest to a misspelt one, or nothing if none is close.

    Args:
        name: the misspelt one.
        known: those that exist.
        then: what follows: a new sentence after the question, else a clause.

    >>> did_you_mean("Bas", ["tiny", "base"])
    "; did you mean 'base'?"
    >>> did_you_mean("Bas", ["tiny", "base"], "there are: tiny, base")
    "; did you mean 'base'? There are: tiny, base"
    >>> did_you_mean("xyz", ["tiny", "base"], "there are: tiny, base")
    '; there are: tiny, base'
    """
    close = closest(name, known)
    if not close:
        return f"; {then}" if then else ""
    return f"; did you mean '{close}'?" + (f" {then[0].upper()}{then[1:]}" if then else "")


def closest(name: str, known: Iterable[str]) -> str | None:
    """Returns the known name closest to a misspelt one, whatever the case; None if none is close.

    >>> closest("Bas", ["tiny", "base"])
    'base'
    """
    by_lower = {one.lower(): one for one in known}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None
