"""Speakers: the speaker of each file of a corpus, and the voice that a user chooses."""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from wavenet_app.core.errors import UserError

RULES = "folder, csv:FILE or regex:PATTERN"
TABLE_RULE = "csv:"

_MAX_WEIGHT = 1e6  # sums of such weights cannot overflow
_LISTED_SPEAKERS = 40

_FILE_COLUMNS = ("file", "path", "filename", "file_name", "audio", "wav", "clip", "name")
_SPEAKER_COLUMNS = ("speaker", "speaker_id", "speaker_name", "client_id", "voice", "spk")


class NoSpeakerError(Exception):
    """A rule finds no speaker for a file; the text says why."""


SpeakerRule = Callable[[str], str]
"""Takes the path of a file relative to the given folder, and returns its speaker or raises NoSpeakerError."""


def speaker_rule(text: str) -> SpeakerRule:
    """Returns the rule that the value of `--speakers` names.

    - folder: the first folder below the given one.
    - csv:FILE: a table of files and speakers, separated by commas, tabs, semicolons or bars. Its first line may name
      the columns; otherwise files are in the first column and speakers in the second. A file is looked up by its
      relative path, by its name, and by its name without suffix.
    - regex:PATTERN: what the group named speaker, or the first group, or the whole pattern matches in the relative
      path.

    Raises:
        UserError: the text is none of these, the table cannot be read, or the pattern is not valid.

    >>> speaker_rule("folder")("jackson/0.wav"), speaker_rule("regex:_([a-z]+)_")("0_theo_1.wav")
    ('jackson', 'theo')
    """
    kind, _, rest = text.partition(":")
    if text == "folder":
        return _by_folder
    if text.startswith(TABLE_RULE) and rest:
        return _by_table(Path(rest))
    if kind == "regex" and rest:
        return _by_pattern(rest)
    raise UserError(f"--speakers takes {RULES}, not '{text}'")


def speaker_shares(text: str, speakers: Sequence[str]) -> NDArray[np.float32]:
    """Returns the share of each speaker in a voice; the shares sum to one.

    Args:
        text: the name of a speaker, or several with weights: jackson:0.6,theo:0.4. A single name may contain commas
            and colons.
        speakers: the names of all speakers.

    Raises:
        UserError: a name is unknown (the message lists the known ones), or a weight is not a number of at least 0.

    >>> speaker_shares("theo:1,ann:3", ["ann", "jo", "theo"]).tolist()
    [0.75, 0.0, 0.25]
    """
    if not speakers:
        raise UserError(f"--speaker {text}: this model was trained without speakers (train with --speakers)")
    shares = np.zeros(len(speakers))
    if text in speakers:
        shares[speakers.index(text)] = 1
        return shares.astype(np.float32)
    for part in text.split(","):
        name, _, weight = (
            (part.strip(), "", "1") if part.strip() in speakers or ":" not in part else part.rpartition(":")
        )
        if name.strip() not in speakers:
            raise UserError(_unknown(name.strip(), speakers))
        try:
            share = float(weight)
        except ValueError:
            share = -1.0
        if not 0 <= share <= _MAX_WEIGHT:
            raise UserError(f"--speaker {text}: the weight of {name.strip()} must be a number from 0 to 1,000,000")
        shares[speakers.index(name.strip())] += share
    if not shares.sum():
        raise UserError(f"--speaker {text}: all weights are zero")
    return (shares / shares.sum()).astype(np.float32)


def listed_speakers(speakers: Sequence[str]) -> str:
    """Returns the names as text: of many names, the first ones and the number of others.

    >>> listed_speakers(["ann", "jo"])
    'ann, jo'
    """
    more = len(speakers) - _LISTED_SPEAKERS
    return ", ".join(speakers[:_LISTED_SPEAKERS]) + (f" and {more} more (wavegen info lists all)" if more > 0 else "")


def _unknown(name: str, speakers: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, speakers, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    return f"no speaker is called '{name}'; {hint}there are: {listed_speakers(speakers)}"


def _by_folder(name: str) -> str:
    parts = PurePosixPath(name).parts
    if len(parts) < 2:
        raise NoSpeakerError("no speaker: it is not in a folder below the given one")
    return parts[0]


def _by_pattern(pattern: str) -> SpeakerRule:
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise UserError(f"--speakers regex:{pattern} is not a valid regular expression: {error}") from None
    group: str | int = "speaker" if "speaker" in expression.groupindex else min(1, expression.groups)

    def rule(name: str) -> str:
        match = expression.search(name)
        found = match.group(group) if match else None
        if not found:
            raise NoSpeakerError(f"no speaker: {pattern} does not match its path")
        return found

    return rule


def _by_table(path: Path) -> SpeakerRule:
    speakers = _read_table(path)

    def rule(name: str) -> str:
        place = PurePosixPath(name)
        for key in (name, place.name, place.stem):
            if key in speakers:
                found = speakers[key]
                if found is None:
                    raise NoSpeakerError(f"no speaker: {path.name} gives several for {key}")
                return found
        raise NoSpeakerError(f"no speaker: {path.name} has no line for it")

    return rule


def _read_table(path: Path) -> Mapping[str, str | None]:
    """Returns the speaker of each file; None if the table gives several."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else "it is not text in UTF-8"
        raise UserError(f"--speakers cannot read {path}: {reason}") from None
    first = next((line for line in lines if line.strip()), "")
    delimiter = max(",\t;|", key=first.count)
    try:
        rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=delimiter) if any(row)]
    except csv.Error as error:
        raise UserError(f"--speakers cannot read {path}: {error}") from None
    if not rows or any(len(row) < 2 for row in rows):
        raise UserError(f"--speakers: each line of {path} must hold a file and a speaker, separated by a comma or tab")
    header = [cell.lower() for cell in rows[0]]
    file_column = next((header.index(name) for name in _FILE_COLUMNS if name in header), None)
    speaker_column = next((header.index(name) for name in _SPEAKER_COLUMNS if name in header), None)
    if file_column is None or speaker_column is None:
        file_column, speaker_column = 0, 1
    else:
        rows = rows[1:]
    table: dict[str, str | None] = {}
    for row in rows:
        if len(row) <= max(file_column, speaker_column) or not row[speaker_column]:
            continue
        key, speaker = PurePosixPath(row[file_column].replace("\\", "/")).as_posix(), row[speaker_column]
        table[key] = speaker if table.get(key, speaker) == speaker else None
    return table
