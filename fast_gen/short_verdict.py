"""The verdict at the end of training, in a line: what the model's own clips are like."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fast_gen.condition import voice
from fast_gen.engine import load_engine
from fast_gen.eval_report import failure_sentence, failures_of
from fast_gen.generate import generate
from fast_gen.sampling import SamplingSettings
from fast_gen.scored_clips import scored
from fast_gen.weights import GeneratorWeights
from wavenet_app.trained import load_trained


def judge(checkpoint: Path, clips: int = 4, seconds: float = 2.0) -> str:
    """Returns one line on what a trained model's own clips are like: how many failed, and their bits per sample.

    Args:
        checkpoint: the file, of a model that is told no mel frames; speakers take turns.
        clips: how many are generated.
        seconds: length of each.

    Raises:
        UserError: the checkpoint cannot be read.
    """
    trained = load_trained(checkpoint)
    rate = trained.config.audio.sample_rate
    speakers = len(trained.config.model.speakers)
    shares = np.eye(speakers, dtype=np.float32)[np.arange(clips) % speakers] if speakers else None
    weights = GeneratorWeights.of(trained.model)
    engine = load_engine("auto", weights)
    waveforms = generate(
        engine,
        num_samples=round(seconds * rate),
        batch_size=clips,
        seed=trained.config.training.seed,
        settings=SamplingSettings(),
        condition=None if shares is None else voice(weights, shares),
    )
    made = tuple(
        scored(trained.model, waveform, row, rate, shares=None if shares is None else shares[row])
        for row, waveform in enumerate(waveforms)
    )
    own = float(np.mean([clip.bits for clip in made]))
    return (
        f"{failure_sentence(failures_of(made), seconds)}; the model needs {own:.3f} bits per sample for its own clips"
    )
