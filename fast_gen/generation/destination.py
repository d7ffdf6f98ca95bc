"""Where clips are written: a folder of numbered files that replaces none, or one file by name."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wavenet_app.audio.decoding import AUDIO_SUFFIXES, UNDECODABLE_SUFFIXES
from wavenet_app.audio.files import printable
from wavenet_app.audio.formats import WAV, AudioFormat, format_named, format_of
from wavenet_app.core.errors import UserError


@dataclass(frozen=True)
class Destination:
    """Where clips are written, and in which format.

    Attributes:
        folder: of the files.
        file: the one file that `--out` names; None for a folder.
        audio_format: of the files.
        overwrite: whether files that exist are replaced.
    """

    folder: Path
    file: Path | None
    audio_format: AudioFormat
    overwrite: bool

    @classmethod
    def of(cls, out: Path, format_name: str | None, *, overwrite: bool) -> Destination:
        """Returns what `--out`, `--format` and `--overwrite` say.

        Args:
            out: a file if it has the suffix of an audio file and is no folder that exists, else a folder.
            format_name: a name out of `formats.FORMATS`; None for the suffix of a file, or WAV in a folder.
            overwrite: whether files that exist are replaced.

        Raises:
            UserError: there is no such format, or the two disagree.
        """
        named = None if format_name is None else format_named(format_name)
        if out.suffix.lower() not in AUDIO_SUFFIXES | UNDECODABLE_SUFFIXES or out.is_dir():
            return cls(out, None, named or WAV, overwrite)
        audio_format = format_of(out)
        if named not in (None, audio_format):
            raise UserError(f"--format {format_name} and --out {_shown(out)} disagree; leave --format out")
        return cls(out.parent, out, audio_format, overwrite)

    def check_count(self, clips: int) -> None:
        """Raises UserError where several clips would go to one file."""
        if self.file is not None and clips > 1:
            raise UserError(f"--out {_shown(self.file)} is one file, and there are {clips} clips; name a folder")

    def check_free(self, *beside: Path) -> None:
        """Raises UserError where a file of the given name, or one that is written beside it, may not be replaced."""
        for path in () if self.file is None or self.overwrite else (self.file, *beside):
            if path.exists():
                raise UserError(f"{_shown(path)} exists; --overwrite replaces it, or choose another --out")

    def paths(self, stem: str) -> Iterator[Path]:
        """Yields a path for each clip: the one file, or <stem>-0, <stem>-1 and so on in the folder.

        A number that any file in the folder has is skipped, so a picture also stays with its clip.

        Args:
            stem: of the names of numbered files.
        """
        if self.file is not None:
            yield self.file
            return
        prefix = f"{stem}-"
        present = self.folder.iterdir() if self.folder.is_dir() and not self.overwrite else ()
        names = [path.name for path in present if path.name.startswith(prefix)]
        taken = {name.removeprefix(prefix).partition(".")[0] for name in names}
        for number in itertools.count():
            if str(number) not in taken:
                yield self.folder / f"{prefix}{number}{self.audio_format.suffix}"


def picture_of(path: Path) -> Path:
    """Returns the picture of the spectrogram that belongs to an audio file."""
    return path.with_suffix(".png")


def _shown(path: Path) -> str:
    return printable(str(path))
