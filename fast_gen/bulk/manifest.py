"""The manifest of a folder of clips: a JSON line for each, added when its file is complete."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from fast_gen.bulk.shard import Shard
from wavenet_app.core.errors import UserError
from wavenet_app.core.run_lock import holder, locked

MOST_LINE_BYTES = 2**16

Line = TypeVar("Line", bound=BaseModel)


class ManifestLine(BaseModel):
    """One clip.

    Attributes:
        file: name of the audio file, in the folder of the manifest.
        number: of the clip; the same seed and number give the same clip again.
        seed: of the random numbers.
        speaker: as asked for, or the speaker whose turn it was; None for a model without speakers.
        samples: length.
        sample_rate: in Hz.
        temperature: like the next four, how codes were picked.
        quiet_temperature: None for the same as `temperature`.
        top_k: 0 for all codes.
        top_p: 1 for all codes.
        min_p: 0 for all codes.
        precision: of the weights.
        bits: per sample under the model at temperature 1; None if it was not measured.
        failure: "noise", "hum" or "silence" if the clip failed; see `wavenet_app.evaluation.runaway`.
        level: what was said of the level at which the clip was written, or None.
        checkpoint: SHA-256 of the checkpoint's file.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", allow_inf_nan=False)

    file: str
    number: int = Field(ge=0)
    seed: int
    speaker: str | None
    samples: int = Field(ge=1)
    sample_rate: int = Field(ge=1)
    temperature: float
    quiet_temperature: float | None = None
    top_k: int
    top_p: float
    min_p: float
    precision: str
    bits: float | None = None
    failure: str | None = None
    level: str | None = None
    checkpoint: str

    @field_validator("file")
    @classmethod
    def _in_the_folder(cls, file: str) -> str:
        if not file or file in (".", "..") or "/" in file or "\\" in file or "\0" in file:
            raise ValueError("must be the name of a file")
        return file

    def difference(self, wanted: Mapping[str, Any]) -> str | None:
        """Returns the first value that is not as wanted, in words; None if all are."""
        for name, value in wanted.items():
            known = getattr(self, name)
            if known != value:
                return f"{name} {_brief(known)}, not {_brief(value)}"
        return None


def manifest_path(folder: Path, shard: Shard) -> Path:
    """Returns the manifest that a part of the clips is listed in."""
    return folder / f"manifest{shard.label}.jsonl"


def read_manifests(folder: Path, kind: type[Line]) -> Iterator[Line]:
    """Yields the lines of all manifests of a folder, without a last line that a killed process left unfinished.

    Args:
        folder: of the manifests.
        kind: what each line has to be.

    Raises:
        UserError: a file cannot be read, or a line is not that of a manifest.
    """
    for path in sorted(folder.glob("manifest*.jsonl")):
        try:
            with path.open("rb") as file:
                for number, line in enumerate(iter(lambda: file.readline(MOST_LINE_BYTES), b""), start=1):
                    if line.endswith(b"\n"):
                        yield _parsed(path, number, line, kind)
                    elif len(line) >= MOST_LINE_BYTES:
                        raise UserError(f"line {number} of {path} is too long for a manifest; choose another --out")
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror}") from None


class ManifestWriter:
    """Adds lines to a manifest."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, lines: Iterable[BaseModel]) -> None:
        """Adds the lines of files that are complete, and waits until the disk has them.

        Raises:
            UserError: the disk is full or the folder cannot be written.
        """
        try:
            with self.path.open("ab") as file:
                file.write(b"".join(_as_json(line) + b"\n" for line in lines))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise UserError(f"cannot write {self.path}: {error.strerror}; the same command resumes") from None


@contextmanager
def writing_manifest(folder: Path, shard: Shard) -> Iterator[ManifestWriter]:
    """Holds the manifest of a part for this process, without an unfinished last line.

    Raises:
        UserError: another process makes the same files, or the folder cannot be written.
    """
    path = manifest_path(folder, shard)
    lock = folder / f".{path.stem}.lock"
    try:
        descriptor = locked(lock)
    except BlockingIOError:
        raise UserError(f"{holder(lock)} makes these files; wait until it ends, or share them with --shard") from None
    except OSError as error:
        raise UserError(f"cannot write in {folder}: {error.strerror}; choose another --out") from None
    try:
        _drop_unfinished_line(path)
        yield ManifestWriter(path)
    finally:
        lock.unlink(missing_ok=True)
        os.close(descriptor)


def _as_json(line: BaseModel) -> bytes:
    """Returns a line; names that are not UTF-8 are escaped, as json of Python reads them."""
    values = line.model_dump(mode="python")
    try:
        return json.dumps(values, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    except UnicodeEncodeError:
        return json.dumps(values, separators=(",", ":"), allow_nan=False).encode()


def _parsed(path: Path, number: int, line: bytes, kind: type[Line]) -> Line:
    try:
        return kind.model_validate(json.loads(line))  # pydantic's own reader refuses names that are not UTF-8
    except (ValueError, RecursionError):
        raise UserError(
            f"line {number} of {path} is not that of a manifest; correct it, or choose another --out"
        ) from None


def _drop_unfinished_line(path: Path) -> None:
    """Cuts what follows the last line's end, which a killed process left."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        start = max(0, size - MOST_LINE_BYTES)
        file.seek(start)
        tail = file.read()
        file.truncate(start + tail.rfind(b"\n") + 1 if b"\n" in tail else start)


def _brief(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 20 else f"{text[:12]}..."
