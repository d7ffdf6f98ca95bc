"""Audio out of an engine: chunk after chunk, or all at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fast_gen.engines.condition import ChunkCondition
from fast_gen.engines.contract import Engine
from fast_gen.engines.sampling import SamplingSettings, uniforms
from wavenet_app.core.errors import UserError

CHUNK_SAMPLES = 1024  # 64 ms at 16 kHz: short enough to play soon, long enough to run an engine at full speed


@dataclass(frozen=True, eq=False)
class Steering:
    """How the codes of a chunk are picked.

    Attributes:
        settings: temperature, top-k and top-p.
        condition: the conditioning, such as a speaker: a single step that does not end; None for none.
    """

    settings: SamplingSettings
    condition: ChunkCondition | None = None


def stream(
    engine: Engine,
    *,
    num_samples: int | None,
    batch_size: int = 1,
    seed: int,
    settings: SamplingSettings,
    first_row: int = 0,
    prime_codes: NDArray[np.integer] | None = None,
    condition: ChunkCondition | None = None,
    chunk_samples: int = CHUNK_SAMPLES,
) -> Iterator[NDArray[np.float32]]:
    """Returns an iterator over a batch of clips in chunks; joined, they are the same for any chunk length.

    The engine is reset: each clip starts after one receptive field of silence, which is how training pads the start of
    every file, and after `prime_codes` if they are given. Clip number `row` uses the uniform numbers of (seed, row), so
    on the CPU it is the same in a batch of any clips. The engine is in use until the iterator ends; memory does not
    grow with time.

    Args:
        engine: generates the samples.
        num_samples: length of each clip, in samples; None for no end.
        batch_size: number of clips.
        seed: any integer.
        settings: temperature, top-k and top-p.
        first_row: number of the first clip.
        prime_codes: codes that the clips continue, (time,) for all or (batch_size, time); not part of the result.
        condition: the conditioning of the whole clip, such as a speaker: a single step that does not end.
        chunk_samples: samples in a chunk; the last one may be shorter.

    Returns:
        Waveforms, float32 (batch_size, up to chunk_samples) in [-1, 1], at the level of the training; `output_level`
        brings them to that of the recordings.

    Raises:
        UserError: a count is too small.
        ValueError: `prime_codes` has the wrong shape or codes outside the range of the model.
    """
    return steered(
        engine,
        num_samples=num_samples,
        batch_size=batch_size,
        seed=seed,
        steering=lambda: Steering(settings, condition),
        first_row=first_row,
        prime_codes=prime_codes,
        chunk_samples=chunk_samples,
    )


def steered(
    engine: Engine,
    *,
    num_samples: int | None,
    batch_size: int = 1,
    seed: int,
    steering: Callable[[], Steering],
    first_row: int = 0,
    prime_codes: NDArray[np.integer] | None = None,
    chunk_samples: int = CHUNK_SAMPLES,
) -> Iterator[NDArray[np.float32]]:
    """Returns what `stream` does, with settings and a condition that may change from chunk to chunk.

    Args:
        engine: as in `stream`, like all but `steering`.
        num_samples: length of each clip, in samples; None for no end.
        batch_size: number of clips.
        seed: any integer.
        steering: called before the clips are primed, and before each chunk.
        first_row: number of the first clip.
        prime_codes: codes that the clips continue.
        chunk_samples: samples in a chunk; the last one may be shorter.

    Raises:
        UserError: a count is too small.
        ValueError: `prime_codes` has the wrong shape or codes outside the range of the model.
    """
    for what, count in (("samples", num_samples), ("clips", batch_size), ("samples a chunk", chunk_samples)):
        if count is not None and count < 1:
            raise UserError(f"the number of {what} must be at least 1, not {count}")
    coding = engine.weights.coding
    context = np.full((batch_size, engine.weights.context), coding.silence, dtype=np.int64)
    if prime_codes is not None:
        clips = np.broadcast_to(prime_codes, (batch_size, np.shape(prime_codes)[-1]))
        context = np.concatenate([context, clips], axis=1)
    engine.reset(batch_size)
    engine.prime(context, steering().condition)

    def chunks() -> Iterator[NDArray[np.float32]]:
        start = 0
        while num_samples is None or start < num_samples:
            length = chunk_samples if num_samples is None else min(chunk_samples, num_samples - start)
            numbers = uniforms(seed, rows=batch_size, first_row=first_row, start=start, length=length)
            now = steering()
            yield coding.decode(engine.generate(numbers, now.settings, now.condition))
            start += length

    return chunks()


def generate(
    engine: Engine,
    *,
    num_samples: int,
    batch_size: int = 1,
    seed: int,
    settings: SamplingSettings,
    first_row: int = 0,
    prime_codes: NDArray[np.integer] | None = None,
    condition: ChunkCondition | None = None,
    progress: Callable[[int], None] | None = None,
) -> NDArray[np.float32]:
    """Returns whole clips: the chunks of `stream`, joined.

    Args:
        engine: generates the samples.
        num_samples: length of each clip, in samples.
        batch_size: number of clips.
        seed: any integer.
        settings: temperature, top-k and top-p.
        first_row: number of the first clip.
        prime_codes: codes that the clips continue, (time,) for all or (batch_size, time).
        condition: the conditioning of the whole clip, such as a speaker.
        progress: called after each chunk with its number of samples.

    Returns:
        float32 (batch_size, num_samples) in [-1, 1], at the level of the training. The model's coding turns it back
        into exactly the codes that were picked.

    Raises:
        UserError: a count is too small.
        ValueError: `prime_codes` has the wrong shape or codes outside the range of the model.
    """
    chunks = stream(
        engine,
        num_samples=num_samples,
        batch_size=batch_size,
        seed=seed,
        settings=settings,
        first_row=first_row,
        prime_codes=prime_codes,
        condition=condition,
    )
    waveform = np.empty((batch_size, num_samples), dtype=np.float32)
    start = 0
    for chunk in chunks:
        waveform[:, start : start + chunk.shape[1]] = chunk
        start += chunk.shape[1]
        if progress is not None:
            progress(chunk.shape[1])
    return waveform
