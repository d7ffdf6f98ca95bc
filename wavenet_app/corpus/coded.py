"""What the codes of a model stand for: a corpus's clips, or the excitation that the filter of their frames takes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from wavenet_app.config import MelConfig
from wavenet_app.corpus.corpus import Clip, Corpus


def for_model(corpus: Corpus, mel: MelConfig | None) -> Corpus:
    """Returns a corpus whose `coded_waveform` is what the codes of a model stand for.

    Args:
        corpus: clips.
        mel: resolved settings of the model's frames; None for a model without.
    """
    if mel is None or not mel.filter_order:
        return corpus
    from wavenet_app.audio.mel import MelFrames  # imports torch, which other models' corpora do without

    return replace(corpus, mel=MelFrames(mel, corpus.sample_rate))


def coded_waveform(corpus: Corpus, clip: Clip, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
    """Returns samples start to stop of what is coded of a clip, shape (stop - start,); takes what `waveform` takes.

    It is the same, but for rounding, whatever part of a clip is asked for.
    """
    if corpus.mel is None or corpus.mel.filter is None:
        return corpus.waveform(clip, start, stop)
    from wavenet_app.corpus.conditions import bands_and_sound

    filter_, hop = corpus.mel.filter, corpus.mel.hop
    start = min(max(start, 0), clip.num_samples)
    stop = clip.num_samples if stop is None else min(max(stop, start), clip.num_samples)
    if stop == start:
        return np.zeros(0, np.float32)
    first, last = start // hop, -(-stop // hop)
    frames, _ = bands_and_sound(corpus.mel, corpus, clip, first - 1, last + 1)
    begin = first * hop - filter_.order
    sound = corpus.waveform(clip, begin, stop)
    past = np.pad(sound, (stop - begin - len(sound), 0))
    return filter_.excitation(past, filter_.of(frames))[start - first * hop :]
