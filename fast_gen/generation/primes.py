"""Recordings that clips continue: found, read from the end, and brought to the rate and level of a model."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fast_gen.engines.quiet import QUIET_SAMPLES
from fast_gen.generation.level import matched_gain, second_peaks
from wavenet_app.audio.decoding import UnreadableAudioError, probe
from wavenet_app.audio.files import printable
from wavenet_app.audio.mono import read_blocks
from wavenet_app.coding import Coding
from wavenet_app.config import ModelConfig, RunConfig
from wavenet_app.core.errors import UserError
from wavenet_app.corpus.sources import scan_sources

MOST_BY_DEFAULT = 16
"""Recordings that are continued without -n."""

Say = Callable[[str], None]
"""Prints a note for the user."""


@dataclass(frozen=True, eq=False)
class Prime:
    """A recording to continue.

    Attributes:
        path: the file.
        waveform: float32 (samples,), its end, or all of it, at the model's rate and level.
    """

    path: Path
    waveform: NDArray[np.float32]


def samples_heard(model: ModelConfig) -> int:
    """Returns how many samples of a recording matter: what a prediction depends on, and what makes a clip quiet."""
    return max(model.context, QUIET_SAMPLES)


def find_primes(paths: Sequence[Path], say: Say) -> list[Path]:
    """Returns the recordings among the paths and in the folders among them, in order.

    Raises:
        UserError: a path does not exist, or none has audio.
    """
    if not paths:
        return []
    sources = scan_sources(paths)
    for folder, reason in sources.unlisted:
        say(f"skipped: {printable(str(folder))}: {reason}")
    if sources.remark:
        say(f"--prime: {sources.remark}")
    if not sources.files:
        raise UserError(f"there is no audio to continue in {', '.join(str(path) for path in paths)}")
    return [file for _, file in sources.files]


def read_primes(
    files: Sequence[Path], config: RunConfig, *, named: Sequence[Path], clips: int, samples: int | None, say: Say
) -> tuple[Prime, ...]:
    """Reads at most one recording for each clip; skipped ones are listed.

    Args:
        files: the recordings.
        config: of the model's run.
        named: the paths from the user; an unreadable file among them is an error, one in a folder is skipped.
        clips: how many to generate.
        samples: at the end of each, at the model's rate; None for whole recordings.
        say: prints a note.

    Raises:
        UserError: none can be read, or one in `named` cannot.
    """
    primes: list[Prime] = []
    skipped = 0
    for file in files:
        if len(primes) == clips:
            break
        try:
            primes.append(_read_prime(file, config, samples, say))
        except UnreadableAudioError as error:
            if file in named:
                raise
            skipped += 1
            say(f"skipped: {error}")
    if not primes:
        raise UserError(f"none of the {skipped} recordings to continue can be read")
    if skipped:
        say(f"{skipped} recordings are skipped")
    beyond = len(files) - skipped - len(primes)
    if beyond:
        say(f"{len(primes)} of {len(files)} recordings are continued; {beyond} more with -n {len(primes) + beyond}")
    return tuple(primes)


def prime_codes(
    primes: Sequence[Prime], *, first_row: int, rows: int, samples: int, coding: Coding
) -> NDArray[np.int64] | None:
    """Returns the codes (rows, time) that clips continue, None without primes; primes take turns over the rows.

    A prime that is shorter than others starts with silence, as every clip of an engine does.

    Args:
        primes: the recordings.
        first_row: of the first clip.
        rows: how many clips.
        samples: how many are kept; earlier ones are dropped.
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
    """Reads a recording once, in memory that grows only with the samples that are kept."""
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
