"""Audio out of an engine: chunk after chunk, or all at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from fast_gen.engines.condition import ChunkCondition
from fast_gen.engines.contract import Engine
from fast_gen.engines.sampling import SamplingSettings, uniforms
from wavenet_app.core.errors import UserError

CHUNK_SAMPLES = 1024  # 64 ms at 16 kHz: short enough to play at once, long enough for an engine to get going


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
    """Returns an iterator over a batch of clips, in chunks that joined are the same for any chunk length.

    The engine starts anew: each clip begins after one receptive field of silence, which is how training pads the start
    of every file, and after `prime_codes` where they are given. Clip number `row` uses the uniform numbers of
    (seed, row), so on the CPU it is the same whichever other clips are generated with it. The engine is in use until
    the iterator is done with; memory does not grow with time.

    Args:
        engine: what generates.
        num_samples: length of each clip, in samples; None goes on for ever.
        batch_size: number of clips.
        seed: any integer.
        settings: temperature, top-k and top-p.
        first_row: number of the first clip.
        prime_codes: codes that the clips continue, (time,) for all or (batch_size, time). They are no part of
            the result.
        condition: what the model is told throughout, such as a speaker: a single step that holds for ever.
        chunk_samples: samples in a chunk; the last one may be shorter.

    Returns:
        Waveforms, float32 (batch_size, up to chunk_samples) in [-1, 1], at the level that the model was trained on:
        divide by the gain that stands in the checkpoint for the level of the training files.

    Raises:
        UserError: a count is too small.
        ValueError: `prime_codes` has the wrong shape or codes that the model does not know.
    """
    for what, count in (("samples", num_samples), ("clips", batch_size), ("samples a chunk", chunk_samples)):
        if count is not None and count < 1:
            raise UserError(f"the number of {what} must be at least 1, not {count}")
    coding = engine.weights.coding
    context = np.full((batch_size, engine.weights.receptive_field), coding.silence, dtype=np.int64)
    if prime_codes is not None:
        clips = np.broadcast_to(prime_codes, (batch_size, np.shape(prime_codes)[-1]))
        context = np.concatenate([context, clips], axis=1)
    engine.reset(batch_size)
    engine.prime(context, condition)

    def chunks() -> Iterator[NDArray[np.float32]]:
        start = 0
        while num_samples is None or start < num_samples:
            length = chunk_samples if num_samples is None else min(chunk_samples, num_samples - start)
            numbers = uniforms(seed, rows=batch_size, first_row=first_row, start=start, length=length)
            yield coding.decode(engine.generate(numbers, settings, condition))
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
        engine: what generates.
        num_samples: length of each clip, in samples.
        batch_size: number of clips.
        seed: any integer.
        settings: temperature, top-k and top-p.
        first_row: number of the first clip.
        prime_codes: codes that the clips continue, (time,) for all or (batch_size, time).
        condition: what the model is told throughout, such as a speaker.
        progress: called after each chunk with the number of samples of a clip that it brought.

    Returns:
        float32 (batch_size, num_samples) in [-1, 1], at the level that the model was trained on. The model's
        coding turns it back into exactly the codes that were picked.

    Raises:
        UserError: a count is too small.
        ValueError: `prime_codes` has the wrong shape or codes that the model does not know.
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
