"""What a model is told of a training window: who speaks, and the mel frames around it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from wavenet_app.conditioning import CONTEXT_FRAMES
from wavenet_app.corpus import Clip, Corpus
from wavenet_app.mel import Frames, MelFrames


class Tells:
    """Makes what a batch of windows holds beside codes, and says how windows must lie for it.

    Attributes:
        grid: windows begin at multiples of so many samples, so that all rows of a batch stand alike to their frames.

    Args:
        speakers: names in the order of the model; empty for none.
        mel: makes frames; None for none.
    """

    def __init__(self, speakers: Sequence[str], mel: MelFrames | None) -> None:
        self.places = {name: place for place, name in enumerate(speakers)}
        self.mel = mel
        self.grid = 1 if mel is None else mel.hop

    def phase(self, context: int) -> int:
        """Returns by how many samples the first frame begins before the first sample that is predicted."""
        return (1 - context) % self.grid

    def of(
        self, corpus: Corpus, windows: Sequence[tuple[Clip, int, int]], context: int, length: int
    ) -> dict[str, torch.Tensor]:
        """Returns the entries of a batch: "speaker" and "mel", as far as the model is told of them."""
        told = {}
        if self.places:
            who = torch.tensor([self.places[clip.speaker] for clip, _, _ in windows if clip.speaker is not None])
            told["speaker"] = torch.nn.functional.one_hot(who, len(self.places)).float()
        if self.mel is not None:
            rows = [self._frames(corpus, clip, start, context, length) for clip, start, _ in windows]
            told["mel"] = torch.from_numpy(np.stack(rows))
        return told

    def _frames(self, corpus: Corpus, clip: Clip, start: int, context: int, length: int) -> Frames:
        """Returns the frames of one row, silence where they lie before or after the clip."""
        assert self.mel is not None
        hop, margin = self.mel.hop, self.mel.margin
        first = (start + 1 - context) // hop - CONTEXT_FRAMES
        last = -(-(start + length) // hop) + CONTEXT_FRAMES
        inside, beyond = max(first, 0), min(last, -(-clip.num_samples // hop))
        begin, end = inside * hop - margin, beyond * hop + margin
        heard = corpus.waveform(clip, begin, end)
        missing = max(0, -begin)
        widened = np.pad(heard, (missing, end - begin - missing - len(heard)))
        frames = self.mel.of_widened(widened)
        return np.concatenate([self.mel.silent(inside - first), frames, self.mel.silent(last - beyond)])
