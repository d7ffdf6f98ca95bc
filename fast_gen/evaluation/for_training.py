"""For training: preview audio during a run, and one line about the clips of the model at its end."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fast_gen.engines.choice import EngineChoice
from fast_gen.engines.condition import voice
from fast_gen.engines.contract import Engine
from fast_gen.engines.sampling import usual_settings
from fast_gen.engines.start import load_engine, start_engine
from fast_gen.engines.weights import GeneratorWeights
from fast_gen.evaluation.generated import real_pieces
from fast_gen.evaluation.report import failure_sentence, failures_of
from fast_gen.evaluation.vocoded import chosen_clips, distance_sentence, spectral_distances, vocoded_clip
from fast_gen.generation.ranking import scored
from fast_gen.generation.stream import generate
from fast_gen.vocoding.refine import USUAL_TURNS
from fast_gen.vocoding.vocode import vocode
from wavenet_app.audio.mel import MelFrames
from wavenet_app.checkpoints.trained import Trained, load_trained
from wavenet_app.config import RunConfig
from wavenet_app.corpus.conditions import ClipConditioning, PreviewConditioning
from wavenet_app.corpus.corpus import Corpus
from wavenet_app.evaluation.frechet import embed, frechet_distance
from wavenet_app.evaluation.pair_table import as_coded
from wavenet_app.evaluation.runaway import Judgement, failure
from wavenet_app.evaluation.sound_distributions import sound_features
from wavenet_app.network.model import WaveNet

CLIPS = 4
SECONDS = 2.0
VOCODED_CLIPS = 2  # Griffin-Lim takes longer over a clip than the model


def preview(
    model: WaveNet, config: RunConfig, num_samples: int, conditioning: PreviewConditioning
) -> NDArray[np.float32]:
    """Returns audio from a model in training, always with the same random numbers, so that previews compare.

    Args:
        model: the net, on any device.
        config: the settings of its run.
        num_samples: length.
        conditioning: the speaker and the mel frames, as far as the model takes them.

    Returns:
        float32 (num_samples,) in [-1, 1].
    """
    weights = GeneratorWeights.of(model)
    engine = load_engine("auto", weights)
    seed, settings = config.training.seed, usual_settings(config.model)
    if conditioning.frames is not None:
        assert config.model.mel is not None
        blocks = vocode(
            engine,
            model,
            [conditioning.frames],
            frame_filter=MelFrames(config.model.mel, config.audio.sample_rate).filter,
            shares=conditioning.shares,
            seed=seed,
            settings=settings,
        )
        return np.concatenate(list(blocks))[:num_samples]
    condition = None if conditioning.shares is None else voice(weights, conditioning.shares[None])
    return generate(engine, num_samples=num_samples, seed=seed, settings=settings, condition=condition)[0]


def judge(checkpoint: Path, corpus: Corpus, say: Callable[[str], None]) -> Judgement:
    """Returns how many clips of a trained model failed, how they compare with real ones, and their bits per sample.

    Speakers take turns. For a vocoder, it says how far held-out clips, vocoded from their own frames, are from
    the originals.

    Args:
        checkpoint: the file.
        corpus: what it was trained on.
        say: called with a line on what the user waits for.

    Raises:
        UserError: the checkpoint cannot be read.
    """
    trained = load_trained(checkpoint)
    if trained.config.model.mel is not None:
        say(f"vocoding {VOCODED_CLIPS} held-out clips of at most {SECONDS:g} s for the verdict")
        return _vocoded_clips(trained, corpus, say)
    say(f"generating {CLIPS} clips of {SECONDS:g} s for the verdict")
    return _own_clips(trained, corpus, say)


def _engine(weights: GeneratorWeights, say: Callable[[str], None]) -> Engine:
    """Returns the engine for a model, and says so if it has to compile first."""

    def on_choice(choice: EngineChoice) -> None:
        if choice.preparation:
            say(choice.preparation)

    return start_engine("auto", weights, on_choice=on_choice)[1]


def _own_clips(trained: Trained, corpus: Corpus, say: Callable[[str], None]) -> Judgement:
    rate = trained.config.audio.sample_rate
    speakers = len(trained.config.model.speakers)
    shares = np.eye(speakers, dtype=np.float32)[np.arange(CLIPS) % speakers] if speakers else None
    weights = GeneratorWeights.of(trained.model)
    samples = round(SECONDS * rate)
    waveforms = generate(
        _engine(weights, say),
        num_samples=samples,
        batch_size=CLIPS,
        seed=trained.config.training.seed,
        settings=usual_settings(trained.config.model),
        condition=None if shares is None else voice(weights, shares),
    )
    made = tuple(
        scored(trained.model, waveform, row, rate, shares=None if shares is None else shares[row])
        for row, waveform in enumerate(waveforms)
    )
    own = float(np.mean([clip.bits for clip in made]))
    failures = failures_of(made)
    pieces = [as_coded(piece, trained.config.model.coding) for piece in real_pieces(corpus, samples, 2 * CLIPS)]
    real_failures = tuple(failure(piece, rate) for piece in pieces)
    alike = bool(pieces) and None not in real_failures  # as in a corpus of rain or of organ tones
    sentences = [
        failure_sentence(failures, "generated clip", f" of {SECONDS:g} s"),
        *([f"{failure_sentence(real_failures, 'real piece')} by the same rules"] if alike else []),
        *_beside_real(list(waveforms), pieces, rate),
        f"the model needs {own:.3f} bits per sample for its own clips",
    ]
    return Judgement("; ".join(sentences), usable=alike or None in failures)


def _beside_real(made: list[NDArray[np.float32]], pieces: list[NDArray[np.float32]], sample_rate: int) -> list[str]:
    """Returns in words the share of voiced frames of generated clips, and the distance of their spectra from real ones.

    The distance of one half of the real pieces to the other stands beside it, since few clips are never at zero.
    """
    wanted, others = pieces[0::2], pieces[1::2]
    share = f"{sound_features(made, sample_rate).voiced_share:.0%} of their frames have a pitch"
    if not others:
        return [share]
    points = embed(wanted, sample_rate)
    distance = frechet_distance(points, embed(made, sample_rate))
    yardstick = frechet_distance(points, embed(others, sample_rate))
    sentences = [f"{share} (real {sound_features(wanted, sample_rate).voiced_share:.0%})"]
    if math.isfinite(distance + yardstick):
        sentences.append(f"Frechet distance to real pieces {distance:.0f} dB² (real to real {yardstick:.0f})")
    return sentences


def _vocoded_clips(trained: Trained, corpus: Corpus, say: Callable[[str], None]) -> Judgement:
    config = trained.config
    assert config.model.mel is not None
    rate = corpus.sample_rate
    conditioning = ClipConditioning(config.model.speakers, MelFrames(config.model.mel, rate))
    engine = _engine(GeneratorWeights.of(trained.model), say)
    clips = [
        vocoded_clip(
            engine,
            trained.model,
            corpus,
            clip,
            conditioning,
            num_samples=round(SECONDS * rate),
            seed=config.training.seed,
            settings=usual_settings(config.model),
            turns=USUAL_TURNS,
        )
        for clip in chosen_clips(corpus.validation, VOCODED_CLIPS)
    ]
    distances = [spectral_distances(clip, rate) for clip in clips]
    means = {name: float(np.mean([distance[name] for distance in distances])) for name in clips[0].versions}
    text = distance_sentence(len(clips), sum(len(clip.original) for clip in clips) / rate, means)
    return Judgement(text, usable=True)
