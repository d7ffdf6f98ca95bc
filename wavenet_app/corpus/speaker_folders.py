"""The folders of a corpus that are its speakers: those of one level, below parts such as train-clean-100 or wav48."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

_PART = re.compile(
    r"(train|training|test|testing|dev|val|valid|validation|eval|evaluation)([-_](clean|other|all)?[-_]?\d*)?"
    r"|wavs?\d*([-_]silence[-_]trimmed)?|audio|clips|flac|mp3",
    re.IGNORECASE,
)
"""Folders that divide a corpus by split or format: of LibriTTS, LibriSpeech, VCTK and their like."""

_NAMED_SHARE = 0.9  # of files that begin with the name of their speaker; a few strays do not matter


def speaker_level(names: Sequence[str]) -> int:
    """Returns which folder of each path is the speaker, 0 for the first one.

    In LibriTTS (train-clean-100/84/121123/84_121123_000007_000001.wav) and VCTK (wav48/p225/p225_001.wav), file names
    begin with the speaker, which decides. Elsewhere it is the first level that has several folders and does not only
    divide the corpus into parts, such as train and test.

    Args:
        names: posix paths of all files, relative to the given folders.

    >>> speaker_level(["train/ann/0.wav", "test/jo/0.wav"]), speaker_level(["ann/a/0.wav", "jo/a/0.wav"])
    (1, 0)
    """
    paths = [path for path in map(PurePosixPath, names) if len(path.parts) > 1]
    levels = range(max((len(path.parts) - 1 for path in paths), default=0))
    folders = [{path.parts[level] for path in paths if len(path.parts) > level + 1} for level in levels]
    apart = [level for level in levels if not all(_PART.fullmatch(folder) for folder in folders[level])]
    for level in apart:
        if sum(_begins_with(path, level) for path in paths) >= _NAMED_SHARE * len(paths):
            return level
    several = [level for level in apart if len(folders[level]) > 1]
    return next(iter([*several, *apart]), 0)


def level_remark(names: Sequence[str]) -> str | None:
    """Returns a sentence on which folders are the speakers; None where files lie below one level of folders only."""
    nested = [name for name in names if len(PurePosixPath(name).parts) > 2]
    if not nested:
        return None
    level = speaker_level(names)
    example = next((name for name in nested if len(PurePosixPath(name).parts) > level + 1), nested[0])
    return (
        f"speakers are the folders of level {level + 1}, such as {PurePosixPath(example).parts[level]} in {example}; "
        "--speakers regex:PATTERN chooses another part of the path"
    )


def _begins_with(path: PurePosixPath, level: int) -> bool:
    """Returns whether a file's name begins with the name of its folder at a level."""
    folder = path.parts[level] if len(path.parts) > level + 1 else ""
    return bool(folder) and path.name.startswith((f"{folder}_", f"{folder}-"))
