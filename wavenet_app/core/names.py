"""Names that become files and folders: of runs and of exported models, often from a file that others made."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from wavenet_app.core.text import without_control_characters

LONGEST_NAME = 100
"""Bytes of a name; file systems allow 255, of which suffixes need some."""


def name_problem(name: str) -> str | None:
    """Returns why a name cannot be that of a file or folder, None if it can.

    >>> name_problem("speech-2"), name_problem("../x")
    (None, 'must be a plain name without folders')
    """
    if "/" in name or "\\" in name or name in (".", ".."):
        return "must be a plain name without folders"
    if not name.strip() or name.startswith((".", "-")):
        return "must begin with a letter or a number"
    if "\n" in name or "\t" in name or without_control_characters(name) != name:
        return "must not hold control characters"
    if len(name.encode("utf-8", "surrogatepass")) > LONGEST_NAME:
        return f"must not be longer than {LONGEST_NAME} bytes"
    return None


def as_name(text: str) -> str:
    """Returns the name closest to a text, such as the name of any folder.

    >>> as_name(".hidden/words"), as_name("")
    ('hidden_words', 'run')
    """
    plain = "".join("_" if name_problem(f"a{character}") else character for character in text).lstrip(" .-_")
    short = plain.encode("utf-8", "ignore")[: LONGEST_NAME - 5].decode("utf-8", "ignore")
    return "run" if name_problem(short) else short


def _checked(name: str) -> str:
    problem = name_problem(name)
    if problem is not None:
        raise ValueError(problem)
    return name


FileName = Annotated[str, AfterValidator(_checked)]
"""A field of settings that becomes the name of files and folders."""
