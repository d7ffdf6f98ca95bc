"""Tables of speakers: of files, as Common Voice and filelists have them, or of the readers of a corpus."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Protocol

from wavenet_app.core.errors import UserError
from wavenet_app.core.text import decoded_text

_FILE_COLUMNS = ("file", "path", "filename", "file_name", "audio", "wav", "clip", "name")
_SPEAKER_COLUMNS = ("speaker", "speaker_id", "speaker_name", "client_id", "voice", "spk")
_READER_COLUMNS = ("id", "reader", *_SPEAKER_COLUMNS)
_PERSONAL_COLUMNS = ("sex", "gender")
_DELIMITERS = "\t|;,"
_COMMENTS = ("#", ";")
_SENTENCE_WORDS = 4  # names of speakers are shorter


class NoSpeakerError(Exception):
    """A rule finds no speaker for a file; the text says why."""


class SpeakerRule(Protocol):
    """Finds the speaker of a file."""

    def __call__(self, name: str, path: str = "", /) -> str:
        """Returns the speaker.

        Args:
            name: posix path of the file, relative to the given folder.
            path: its absolute posix path, if known.

        Raises:
            NoSpeakerError: there is none.
        """


def read_speaker_table(path: Path) -> SpeakerRule:
    """Returns the rule that a table of speakers gives.

    - A table of files: columns are separated by commas, tabs, semicolons or bars. Its first line may name the columns;
      otherwise files are in the first column, and speakers in the second, or in the last if the second holds sentences.
      A file is found by the end of its path, with or without suffix; the longest end decides.
    - A table of readers, such as SPEAKERS.TXT of LibriTTS and speaker-info.txt of VCTK: a file belongs to the reader
      that one of its folders, or the beginning of its name, is called.

    Lines that begin with # or ; are comments. Only commas and semicolons know quotes around a cell that holds them.

    Raises:
        UserError: the table cannot be read, or it has no column of speakers.
    """
    lines, separator = _lines_of(path)
    readers = _readers(lines)
    if readers:
        return _by_readers(path, readers)
    return _by_files(path, _rows(path, [line for line in lines if not line.startswith(_COMMENTS)], separator))


def plain_name(name: str) -> str:
    """Returns a name in composed form, NFC: macOS writes file names decomposed.

    >>> plain_name("Zoe\u0308") == "Zo\u00eb"
    True
    """
    return unicodedata.normalize("NFC", name)


def _lines_of(path: Path) -> tuple[list[str], str | None]:
    """Returns the lines that are not empty, and the separator if the first line names it, as Excel writes it."""
    try:
        text = decoded_text(path.read_bytes())
    except (OSError, UnicodeDecodeError) as error:
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else "it is not text in UTF-8 or UTF-16"
        raise UserError(f"--speakers cannot read {path}: {reason}") from None
    lines = [plain_name(line) for line in re.split(r"\r\n|\r|\n", text) if line.strip()]
    named = re.fullmatch(r"sep=(.)", lines[0].rstrip(" "), re.IGNORECASE) if lines else None
    return (lines[1:], named[1]) if named else (lines, None)


def _rows(path: Path, lines: Sequence[str], separator: str | None) -> list[list[str]]:
    separator = separator or _separator(lines)
    if separator in "\t|":
        rows = [[_unquoted(cell.strip()) for cell in line.split(separator)] for line in lines]
    else:
        try:
            rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=separator) if any(row)]
        except csv.Error as error:
            raise UserError(f"--speakers cannot read {path}: {error}") from None
    if not rows or any(len(row) < 2 for row in rows):
        raise UserError(f"--speakers: each line of {path} must hold a file and a speaker, separated by a comma or tab")
    return rows


def _separator(lines: Sequence[str]) -> str:
    """Returns a tab or a bar if each line has one, as texts hold commas too; else what the first line has most of."""
    for separator in "\t|":
        if lines and all(separator in line for line in lines):
            return separator
    first = next(iter(lines), "")
    return max(",;\t|", key=first.count)


def _unquoted(cell: str) -> str:
    """Returns a cell without the quotes around it; a quote at one end only belongs to the text."""
    return cell[1:-1].replace('""', '"') if len(cell) > 1 and cell[0] == cell[-1] == '"' else cell


class _Entry(NamedTuple):
    parts: tuple[str, ...]  # of the path
    speaker: str


def _by_files(table: Path, rows: list[list[str]]) -> SpeakerRule:
    file_column, speaker_column, rows = _columns(table, rows)
    entries: defaultdict[str, list[_Entry]] = defaultdict(list)
    for row in rows:
        if len(row) > max(file_column, speaker_column) and row[file_column] and row[speaker_column]:
            parts = _parts(row[file_column])
            if parts:
                entries[parts[-1]].append(_Entry(parts, row[speaker_column]))

    def rule(name: str, path: str = "") -> str:
        own = _parts(name)
        whole = _parts(path)
        whole = whole if _common_end(whole, own) == len(own) else own
        for key in (own[-1], PurePosixPath(own[-1]).stem):
            ends = [(_common_end(entry.parts[:-1], whole[:-1]) + 1, entry) for entry in entries.get(key, ())]
            # one path has to be the end of the other: a/0.wav is not b/0.wav
            fitting = [(end, entry) for end, entry in ends if end >= min(len(entry.parts), len(own))]
            longest = max((end for end, _ in fitting), default=0)
            speakers = {entry.speaker for end, entry in fitting if end == longest}
            if len(speakers) > 1:
                raise NoSpeakerError(f"no speaker: {table.name} gives several for {key}")
            if speakers:
                return speakers.pop()
        raise NoSpeakerError(f"no speaker: {table.name} has no line for it")

    return rule


def _columns(path: Path, rows: list[list[str]]) -> tuple[int, int, list[list[str]]]:
    """Returns the columns of files and speakers, and the rows without the header."""
    header = [cell.lower() for cell in rows[0]]
    file_column = next((header.index(name) for name in _FILE_COLUMNS if name in header), None)
    speaker_column = next((header.index(name) for name in _SPEAKER_COLUMNS if name in header), None)
    if file_column is not None and speaker_column is not None:
        return file_column, speaker_column, rows[1:]
    for column in (1, min(map(len, rows)) - 1):
        if not _holds_sentences(row[column] for row in rows):
            return 0, column, rows
    raise UserError(f"--speakers: {path} has no column of speakers: beside the files it holds sentences")


def _holds_sentences(cells: Iterable[str]) -> bool:
    words = [len(cell.split()) for cell in cells]
    return 2 * sum(count >= _SENTENCE_WORDS for count in words) > len(words)


def _parts(text: str) -> tuple[str, ...]:
    """Returns the parts of a path of any system, without its root and whatever leads to `..`."""
    parts = PurePosixPath(plain_name(text).replace("\\", "/")).parts
    after = max((index + 1 for index, part in enumerate(parts) if part == ".." or part.startswith("/")), default=0)
    return parts[after:]


def _common_end(first: Sequence[str], second: Sequence[str]) -> int:
    """Returns how many parts two paths have in common, from the last one."""
    count = 0
    for one, other in zip(reversed(first), reversed(second), strict=False):
        if one != other:
            break
        count += 1
    return count


def _readers(lines: Sequence[str]) -> set[str]:
    """Returns the readers that a table of readers lists; nothing if it is a table of files."""
    for index, line in enumerate(lines):
        separator = next((separator for separator in _DELIMITERS if separator in line.lstrip("#; ")), None)
        first, *others = (cell.strip().lower() for cell in line.lstrip("#; ").split(separator) or [""])
        holds_files = bool({*others} & ({*_FILE_COLUMNS} - {"name"}))
        if first in _READER_COLUMNS and {*others} & {*_PERSONAL_COLUMNS} and not holds_files:
            body = [row for row in lines[index + 1 :] if not row.startswith(_COMMENTS)]
            return {_unquoted(row.split(separator)[0].strip()) for row in body}
        if not line.startswith(_COMMENTS):
            break
    return set()


def _by_readers(table: Path, readers: set[str]) -> SpeakerRule:
    # older tables of VCTK leave out the p of p225
    known = readers | {f"p{reader}" for reader in readers if reader.isdecimal()}

    def rule(name: str, _path: str = "") -> str:
        *folders, file = _parts(name)
        for part in (*folders, re.split(r"[-_.]", file)[0]):
            if part in known:
                return part
        raise NoSpeakerError(f"no speaker: {table.name} lists none of its folders, nor the beginning of its name")

    return rule
