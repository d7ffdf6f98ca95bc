"""What a vocoder samples, taken through the filter of its frames: see `wavenet_app.audio.frame_filter`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from wavenet_app.audio.frame_filter import LEVEL, FrameFilter, Synthesis
from wavenet_app.audio.mel import Frames, MelFrames, silent_conditioning
from wavenet_app.config import MelConfig

Waveform = NDArray[np.float32]


def filtered(
    blocks: Iterable[Waveform], frames: Iterable[Frames], frame_filter: FrameFilter, mel: MelConfig
) -> Iterator[Waveform]:
    """Yields the waveform of each block, in constant memory; joined, it is the same for any blocks and pieces.

    Args:
        blocks: the excitation (samples,), of whole frames but for the last block.
        frames: all frames of the clip, in pieces (frames, n_mels or more columns).
        frame_filter: makes their filters.
        mel: settings of the frames.
    """
    silence = silent_conditioning(mel, 1)[:, : mel.n_mels]
    pieces = chain((piece[:, : mel.n_mels] for piece in frames), [silence])
    synthesis, held = Synthesis(frame_filter), silence
    for block in blocks:
        count = -(-len(block) // mel.hop)
        while len(held) < count + 2:
            held = np.concatenate([held, next(pieces)])
        yield synthesis.sound(block, frame_filter.of(held[: count + 2]))
        held = held[count:]


def filtered_noise(frames: Frames, mel: MelFrames, seed: int) -> Waveform:
    """Returns white noise through the filter of frames (frames, n_mels), (frames x hop,): a whisper without a model.

    Args:
        frames: of a clip.
        mel: computes them, with a filter.
        seed: of the noise.
    """
    assert mel.filter is not None
    noise = LEVEL * np.random.default_rng(seed).standard_normal(len(frames) * mel.hop)
    return next(filtered([noise.astype(np.float32)], [frames], mel.filter, mel.mel))


class FilteredFile:
    """A waveform that is read piece by piece from its beginning to its end, while blocks of it are made.

    Args:
        blocks: the waveform in blocks.
    """

    def __init__(self, blocks: Iterator[Waveform]) -> None:
        self._blocks = blocks
        self._held = np.zeros(0, np.float32)
        self._first = 0

    def between(self, first: int, last: int) -> Waveform:
        """Returns samples first to last, fewer at the end of the waveform; `first` never falls from call to call."""
        while self._first + len(self._held) < last:
            block = next(self._blocks, None)
            if block is None:
                break
            self._held = np.concatenate([self._held, block])
        self._held = self._held[first - self._first :]
        self._first = first
        return self._held[: last - first]
