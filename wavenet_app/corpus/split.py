"""Splits files into training and validation by a hash of their names, so adding files moves no other file."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from wavenet_app.core.errors import UserError
from wavenet_app.corpus.patterns import compiled


@dataclass(frozen=True)
class Split:
    """Ascending indices into the split names, and sentences about anything unusual."""

    training: tuple[int, ...]
    validation: tuple[int, ...]
    remarks: tuple[str, ...]


def split_files(names: Sequence[str], validation_fraction: float, split_by: str | None = None) -> Split:
    """Splits files by the hash of their names, or of the part that `split_by` matches.

    If a side would be empty, it gets the group whose hash is nearest to its range, if there are at least two groups.

    Args:
        names: posix paths relative to the given folders.
        validation_fraction: share of the groups to hold out.
        split_by: regular expression; names with the same first group (or the same whole match, if the expression has
            no group) stay together. A name without a match is a group of its own.

    Raises:
        UserError: the expression is invalid, or puts all files into one group.

    >>> split_files(["a.wav", "b.wav", "c.wav"], 0.1)
    Split(training=(1, 2), validation=(0,), remarks=('too few files for the usual share, so a.wav is held out',))
    """
    keys, unmatched = _keys(names, split_by)
    remarks = []
    if unmatched:
        remarks.append(
            f"--split-by '{split_by}' does not match {unmatched} of {len(names)} names; these are split one by one"
        )
    groups: dict[str, list[int]] = defaultdict(list)
    for index, key in enumerate(keys):
        groups[key].append(index)
    if len(groups) == 1 and len(names) > 1:
        raise UserError(
            f"--split-by '{split_by}' puts all {len(names)} files into one group ('{keys[0]}'), so none can be "
            "held out; use an expression that separates them"
        )
    ordered = sorted(groups, key=hash_fraction)
    held_out = {key for key in ordered if hash_fraction(key) < validation_fraction}
    if len(ordered) > 1 and not held_out:
        held_out = {ordered[0]}
        remarks.append(_moved(groups[ordered[0]], names, "held out"))
    elif len(ordered) > 1 and len(held_out) == len(ordered):
        held_out.discard(ordered[-1])
        remarks.append(_moved(groups[ordered[-1]], names, "trained on"))
    return Split(
        training=tuple(index for index, key in enumerate(keys) if key not in held_out),
        validation=tuple(index for index, key in enumerate(keys) if key in held_out),
        remarks=tuple(remarks),
    )


def takes_apart(names: Sequence[str], split: Split) -> str | None:
    """Returns a sentence on files of one name in several folders that the split separates, or None if there are none.

    They may be takes of one text, which a model should not know from training when it is measured.

    >>> takes_apart(["a/1.wav", "b/1.wav", "b/2.wav"], Split((0, 2), (1,), ())).split(";")[0]
    '1 name occurs in several folders on both sides of the split (a/1.wav, b/1.wav)'
    """
    sides: dict[str, list[dict[str, str]]] = {}
    for place, side in enumerate((split.training, split.validation)):
        for index in side:
            path = PurePosixPath(names[index])
            sides.setdefault(path.stem, [{}, {}])[place].setdefault(str(path.parent), names[index])
    apart = [
        (first, second)
        for training, validation in sides.values()
        for first, second in [_two_folders(training, validation)]
        if first
    ]
    if not apart:
        return None
    occur = "1 name occurs" if len(apart) == 1 else f"{len(apart):,} names occur"
    return (
        f"{occur} in several folders on both sides of the split ({', '.join(apart[0])}); if these are takes of one "
        "text, keep them together with --split-by '([^/]+)[.][^./]+$'"
    )


def _two_folders(training: dict[str, str], validation: dict[str, str]) -> tuple[str, str]:
    """Returns a training and a validation file of different folders; empty texts where there are none."""
    return next(
        (
            (first, second)
            for folder, first in training.items()
            for other, second in validation.items()
            if folder != other
        ),
        ("", ""),
    )


def hash_fraction(key: str) -> float:
    r"""Returns a hash of a text as a fraction in [0, 1), the same on every machine.

    The text is normalised first, because file systems encode accents differently.

    >>> hash_fraction("caf\u00e9") == hash_fraction("cafe\u0301")
    True
    """
    digest = hashlib.blake2b(unicodedata.normalize("NFC", key).encode("utf-8", "surrogateescape"), digest_size=6)
    return int.from_bytes(digest.digest(), "big") / 2**48


def _keys(names: Sequence[str], split_by: str | None) -> tuple[list[str], int]:
    if split_by is None:
        return list(names), 0
    pattern = compiled(split_by, "--split-by")
    keys, unmatched = [], 0
    for name in names:
        match = pattern.search(name)
        if match is None:
            keys.append(name)
            unmatched += 1
        else:
            key = match.group(1) if pattern.groups else None
            keys.append(match.group(0) if key is None else key)
    return keys, unmatched


def _moved(indices: Sequence[int], names: Sequence[str], use: str) -> str:
    files = f"{names[indices[0]]} is" if len(indices) == 1 else f"{names[indices[0]]} and {len(indices) - 1} more are"
    return f"too few files for the usual share, so {files} {use}"
