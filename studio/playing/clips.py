"""Recordings that visitors send: as samples to hear, and as codes that a clip continues."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fast_gen.generation.primes import prime_codes, read_primes, samples_heard
from studio.playing.engines import Loaded
from studio.web.uploads import Upload
from wavenet_app.audio.decoding import UnreadableAudioError
from wavenet_app.audio.files import pcm16
from wavenet_app.audio.mono import read_blocks
from wavenet_app.core.errors import UserError

LONGEST_SECONDS = 300.0
"""How much of a recording is heard and drawn."""


def heard(upload: Upload, sample_rate: int) -> tuple[NDArray[np.int16], list[str]]:
    """Returns a recording at a sample rate, (samples,), at most `LONGEST_SECONDS` of it, and notes.

    Raises:
        UserError: it cannot be read, or is empty.
    """
    notes: list[str] = []
    most = round(LONGEST_SECONDS * sample_rate)
    try:
        blocks = list(_up_to(read_blocks(upload.path, sample_rate, notes.append), most))
    except UnreadableAudioError as error:
        raise UserError(f"{upload.name}: {error.reason}") from None
    waveform = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
    if not len(waveform):
        raise UserError(f"{upload.name}: it holds no sound")
    if len(waveform) > most:
        waveform = waveform[:most]
        notes.append(f"is longer than {LONGEST_SECONDS:.0f} s; the rest is left out")
    return pcm16(waveform), notes


def codes_to_continue(upload: Upload, loaded: Loaded) -> NDArray[np.int64] | None:
    """Returns the codes of the end of a recording, (1, time), as `wavegen sample --prime` takes them.

    Raises:
        UserError: it cannot be read.
    """
    model = loaded.config.model
    samples = samples_heard(model)
    try:
        primes = read_primes(
            [upload.path], loaded.config, named=[upload.path], clips=1, samples=samples, say=_say_nothing
        )
    except UnreadableAudioError as error:
        raise UserError(f"{upload.name}: {error.reason}") from None
    return prime_codes(primes, first_row=0, rows=1, samples=samples, coding=model.coding)


def command_name(upload: Upload) -> str:
    """Returns what a recording is called on a command line."""
    return Path(upload.name).name


def _up_to(blocks: Iterator[NDArray[np.float32]], most: int) -> Iterator[NDArray[np.float32]]:
    """Yields blocks until they hold more than `most` samples."""
    count = 0
    for block in blocks:
        yield block
        count += len(block)
        if count > most:
            return


def _say_nothing(_line: str) -> None:
    """Takes notes that `heard` has given already."""
