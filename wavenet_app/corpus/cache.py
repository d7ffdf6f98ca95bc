"""A cache of decoded audio: 16-bit samples on disk, keyed by the content of the source file and memory-mapped.

An entry is two files under `<cache>/<settings>/<xx>/`: `<hash>.npy`, int16 of shape (samples,), and `<hash>.json`,
which is written last and marks the entry as complete.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import tempfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavenet_app.audio.decoding import UnreadableAudioError, probe, readable_status
from wavenet_app.audio.mono import read_blocks
from wavenet_app.core.cores import usable_cores
from wavenet_app.core.errors import UserError
from wavenet_app.core.files import HOUR, replacing, sweep_parts
from wavenet_app.corpus.stored_samples import BlockChecksums, read_samples

FORMAT_VERSION = 3  # increase it when decoding changes samples or remarks
_TAIL_BYTES = 4096  # an interrupted write loses the end of a file, so opening an entry checks this much of it
_SPOOL_BYTES = 32 * 2**20
_BATCH_FILES = 1024
_FRAMES_PER_SECOND = 100
_MARGIN_SECONDS = 0.05
_LEVELS_PER_DECIBEL = 2
_LOWEST_DECIBELS = 200
_KEY = re.compile(r"[0-9a-f]{32}")
# what Python raises where damaged JSON holds other values than were written
_NO_VALUES = (ValueError, TypeError, AttributeError, OverflowError, RecursionError)

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class CachedAudio:
    """One decoded file.

    Attributes:
        path: the `.npy` file, int16, shape (num_samples,).
        key: hash of the content of the source.
        num_samples: length at `sample_rate`.
        sample_rate: of the cached samples, in Hz.
        exponent: waveform = samples / 2^exponent; a power of two keeps 16-bit sources exact.
        peak: maximum magnitude of the waveform.
        second_peaks: the peak of each second (100 frames of 10 ms) of the waveform.
        rises: (frame, level) of each 10 ms frame that is louder than all earlier ones; the level is in half decibels
            relative to the peak. These few pairs give the first frame at any level.
        falls: (frame, level) of each frame that is louder than all later ones, from the end backwards.
        native_rate: sample rate of the source, in Hz.
        channels: number of channels of the source.
        remark: what is wrong with a damaged source, or None.
        checksums: of each block of the samples, as `stored_samples` checks them; empty for an older entry.
    """

    path: Path
    key: str
    num_samples: int
    sample_rate: int
    exponent: int
    peak: float
    second_peaks: tuple[float, ...]
    rises: tuple[tuple[int, int], ...]
    falls: tuple[tuple[int, int], ...]
    native_rate: int
    channels: int
    remark: str | None
    checksums: bytes = b""

    @property
    def scale(self) -> float:
        """Value of one step of the stored samples."""
        return 2.0**-self.exponent

    def divided(self, bits: int) -> CachedAudio:
        """Returns the same samples as a waveform divided by 2^bits."""
        factor = 2.0**-bits
        peaks = tuple(factor * peak for peak in self.second_peaks)
        return replace(self, exponent=self.exponent + bits, peak=factor * self.peak, second_peaks=peaks)

    def trimmed(self, decibels: float) -> tuple[int, int]:
        """Returns start and stop, in samples, of the file without its quiet ends.

        The ends consist of 10 ms frames more than `decibels` below the peak of the file; a margin of 50 ms is kept.
        0 trims nothing.
        """
        if not decibels or not self.rises:
            return 0, self.num_samples
        frame, margin = _frame_length(self.sample_rate), round(_MARGIN_SECONDS * self.sample_rate)
        least = -decibels * _LEVELS_PER_DECIBEL
        first = next(index for index, level in self.rises if level >= least)
        last = next(index for index, level in self.falls if level >= least)
        return max(0, first * frame - margin), min(self.num_samples, (last + 1) * frame + margin)

    def peaks_between(self, start: int, stop: int) -> tuple[float, ...]:
        """Returns the peaks of the seconds that overlap with samples start to stop."""
        length = _frame_length(self.sample_rate) * _FRAMES_PER_SECOND
        return self.second_peaks[start // length : -(-stop // length)]

    def samples(self) -> NDArray[np.int16]:
        """Returns the stored samples as a read-only memory map, shape (num_samples,).

        Raises:
            UserError: the entry has gone or is damaged.
        """
        return read_samples(self.path, 0, self.num_samples, self.checksums)


class AudioCache:
    """A folder of decoded audio at one sample rate.

    Safe for several threads and processes at once: entries appear complete, and a second writer writes the same.

    Args:
        folder: cache folder, shared by all sample rates.
        sample_rate: rate that files are resampled to, in Hz.
    """

    def __init__(self, folder: Path, sample_rate: int) -> None:
        self.folder = folder
        self.sample_rate = sample_rate
        self._entries = folder / f"pcm16_v{FORMAT_VERSION}_{sample_rate}hz"
        self._swept: set[Path] = set()
        self._memo_path = folder / "hashes.json"

    def decode_all(
        self, paths: Sequence[Path], progress: Progress | None = None
    ) -> list[CachedAudio | UnreadableAudioError]:
        """Returns the entry of each path in order, or its error; decodes missing entries in threads.

        Args:
            paths: audio files.
            progress: called in this thread after each file with (done, total, file name).

        Raises:
            UserError: the cache cannot be written.
        """
        memo = self._read_memo()
        known = dict(memo)
        results: list[CachedAudio | UnreadableAudioError] = []
        # Decoding and resampling release the interpreter's lock, so threads suffice.
        with ThreadPoolExecutor(max_workers=min(8, usable_cores())) as pool:
            try:
                # In batches, because a waiting future takes more memory than its result.
                for first in range(0, len(paths), _BATCH_FILES):
                    batch = paths[first : first + _BATCH_FILES]
                    futures = {pool.submit(self._outcome, path, memo): path for path in batch}
                    for done, future in enumerate(as_completed(futures), start=first + 1):
                        future.result()
                        if progress is not None:
                            progress(done, len(paths), futures[future].name)
                    results += [future.result() for future in futures]
            finally:
                pool.shutdown(cancel_futures=True)
                if memo != known:
                    self._write_memo(memo)
        return results

    def store(
        self, key: str, blocks: Iterable[NDArray[np.float32]], *, native_rate: int, channels: int, remarks: list[str]
    ) -> CachedAudio:
        """Writes an entry from blocks of a waveform at the cache's rate, in constant memory.

        Args:
            key: name of the entry.
            blocks: consecutive parts of the waveform, each of shape (samples,).
            native_rate: sample rate of the source in Hz, stored in the entry.
            channels: number of channels of the source, stored in the entry.
            remarks: read after the last block and stored in the entry.

        Raises:
            UserError: the cache cannot be written.
        """
        path = self._path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.parent not in self._swept:
                self._swept.add(path.parent)
                sweep_parts(path.parent, older_than=HOUR)
            with tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES, dir=str(path.parent)) as spool:
                num_samples, low, high = 0, 0.0, 0.0
                for block in blocks:
                    spool.write(block.astype("<f4", copy=False).tobytes())
                    num_samples += len(block)
                    low = min(low, float(block.min(initial=0.0)))
                    high = max(high, float(block.max(initial=0.0)))
                exponent = _exponent(low, high)
                spool.seek(0)
                frame = _frame_length(self.sample_rate)
                frame_peaks: list[NDArray[np.float32]] = []
                tail = b""
                checksums = BlockChecksums()
                with replacing(path) as file:
                    header = {"descr": "<i2", "fortran_order": False, "shape": (num_samples,)}
                    np.lib.format.write_array_header_1_0(file, header)
                    while data := spool.read(4 * frame * 4096):
                        waveform = np.frombuffer(data, dtype="<f4")
                        frame_peaks.append(np.maximum.reduceat(np.abs(waveform), np.arange(0, len(waveform), frame)))
                        stored = np.round(waveform.astype(np.float64) * 2.0**exponent).astype("<i2").tobytes()
                        file.write(stored)
                        checksums.add(stored)
                        tail = (tail + stored)[-_TAIL_BYTES:]
                    length = file.tell()
            peaks = np.concatenate(frame_peaks) if frame_peaks else np.zeros(0, dtype=np.float32)
            levels = _levels(peaks) if peaks.any() else np.zeros(0, dtype=np.int64)
            seconds = np.arange(0, len(peaks), _FRAMES_PER_SECOND)
            entry = CachedAudio(
                path=path,
                key=key,
                num_samples=num_samples,
                sample_rate=self.sample_rate,
                exponent=exponent,
                peak=max(-low, high),
                second_peaks=tuple(np.maximum.reduceat(peaks, seconds).tolist()) if len(peaks) else (),
                rises=tuple(_records(levels)),
                falls=tuple((len(levels) - 1 - index, level) for index, level in _records(levels[::-1])),
                native_rate=native_rate,
                channels=channels,
                remark="; ".join(remarks) or None,
                checksums=checksums.bytes(),
            )
            values = {
                **asdict(entry),
                "path": path.name,
                "checksums": entry.checksums.hex(),
                "bytes": length,
                "tail": zlib.crc32(tail),
            }
            self._write_json(path.with_suffix(".json"), {**values, "digest": _digest(values)})
        except OSError as error:
            raise _cannot_write(self.folder, error) from None
        return entry

    def load(self, key: str) -> CachedAudio | None:
        """Returns the entry with this key, or None if it is missing or damaged."""
        path = self._path(key)
        try:
            values = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
            # entries from before there was a digest have none
            if "digest" in values and values.pop("digest") != _digest(values):
                return None
            length, tail = values.pop("bytes"), values.pop("tail")
            for name in ("rises", "falls"):
                values[name] = tuple((index, level) for index, level in values[name])
            values["second_peaks"] = tuple(values["second_peaks"])
            values["checksums"] = bytes.fromhex(values.get("checksums", ""))
            entry = replace(CachedAudio(**values), path=path)
            with path.open("rb") as file:
                whole = file.seek(0, os.SEEK_END) == length
                file.seek(-min(_TAIL_BYTES, 2 * entry.num_samples), os.SEEK_END)
                whole = whole and zlib.crc32(file.read()) == tail
        except (OSError, KeyError, *_NO_VALUES):
            return None
        return entry if whole else None

    def _outcome(self, path: Path, memo: dict[str, list[Any]]) -> CachedAudio | UnreadableAudioError:
        try:
            return self._entry(path, memo)
        except UnreadableAudioError as error:
            return error.with_traceback(None)

    def _entry(self, path: Path, memo: dict[str, list[Any]]) -> CachedAudio:
        status = readable_status(path)
        stamp = [status.st_size, status.st_mtime_ns]
        name = str(path.absolute())
        remembered = memo.get(name)
        if remembered is None or remembered[:2] != stamp:
            remembered = [*stamp, _content_hash(path)]
            memo[name] = remembered
        entry = self.load(remembered[2])
        if entry is None:
            info = probe(path)
            remarks: list[str] = []
            entry = self.store(
                remembered[2],
                read_blocks(path, self.sample_rate, remarks.append),
                native_rate=info.sample_rate,
                channels=info.channels,
                remarks=remarks,
            )
        return entry

    def _path(self, key: str) -> Path:
        return self._entries / key[:2] / f"{key}.npy"

    def _read_memo(self) -> dict[str, list[Any]]:
        """Returns path -> [size, modification time, hash], so a later start does not have to read every file."""
        try:
            memo = json.loads(self._memo_path.read_text(encoding="utf-8"))
            known: dict[str, list[Any]] = {
                name: [int(size), int(time), str(key)] for name, (size, time, key) in memo.items()
            }
        except (OSError, *_NO_VALUES):
            return {}
        return {name: values for name, values in known.items() if _KEY.fullmatch(values[2])}

    def _write_memo(self, memo: dict[str, list[Any]]) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._write_json(self._memo_path, {**self._read_memo(), **memo})
        except OSError as error:
            raise _cannot_write(self.folder, error) from None

    @staticmethod
    def _write_json(path: Path, values: dict[str, Any]) -> None:
        with replacing(path) as file:
            file.write(json.dumps(values).encode())


def _exponent(low: float, high: float) -> int:
    """Returns the largest exponent at which low and high, times 2^exponent, fit in 16 bits."""
    peak = max(-low, high)
    if not peak:
        return 15
    exponent = math.floor(math.log2(32768 / peak))
    return exponent - 1 if round(high * 2.0**exponent) > 32767 or round(low * 2.0**exponent) < -32768 else exponent


def _frame_length(sample_rate: int) -> int:
    return max(1, round(sample_rate / _FRAMES_PER_SECOND))


def _levels(frame_peaks: NDArray[np.float32]) -> NDArray[np.int64]:
    """Returns the level of each frame in half decibels, rounded down; the loudest frame is at 0."""
    relative = np.maximum(frame_peaks / frame_peaks.max(), 10 ** (-_LOWEST_DECIBELS / 20))
    return np.floor(20 * np.log10(relative) * _LEVELS_PER_DECIBEL).astype(np.int64)


def _records(levels: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Returns (index, level) of each level that is above all earlier ones.

    >>> _records(np.array([-9, -9, -3, -5, 0, -1]))
    [(0, -9), (2, -3), (4, 0)]
    """
    if not len(levels):
        return []
    best = np.maximum.accumulate(levels)
    return [(int(index), int(best[index])) for index in np.flatnonzero(np.diff(best, prepend=best[0] - 1))]


def _content_hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as error:
        raise UnreadableAudioError(path, (error.strerror or str(error)).lower()) from None


def _digest(values: dict[str, Any]) -> int:
    """Returns a checksum of an entry's values, as they are after they have been written as JSON."""
    return zlib.crc32(json.dumps(values, sort_keys=True).encode())


def _cannot_write(folder: Path, error: OSError) -> UserError:
    return UserError(f"cannot write the audio cache in {folder}: {(error.strerror or str(error)).lower()}")
