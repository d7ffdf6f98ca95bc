"""Sound files to mono waveforms: any rate, bit depth and channel count, in constant memory."""

from __future__ import annotations

import os
import re
import stat
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from wavenet_app.core.errors import UserError

AUDIO_SUFFIXES: frozenset[str] = frozenset(
    {".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".aifc", ".au", ".snd", ".caf"}
    | {".w64", ".rf64"}
)
# Audio that libsndfile cannot decode: a folder scan lists these files as audio with an error.
UNDECODABLE_SUFFIXES: frozenset[str] = frozenset(
    {".m4a", ".aac", ".wma", ".amr", ".ape", ".wv", ".mka", ".webm", ".mp4", ".ac3", ".dsf"}
)

_BLOCK_FRAMES = 8192  # small, because a damaged file loses its last block
_TOLERATED_SECONDS = 0.1  # encoder padding makes the length in an MP3's header inexact; that is no damage
# Outside these, in Hz, a header is nonsense, and resampling would fill the disk.
_LEAST_RATE, _GREATEST_RATE = 500, 1_000_000


class UnreadableAudioError(UserError):
    """A file without usable audio.

    Attributes:
        path: the file.
        reason: a few words that follow the name of the file.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{printable(str(path))}: {reason}")
        self.path = path
        self.reason = reason


@dataclass(frozen=True)
class AudioInfo:
    """The header of a sound file; `frames` counts samples of one channel and may be an estimate for MP3."""

    sample_rate: int
    channels: int
    frames: int
    subtype: str
    format: str


def probe(path: Path) -> AudioInfo:
    """Returns the header of a file, without decoding the file.

    Raises:
        UnreadableAudioError: the file cannot be opened or is not audio.
    """
    with _opened(path) as file:
        return AudioInfo(file.samplerate, file.channels, file.frames, file.subtype, file.format)


def read_audio(path: Path, sample_rate: int, on_remark: Callable[[str], None] | None = None) -> NDArray[np.float32]:
    """Returns a file's mean over channels, resampled (soxr, high quality), shape (samples,).

    Integer formats are scaled to [-1, 1); float formats are taken as they are.

    Args:
        path: the file; its content, not its suffix, decides the format.
        sample_rate: of the result, in Hz.
        on_remark: called with the damage if only a part of the file is readable; None issues a warning.

    Raises:
        UnreadableAudioError: nothing can be read, or samples are NaN or infinite.
    """
    blocks = list(read_blocks(path, sample_rate, on_remark))
    return np.concatenate(blocks) if blocks else np.zeros(0, dtype=np.float32)


def read_blocks(
    path: Path, sample_rate: int, on_remark: Callable[[str], None] | None = None
) -> Iterator[NDArray[np.float32]]:
    """Yields what `read_audio` returns in consecutive blocks, shape (samples,) each, in constant memory.

    A file that is cut short or damaged is yielded up to that point.

    Raises:
        UnreadableAudioError: nothing can be read, or samples are NaN or infinite.
    """
    with _opened(path) as file:
        rate = file.samplerate
        resampler = None if rate == sample_rate else soxr.ResampleStream(rate, sample_rate, 1, dtype="float32")
        frames = 0
        damage = ""
        while not damage:
            try:
                block = file.read(_BLOCK_FRAMES, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError as error:
                damage = f"is damaged ({_library_reason(error)})"
                break
            if not len(block):
                break
            mono = block[:, 0] if block.shape[1] == 1 else block.mean(axis=1)
            finite = np.isfinite(mono)
            if not finite.all():
                seconds = (frames + int(np.argmin(finite))) / rate
                raise UnreadableAudioError(path, f"holds NaN or infinite samples, the first at {seconds:.3f} s")
            frames += len(block)
            yield mono if resampler is None else resampler.resample_chunk(mono)
        if resampler is not None and frames:
            yield resampler.resample_chunk(np.zeros(0, dtype=np.float32), last=True)
        expected = max(file.frames, _frames_in_header(path, file))

    if not frames:
        raise UnreadableAudioError(path, damage or "holds no samples")
    if not damage and expected - frames > _TOLERATED_SECONDS * rate:
        damage = "is cut short"
    if damage:
        remark = f"{damage}; only the first {frames / rate:.2f} s of {expected / rate:.2f} s were read"
        if on_remark is None:
            warnings.warn(f"{path} {remark}", stacklevel=2)
        else:
            on_remark(remark)


def pcm16(waveform: NDArray[np.floating]) -> NDArray[np.int16]:
    """Returns a waveform in [-1, 1] as 16-bit samples, rounded and clipped.

    >>> pcm16(np.array([-1.0, 0.0, 0.5, 1.0])).tolist()
    [-32768, 0, 16384, 32767]
    """
    return np.clip(np.round(np.asarray(waveform) * 32768.0), -32768, 32767).astype(np.int16)


def from_pcm16(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    """Returns 16-bit samples as a waveform in [-1, 1).

    >>> from_pcm16(np.array([-32768, 0, 16384], np.int16)).tolist()
    [-1.0, 0.0, 0.5]
    """
    return samples.astype(np.float32) / np.float32(32768)


def printable(name: str) -> str:
    r"""Returns a file's name with control characters and bytes that are not UTF-8 replaced.

    >>> printable("new\nline \udce9") == "new\ufffdline \ufffd"
    True
    """
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", "\ufffd", os.fsencode(name).decode("utf-8", "replace"))


def readable_status(path: Path) -> os.stat_result:
    """Returns the status of a file that can be opened and is not empty.

    Raises:
        UnreadableAudioError: it cannot be opened, or is empty; libsndfile would only report "System error".
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would block
            raise UnreadableAudioError(path, "not a regular file")
        with path.open("rb"):
            pass
    except OSError as error:
        raise UnreadableAudioError(path, (error.strerror or str(error)).lower()) from None
    if not status.st_size:
        raise UnreadableAudioError(path, "the file is empty (0 bytes)")
    return status


@contextmanager
def _opened(path: Path) -> Iterator[soundfile.SoundFile]:
    readable_status(path)
    try:
        file = soundfile.SoundFile(os.fsencode(path))  # soundfile cannot encode every file name
    except soundfile.LibsndfileError as error:
        raise UnreadableAudioError(path, _unreadable_reason(path, error)) from None
    except TypeError:  # soundfile needs rate and channels for .raw
        raise UnreadableAudioError(path, "raw samples without a header; convert it to WAV or FLAC") from None
    with file:
        if not _LEAST_RATE <= file.samplerate <= _GREATEST_RATE:
            raise UnreadableAudioError(path, f"its header says {file.samplerate} Hz")
        yield file


def _unreadable_reason(path: Path, error: soundfile.LibsndfileError) -> str:
    if path.suffix.lower() in UNDECODABLE_SUFFIXES:
        return f"{path.suffix.lower()} cannot be decoded here; convert it to WAV or FLAC"
    return f"not audio that can be decoded ({_library_reason(error)})"


def _library_reason(error: soundfile.LibsndfileError) -> str:
    return str(error.error_string).strip().rstrip(".").removeprefix("Error : ")


def _frames_in_header(path: Path, file: soundfile.SoundFile) -> int:
    """Returns the frames in a WAV or AIFF header; libsndfile reports only those that are present."""
    bits = {"PCM_U8": 8, "PCM_S8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32, "FLOAT": 32, "DOUBLE": 64}
    if file.format not in {"WAV", "WAVEX", "AIFF"} or file.subtype not in bits:
        return 0
    with path.open("rb") as stream:
        little_endian = stream.read(4) == b"RIFF"
        stream.seek(12)
        while len(head := stream.read(8)) == 8:
            size = int.from_bytes(head[4:], "little" if little_endian else "big")
            if head[:4] in {b"data", b"SSND"}:
                # A writer to a pipe leaves an impossible size, which means unknown.
                return 0 if size >= 0x7FFFFFFF else size * 8 // (bits[file.subtype] * file.channels)
            stream.seek(size + size % 2, os.SEEK_CUR)
    return 0
