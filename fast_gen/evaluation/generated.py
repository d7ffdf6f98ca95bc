"""Generated clips beside real ones: the part of `wavegen eval` for models without mel frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from fast_gen.engines.condition import voice
from fast_gen.engines.sampling import SamplingSettings
from fast_gen.evaluation.report import GeneratedFacts, Likeness, failures_of
from fast_gen.evaluation.subject import EvalRequest, EvalSubject
from fast_gen.generation.ranking import ScoredClip, scored
from fast_gen.generation.stream import generate
from wavenet_app.core.terminal import progress_bar
from wavenet_app.corpus.conditions import ClipConditioning
from wavenet_app.corpus.corpus import Corpus
from wavenet_app.evaluation.frechet import embed, frechet_distance
from wavenet_app.evaluation.pair_table import as_coded
from wavenet_app.evaluation.runaway import failure
from wavenet_app.evaluation.sound_distributions import SoundFeatures, sound_distances, sound_features, spread_pieces
from wavenet_app.evaluation.whistles import whistle_seconds

Waveforms = list[NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class GeneratedSound:
    """Generated and real clips, to play and to draw.

    Attributes:
        clips: the generated ones.
        real: real pieces of about their length, quantised.
        real_features: of the half of the real pieces that the clips were compared with.
        features: of the generated clips.
    """

    clips: tuple[ScoredClip, ...]
    real: Waveforms
    real_features: SoundFeatures
    features: SoundFeatures


def generated_sound(
    request: EvalRequest, subject: EvalSubject, console: Console
) -> tuple[GeneratedFacts, GeneratedSound]:
    """Generates clips, speakers taking turns, and compares them with real ones; returns the facts and the sound."""
    corpus, conditioning, model = subject.corpus, subject.conditioning, subject.model
    rate, coding = corpus.sample_rate, model.config.coding
    num_samples = max(1, round(request.clip_seconds * rate))
    shares = _turns(request, conditioning)
    waveforms = _generate(request, subject, shares, num_samples, console)
    clips = tuple(
        scored(model, waveform, row, rate, shares=None if shares is None else shares[row])
        for row, waveform in enumerate(waveforms)
    )
    with console.status("comparing the sound with real clips"):
        real = [as_coded(piece, coding) for piece in real_pieces(corpus, num_samples, 2 * request.clips)]
        speakers = _names(shares, conditioning)
        facts, features = _generated_facts(
            clips, speakers, real, rate, seconds=request.clip_seconds, settings=subject.settings
        )
    return facts, GeneratedSound(clips, real, *features)


def _turns(request: EvalRequest, conditioning: ClipConditioning) -> NDArray[np.float32] | None:
    """Returns the share of each speaker in each clip, (clips, speakers); None for a model without speakers."""
    if not conditioning.places:
        return None
    if conditioning.voice is not None:
        return np.repeat(conditioning.voice[None], request.clips, axis=0)
    return np.eye(len(conditioning.places), dtype=np.float32)[np.arange(request.clips) % len(conditioning.places)]


def _names(shares: NDArray[np.float32] | None, conditioning: ClipConditioning) -> tuple[str, ...]:
    """Returns the speaker of each clip, or a mix in words."""
    if shares is None:
        return ()
    names = list(conditioning.places)
    return tuple(
        " and ".join(
            names[place] if row[place] == 1 else f"{row[place]:.0%} {names[place]}" for place in np.flatnonzero(row)
        )
        for row in shares
    )


def _generate(
    request: EvalRequest,
    subject: EvalSubject,
    shares: NDArray[np.float32] | None,
    num_samples: int,
    console: Console,
) -> NDArray[np.float32]:
    """Returns the generated clips (clips, samples), under a progress bar."""
    engine = subject.engine(request.engine, console)
    done = 0
    with progress_bar(console, "generating") as show:

        def on_chunk(samples: int) -> None:
            nonlocal done
            done += samples
            show(done, num_samples)

        return generate(
            engine,
            num_samples=num_samples,
            batch_size=request.clips,
            seed=request.seed,
            settings=subject.settings,
            condition=None if shares is None else voice(subject.weights, shares),
            progress=on_chunk,
        )


def _generated_facts(
    clips: tuple[ScoredClip, ...],
    speakers: tuple[str, ...],
    real: Waveforms,
    sample_rate: int,
    *,
    seconds: float,
    settings: SamplingSettings,
) -> tuple[GeneratedFacts, tuple[SoundFeatures, SoundFeatures]]:
    """Returns facts about the generated clips beside real ones, and the features of real and generated clips.

    Every second real piece is compared with; the others give the distance of real audio to real audio.
    """
    compared, others = real[0::2], real[1::2]
    wanted, points = sound_features(compared, sample_rate), embed(compared, sample_rate)

    def likeness(waveforms: Waveforms, features: SoundFeatures) -> Likeness:
        distance = frechet_distance(points, embed(waveforms, sample_rate))
        return Likeness(sound_distances(wanted, features), distance, len(waveforms))

    waveforms = [clip.waveform for clip in clips]
    features = sound_features(waveforms, sample_rate)
    facts = GeneratedFacts(
        seconds=seconds,
        temperature=settings.temperature,
        quiet_temperature=settings.quiet_temperature,
        speakers=speakers,
        bits=tuple(clip.bits for clip in clips),
        failures=failures_of(clips),
        real_seconds=len(real[0]) / sample_rate,
        real_failures=tuple(failure(piece, sample_rate) for piece in real),
        whistles=(_whistling(waveforms, sample_rate), _whistling(real, sample_rate)),
        voiced=(features.voiced_share, wanted.voiced_share),
        paused=(features.pause_share(wanted.pause_threshold), wanted.pause_share(wanted.pause_threshold)),
        likeness=likeness(waveforms, features),
        yardstick=likeness(others, sound_features(others, sample_rate)) if others else None,
    )
    return facts, (wanted, features)


def _whistling(waveforms: Waveforms, sample_rate: int) -> int:
    """Returns how many clips have a whistle."""
    return sum(whistle_seconds(waveform, sample_rate) > 0 for waveform in waveforms)


def real_pieces(corpus: Corpus, num_samples: int, count: int) -> Waveforms:
    """Returns at most `count` pieces of the held-out clips, spread over all of them, no longer than the median clip."""
    clips = corpus.validation
    lengths = [clip.num_samples for clip in clips]
    piece = max(1, min(num_samples, int(np.median(lengths))))
    places = spread_pieces(lengths, piece, count)
    return [corpus.waveform(clips[index], start, start + piece) for index, start in places]
