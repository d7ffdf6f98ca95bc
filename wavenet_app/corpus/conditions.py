"""The conditioning of a training window: who speaks, and the mel frames around it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from wavenet_app.audio.mel import Frames, MelFrames
from wavenet_app.corpus.corpus import Clip, Corpus
from wavenet_app.network.conditioning import CONTEXT_FRAMES


class PreviewConditioning(NamedTuple):
    """The conditioning of a preview.

    Attributes:
        shares: (speakers,), of each speaker in the voice; None for a model without speakers.
        frames: (frames, columns), of the real clip that it should sound like; None for a model without mel frames.
    """

    shares: NDArray[np.float32] | None
    frames: NDArray[np.float32] | None


class ClipConditioning:
    """Makes the conditioning of clips, and says where training windows may begin.

    Attributes:
        grid: windows begin at multiples of this number of samples, so that frames begin alike in all rows of a batch.

    Args:
        speakers: names in the order of the model; empty for none.
        mel: makes frames; None for none.
        voice: (speakers,), one voice for all clips, as the share of each speaker; None for each clip's own speaker.
    """

    def __init__(
        self, speakers: Sequence[str], mel: MelFrames | None, voice: NDArray[np.float32] | None = None
    ) -> None:
        self.places = {name: place for place, name in enumerate(speakers)}
        self.mel = mel
        self.voice = voice
        self.grid = 1 if mel is None else mel.hop

    def shares(self, clip: Clip) -> NDArray[np.float32] | None:
        """Returns the share of each speaker in a clip's voice, (speakers,); None for a model without speakers."""
        if self.voice is not None or not self.places:
            return self.voice
        assert clip.speaker is not None, "a corpus of a model with speakers says who speaks"
        return np.eye(len(self.places), dtype=np.float32)[self.places[clip.speaker]]

    def phase(self, context: int) -> int:
        """Returns by how many samples the first frame begins before the first sample that is predicted."""
        return (1 - context) % self.grid

    def of(
        self, corpus: Corpus, windows: Sequence[tuple[Clip, int, int]], context: int, length: int
    ) -> dict[str, torch.Tensor]:
        """Returns the entries of a batch: "speaker" and "mel", those that the model is conditioned on."""
        entries = {}
        if self.places:
            shares = [share for clip, _, _ in windows if (share := self.shares(clip)) is not None]
            entries["speaker"] = torch.from_numpy(np.stack(shares))
        if self.mel is not None:
            rows = [self._frames(corpus, clip, start, context, length) for clip, start, _ in windows]
            entries["mel"] = torch.from_numpy(np.stack(rows))
        return entries

    def _frames(self, corpus: Corpus, clip: Clip, start: int, context: int, length: int) -> Frames:
        """Returns the frames of one row."""
        assert self.mel is not None
        first = (start + 1 - context) // self.mel.hop - CONTEXT_FRAMES
        last = -(-(start + length) // self.mel.hop) + CONTEXT_FRAMES
        return clip_frames(self.mel, corpus, clip, first, last)


def clip_frames(mel: MelFrames, corpus: Corpus, clip: Clip, first: int, last: int) -> Frames:
    """Returns frames first to last of a clip with their melody, (last - first, columns), as a model takes them.

    Where they lie before the clip or after it, there is silence. Those at both ends, CONTEXT_FRAMES each, are context
    and have no melody.

    Args:
        mel: makes them.
        corpus: has the clip.
        clip: at least one of its frames is among those wanted.
        first: counted from the clip's own first frame; may be negative.
        last: one past the last; may lie beyond the clip.
    """
    # the melody depends on more frames than the model sees around its own
    aside = 0 if mel.melody is None else max(0, mel.melody.beyond - CONTEXT_FRAMES)
    frames, sound = bands_and_sound(mel, corpus, clip, first - aside, last + aside)
    columns = mel.conditioning_of(frames, sound)
    return columns[aside : len(columns) - aside]


def bands_and_sound(
    mel: MelFrames, corpus: Corpus, clip: Clip, first: int, last: int
) -> tuple[Frames, NDArray[np.float32]]:
    """Returns frames first to last of a clip without melody, (last - first, n_mels), and their waveform.

    Takes what `clip_frames` takes; outside the clip, both are silence.
    """
    hop, margin = mel.hop, mel.margin
    inside, beyond = max(first, 0), min(last, -(-clip.num_samples // hop))
    begin, end = inside * hop - margin, beyond * hop + margin
    sound = corpus.waveform(clip, begin, end)
    missing = max(0, -begin)
    widened = np.pad(sound, (missing, end - begin - missing - len(sound)))
    frames = np.concatenate([mel.silent(inside - first), mel.of_widened(widened), mel.silent(last - beyond)])
    within = widened[margin : margin + (beyond - inside) * hop]
    return frames, np.pad(within, ((inside - first) * hop, (last - beyond) * hop))
