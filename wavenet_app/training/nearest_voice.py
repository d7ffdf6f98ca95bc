"""The shipped voice that is nearest to a corpus: the one that predicts some seconds of it best."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wavenet_app.checkpoints.trained import Trained, load_trained
from wavenet_app.checkpoints.voices import DEFAULT, shipped_voices
from wavenet_app.coding import Coding
from wavenet_app.config import ModelConfig
from wavenet_app.core.errors import UserError
from wavenet_app.corpus.baseline import measure_baseline
from wavenet_app.corpus.corpus import Corpus
from wavenet_app.evaluation.likelihood import code_bits
from wavenet_app.training.options import FROM_SCRATCH

CLIPS = 3
SECONDS = 1.0  # of each
MARGIN = 0.6
"""Bits below an order-1 predictor of the same seconds that mark audio as like a voice. A voice of one speaker, trained
for two minutes, had 0.8 to 1.5 on other speakers, less than 0.4 on plucked strings, and was far above it on noise."""


class NearestVoice(NamedTuple):
    """A voice, and how well it predicts a corpus.

    Attributes:
        name: that --start-from takes.
        path: its file.
        bits: per sample of some seconds of the corpus.
        order1: bits of a histogram given the previous code, fitted to the same seconds.
    """

    name: str
    path: Path
    bits: float
    order1: float

    @property
    def reason(self) -> str:
        """A line for the user: why the run starts from it."""
        return (
            f"{self.name} is the nearest shipped voice: without training, it needs "
            f"{self.bits:.2f} bits per sample of a few seconds of these recordings (order-1 {self.order1:.2f}); "
            f"--start-from {FROM_SCRATCH} starts from random weights"
        )


def nearest_voice(corpus: Corpus, model: ModelConfig) -> NearestVoice | None:
    """Returns the voice that needs the fewest bits for some seconds of a corpus; None if none is near.

    Compared are voices at the rate of the corpus whose model is that of the run, but for speakers; of a voice with
    several speakers, the best one counts.

    Args:
        corpus: its training clips are used.
        model: of the run that it is for.
    """
    usable = [
        voice
        for voice in shipped_voices()[0]
        if voice.config.audio.sample_rate == corpus.sample_rate and _alike(voice.config.model, model)
    ]
    if not usable:
        return None
    coding = model.coding
    pieces = _pieces(corpus, coding)
    order1 = measure_baseline(pieces, pieces, sample_rate=corpus.sample_rate, coding=coding).order1
    measured = []
    for voice in usable:
        try:
            measured.append(NearestVoice(voice.name, voice.path, _bits(load_trained(voice.path), pieces), order1))
        except UserError:  # `wavegen voices` says what is wrong with it
            continue
    best = min(measured, key=lambda one: one.bits, default=None)
    return None if best is None or not best.bits < order1 - MARGIN else best


def voice_at_another_rate(corpus: Corpus, model: ModelConfig) -> str | None:
    """Returns a line for the user if all voices that suit a run are at another rate than its corpus, else None.

    Args:
        corpus: of the run.
        model: of the run.
    """
    at_any_rate = {"prediction": None}  # its window and hop depend on the rate
    suited = [
        voice
        for voice in shipped_voices()[0]
        if _alike(voice.config.model.model_copy(update=at_any_rate), model.model_copy(update=at_any_rate))
    ]
    if not suited or corpus.sample_rate in {voice.config.audio.sample_rate for voice in suited}:
        return None
    several = len(corpus.speakers) > 1
    fits = [voice for voice in suited if several == (len(voice.config.model.speakers) > 1)] or suited
    best = next((voice for voice in fits if voice.name == DEFAULT), fits[0])
    return (
        f"no shipped voice is at {corpus.sample_rate:,} Hz; for speech, try --start-from {best.name}, which resamples "
        f"the recordings to {best.config.audio.sample_rate:,} Hz"
    )


def _alike(voice: ModelConfig, model: ModelConfig) -> bool:
    """Returns whether a voice and a new model, both without mel frames, have the same settings, but for speakers.

    A voice without innovations suits a model that reads them, whose table of them begins with zeros.
    """
    if voice.mel is not None or model.mel is not None:
        return False
    fields: dict[str, Any] = {"speakers": True, "global_channels": True, "prediction": {"innovation"}}
    if voice.model_dump(exclude=fields) != model.model_dump(exclude=fields):
        return False
    return _reads_innovations(model) or not _reads_innovations(voice)


def _reads_innovations(model: ModelConfig) -> bool:
    return model.prediction is not None and model.prediction.innovation


def _pieces(corpus: Corpus, coding: Coding) -> list[NDArray[np.int16]]:
    """Returns the codes of the middle of some clips."""
    length = round(SECONDS * corpus.sample_rate)
    count = len(corpus.training)
    pieces = []
    for place in range(min(CLIPS, count)):
        clip = corpus.training[place * count // min(CLIPS, count)]
        start = max(0, clip.num_samples - length) // 2
        pieces.append(coding.encode(corpus.waveform(clip, start, start + length)))
    return pieces


def _bits(trained: Trained, pieces: list[NDArray[np.int16]]) -> float:
    """Returns the bits per sample of pieces by a model, of its best speaker."""
    speakers = len(trained.config.model.speakers)
    voices = [None] if not speakers else list(np.eye(speakers, dtype=np.float32))
    return min(
        float(np.concatenate([code_bits(trained.model, piece, shares=shares) for piece in pieces]).mean())
        for shares in voices
    )
