"""Recordings that clips continue: found, their ends read, and brought to the rate and level of a model."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fast_gen.generation.level import matched_gain, second_peaks
from wavenet_app.audio.decoding import UnreadableAudioError, probe
from wavenet_app.audio.files import printable
from wavenet_app.audio.mono import read_blocks
from wavenet_app.coding import Coding
from wavenet_app.config import RunConfig
from wavenet_app.core.errors import UserError
from wavenet_app.corpus.sources import scan_sources

MOST_BY_DEFAULT = 16
"""Recordings that are continued where nobody says how many clips there are to be."""

Say = Callable[[str], None]
"""Takes a line that the user should read."""


@dataclass(frozen=True, eq=False)
class Prime:
    """A recording to continue.

    Attributes:
        path: the file.
        waveform: float32 (samples,), its end at the model's rate and level, as much of it as was asked for.
    """

    path: Path
    waveform: NDArray[np.float32]


def find_primes(paths: Sequence[Path], say: Say) -> list[Path]:
    """Returns the recordings that are named and those in folders that are named, in order.

    Raises:
        UserError: a path does not exist, or there is no audio in any.
    """
    if not paths:
        return []
    sources = scan_sources(paths)
    for folder, reason in sources.unlisted:
        say(f"left out: {printable(str(folder))}: {reason}")
    if sources.remark:
        say(f"--prime: {sources.remark}")
    if not sources.files:
        raise UserError(f"there is no audio to continue in {', '.join(str(path) for path in paths)}")
    return [file for _, file in sources.files]


def read_primes(
    files: Sequence[Path], config: RunConfig, *, named: Sequence[Path], clips: int, samples: int | None, say: Say
) -> tuple[Prime, ...]:
    """Reads as many recordings as there are clips, or fewer if there are no more; what is not taken is said.

    Args:
        files: the recordings.
        config: of the run that the model comes from.
        named: what the user named; a file among them that cannot be read is an error, one in a folder is left out.
        clips: that are to be generated.
        samples: of each end, at the model's rate; None for whole recordings.
        say: takes what the user should know.

    Raises:
        UserError: none can be read, or not one of those that were named.
    """
    primes: list[Prime] = []
    left_out = 0
    for file in files:
        if len(primes) == clips:
            break
        try:
            primes.append(_read_prime(file, config, samples, say))
        except UnreadableAudioError as error:
            if file in named:
                raise
            left_out += 1
            say(f"left out: {error}")
    if not primes:
        raise UserError(f"none of the {left_out} recordings to continue can be read")
    if left_out:
        say(f"{left_out} recordings are left out")
    beyond = len(files) - left_out - len(primes)
    if beyond:
        say(f"{len(primes)} of {len(files)} recordings are continued; {beyond} more with -n {len(primes) + beyond}")
    return tuple(primes)


def prime_codes(
    primes: Sequence[Prime], *, first_row: int, rows: int, samples: int, coding: Coding
) -> NDArray[np.int64] | None:
    """Returns the codes (rows, time) that clips continue, None without primes; the primes take turns over the rows.

    A prime that is shorter than others has silence before it, as an engine puts it before every clip.

    Args:
        primes: the recordings.
        first_row: number of the first clip.
        rows: how many clips.
        samples: that a model can see; what lies further back is left out.
        coding: the model's.
    """
    if not primes:
        return None
    ends = [coding.encode(prime.waveform)[-samples:] for prime in primes]
    chosen = [ends[(first_row + row) % len(ends)] for row in range(rows)]
    codes = np.full((rows, max(map(len, chosen))), coding.silence, np.int64)
    for row, end in zip(codes, chosen, strict=True):
        row[len(row) - len(end) :] = end
    return codes


def _read_prime(path: Path, config: RunConfig, samples: int | None, say: Say) -> Prime:
    """Reads a recording once, in memory that depends on what is kept alone."""
    name = printable(path.name)
    rate = config.audio.sample_rate
    end: deque[NDArray[np.float32]] = deque()
    length = 0

    def kept(blocks: Iterator[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        nonlocal length
        for block in blocks:
            end.append(block)
            length += len(block)
            while samples is not None and length - len(end[0]) >= samples:
                length -= len(end.popleft())
            yield block

    blocks = read_blocks(path, rate, lambda remark: say(f"note: {name} {remark}"))
    gain, remark = matched_gain(second_peaks(kept(blocks), rate), config)
    native_rate = probe(path).sample_rate
    if native_rate != rate:
        say(f"note: {name} is resampled from {native_rate:,} Hz to {rate:,} Hz")
    if remark is not None:
        say(f"note: {name}: {remark}")
    joined = np.concatenate([np.zeros(0, np.float32), *end])
    waveform = joined if samples is None else joined[len(joined) - min(samples, len(joined)) :]
    return Prime(path, np.clip(waveform * np.float32(gain), np.float32(-1), np.float32(1)))
