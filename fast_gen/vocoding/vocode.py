"""Log-mel frames to waveform, block by block, in memory that does not depend on the length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import tee

import numpy as np
from numpy.typing import NDArray

from fast_gen.engines.condition import ChunkCondition, on_device, projected
from fast_gen.engines.contract import Engine
from fast_gen.engines.sampling import SamplingSettings, uniforms
from fast_gen.vocoding.filtered import filtered
from wavenet_app.audio.frame_filter import FrameFilter
from wavenet_app.audio.mel import Frames, silent_conditioning
from wavenet_app.network.conditioning import CONTEXT_FRAMES, Conditioning
from wavenet_app.network.model import WaveNet

BLOCK_FRAMES = 16  # 0.2 s: short enough for progress and for interruptions


def vocode(
    engine: Engine,
    model: WaveNet,
    frames: Iterable[Frames],
    *,
    frame_filter: FrameFilter | None,
    shares: NDArray[np.float32] | None = None,
    seed: int,
    settings: SamplingSettings,
    block_frames: int = BLOCK_FRAMES,
) -> Iterator[NDArray[np.float32]]:
    """Returns an iterator over the waveform of frames in blocks; joined, they are the same for any block length.

    The clip starts after silence, as in training: silence codes, and frames of silence.

    Args:
        engine: generates, with the weights of the model; in use until the iterator ends.
        model: projects the frames.
        frames: all frames of the clip, in pieces (frames, columns), as `MelFrames.conditioning` makes them; read
            when needed.
        frame_filter: `MelFrames.filter` of the model's frames.
        shares: (speakers,), the share of each speaker in the voice, for a model with speakers.
        seed: any integer.
        settings: temperature, top-k and top-p.
        block_frames: frames in a block.

    Returns:
        Waveforms, float32 (samples,), hop samples for each frame, at the level of the training.

    Raises:
        ValueError: the model has a filter and none is given, or the other way round.
    """
    assert model.config.mel is not None
    if bool(model.config.mel.filter_order) != (frame_filter is not None):
        raise ValueError(f"a filter of order {model.config.mel.filter_order} is needed, and {frame_filter} is given")
    known, seen = tee(frames) if frame_filter is not None else (iter(frames), iter(()))
    blocks = sampled(engine, model, known, shares=shares, seed=seed, settings=settings, block_frames=block_frames)
    return blocks if frame_filter is None else filtered(blocks, seen, frame_filter, model.config.mel)


def sampled(
    engine: Engine,
    model: WaveNet,
    frames: Iterable[Frames],
    *,
    shares: NDArray[np.float32] | None = None,
    seed: int,
    settings: SamplingSettings,
    done_frames: int = 0,
    last_codes: NDArray[np.integer] | None = None,
    block_frames: int = BLOCK_FRAMES,
) -> Iterator[NDArray[np.float32]]:
    """Returns an iterator over what the codes of frames stand for: the waveform, or what the frames' filter takes.

    It takes what `vocode` takes, and can resume at any frame, given the codes of one receptive field before it.

    Args:
        engine: generates.
        model: projects the frames.
        frames: all frames of the clip.
        shares: (speakers,), the voice.
        seed: any integer.
        settings: temperature, top-k and top-p.
        done_frames: frames that an earlier run has generated.
        last_codes: the codes of these frames, or at least the last receptive field of them.
        block_frames: frames in a block.
    """
    assert model.config.mel is not None
    hop, coding = model.config.mel.hop, engine.weights.coding
    before = -(-engine.weights.context // hop)
    codes = np.full((1, before * hop), coding.silence, np.int64)
    if last_codes is not None and len(last_codes):
        known = last_codes[-codes.shape[1] :]
        codes[0, codes.shape[1] - len(known) :] = known
    pieces = _pieces(frames, silent_conditioning(model.config.mel, 1), before, done_frames, block_frames)
    engine.reset(1)
    engine.prime(codes, _condition(model, next(pieces), shares))

    def blocks() -> Iterator[NDArray[np.float32]]:
        sample = done_frames * hop
        for piece in pieces:
            samples = (len(piece) - 2 * CONTEXT_FRAMES) * hop
            numbers = uniforms(seed, rows=1, start=sample, length=samples)
            yield coding.decode(engine.generate(numbers, settings, _condition(model, piece, shares))[0])
            sample += samples

    return blocks()


def _condition(model: WaveNet, frames: Frames, shares: NDArray[np.float32] | None) -> ChunkCondition | None:
    speakers = None if shares is None else on_device(shares[None], model)
    return projected(model, Conditioning(speakers, on_device(frames[None], model)))


def _pieces(frames: Iterable[Frames], silence: Frames, before: int, done: int, block: int) -> Iterator[Frames]:
    """Yields `before` frames, then `block` frames at a time, all with CONTEXT_FRAMES around them.

    The first piece ends at frame `done`; silence surrounds the clip.
    """

    def padded() -> Iterator[Frames]:
        yield silence.repeat(before + CONTEXT_FRAMES, axis=0)
        yield from frames
        yield silence.repeat(CONTEXT_FRAMES, axis=0)

    held, wanted, skipped = silence[:0], before, 0
    for piece in padded():
        skip = min(len(piece), done - skipped)
        skipped += skip
        held = np.concatenate([held, piece[skip:]])
        while len(held) >= wanted + 2 * CONTEXT_FRAMES:
            yield held[: wanted + 2 * CONTEXT_FRAMES]
            held, wanted = held[wanted:], block
    if len(held) > 2 * CONTEXT_FRAMES:
        yield held
