"""Speakers: the speaker of each file of a corpus, and the voice that a user chooses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from wavenet_app.core.errors import UserError
from wavenet_app.core.text import did_you_mean
from wavenet_app.corpus.patterns import compiled
from wavenet_app.corpus.speaker_folders import speaker_level
from wavenet_app.corpus.speaker_tables import NoSpeakerError, SpeakerRule, plain_name, read_speaker_table

RULES = "folder, csv:FILE or regex:PATTERN"
FOLDER_RULE = "folder"
TABLE_RULE = "csv:"

_MAX_WEIGHT = 1e6  # sums of such weights cannot overflow
_LISTED_SPEAKERS = 40


def speaker_rule(text: str, names: Sequence[str] = ()) -> SpeakerRule:
    """Returns the rule that the value of `--speakers` names.

    - folder: the folder below the given one, at the level that `speaker_level` finds.
    - csv:FILE: a table of files and speakers, or of the readers of a corpus, as `read_speaker_table` reads it.
    - regex:PATTERN: what the group named speaker, or the first group, or the whole pattern matches in the relative
      path.

    Args:
        text: the value.
        names: relative paths of all files of the corpus.

    Raises:
        UserError: the text is none of these, the table cannot be read, or the pattern is not valid.

    >>> speaker_rule("folder")("jackson/0.wav"), speaker_rule("regex:_([a-z]+)_")("0_theo_1.wav")
    ('jackson', 'theo')
    """
    kind, _, rest = text.partition(":")
    if text == FOLDER_RULE:
        return _by_folder(speaker_level(names))
    if text.startswith(TABLE_RULE) and rest:
        return read_speaker_table(Path(rest))
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
    text, speakers = plain_name(text), [plain_name(speaker) for speaker in speakers]
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
    known = f"there are: {listed_speakers(speakers)}"
    return f"no speaker is called '{name}'{did_you_mean(name, speakers, known)}"


def _by_folder(level: int) -> SpeakerRule:
    def rule(name: str, _path: str = "") -> str:
        folders = PurePosixPath(name).parts[:-1]
        if not folders:
            raise NoSpeakerError("no speaker: it is not in a folder below the given one")
        if len(folders) <= level:
            raise NoSpeakerError(f"no speaker: it is not in a folder of level {level + 1}, where the speakers are")
        return plain_name(folders[level])

    return rule


def _by_pattern(pattern: str) -> SpeakerRule:
    expression = compiled(pattern, "--speakers regex:")
    group: str | int = "speaker" if "speaker" in expression.names else min(1, expression.groups)

    def rule(name: str, _path: str = "") -> str:
        match = expression.search(name)
        found = match.group(group) if match else None
        if not found:
            raise NoSpeakerError(f"no speaker: {pattern} does not match its path")
        return plain_name(found)

    return rule
