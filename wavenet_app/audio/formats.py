"""The formats that audio is written in; a line here adds one everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wavenet_app.core.errors import UserError


@dataclass(frozen=True)
class AudioFormat:
    """A format of written files.

    Attributes:
        name: as `--format` takes it.
        suffix: of the files, with the dot.
        container: the format in soundfile's words.
        subtype: the encoding of the samples in soundfile's words.
    """

    name: str
    suffix: str
    container: str
    subtype: str


FORMATS: dict[str, AudioFormat] = {
    written.name: written
    for written in (
        AudioFormat("wav", ".wav", "WAV", "PCM_16"),
        AudioFormat("flac", ".flac", "FLAC", "PCM_16"),
        AudioFormat("ogg", ".ogg", "OGG", "VORBIS"),
    )
}
WAV = FORMATS["wav"]


def format_named(name: str) -> AudioFormat:
    """Returns the format of this name.

    Raises:
        UserError: there is none.

    >>> format_named("flac").suffix
    '.flac'
    """
    if name not in FORMATS:
        raise UserError(f"there is no format '{name}'; choose one of: {', '.join(FORMATS)}")
    return FORMATS[name]


def format_of(path: Path) -> AudioFormat:
    """Returns the format that the suffix of a file says.

    Raises:
        UserError: no format has this suffix.
    """
    suffix = path.suffix.lower()
    for written in FORMATS.values():
        if written.suffix == suffix:
            return written
    return format_named(suffix.removeprefix("."))
