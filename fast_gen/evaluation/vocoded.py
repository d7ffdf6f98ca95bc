"""How near vocoded recordings come to the originals: every pair metric, beside Griffin-Lim from the same mel frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fast_gen.engines.contract import Engine
from fast_gen.engines.sampling import SamplingSettings
from fast_gen.vocoding.refine import refined, refined_noise
from fast_gen.vocoding.vocode import vocode
from wavenet_app.coding import Coding
from wavenet_app.corpus.conditions import ClipConditioning
from wavenet_app.corpus.corpus import Clip, Corpus
from wavenet_app.evaluation.griffin_lim import griffin_lim
from wavenet_app.evaluation.pair_metrics import Measure, log_spectral_distance
from wavenet_app.evaluation.pair_table import PairMeasures, PairTable, as_coded, averaged, pair_measures
from wavenet_app.evaluation.runaway import Failure, failure
from wavenet_app.network.model import WaveNet

SPECTRAL_DISTANCE = "log-spectral distance (dB)"
"""The label of the metric that a verdict names."""

GRIFFIN_LIM, SAMPLED, NOISE = "Griffin-Lim", "as sampled", "white noise refined alike"
"""What vocoded clips are compared with: the rival, what refining has added, and what it does without any model."""


@dataclass(frozen=True, eq=False)
class VocodedClip:
    """A held-out clip beside what was made of its mel frames; all float32 (samples,) at the gain of the run.

    Attributes:
        name: of the clip.
        original: the clip, or its beginning.
        vocoded: by the model.
        rivals: name -> what else was made of the very same frames.
    """

    name: str
    original: NDArray[np.float32]
    vocoded: NDArray[np.float32]
    rivals: Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class VocodedFile:
    """The metrics of one clip, against the quantised original.

    Attributes:
        name: of the clip.
        seconds: of it that were vocoded.
        model: label -> value.
        rivals: name -> label -> value.
        failure: of the vocoded clip, by the definitions in `wavenet_app.evaluation.runaway`, or None.
    """

    name: str
    seconds: float
    model: Mapping[str, Measure]
    rivals: Mapping[str, Mapping[str, Measure]]
    failure: Failure | None


@dataclass(frozen=True)
class VocodedFacts:
    """What vocoded clips are like.

    Attributes:
        temperature: that they were sampled at.
        turns: by which they were then moved towards their frames.
        seconds: of all of them together.
        model: averages over the clips.
        rivals: name -> the same for what else was made of the frames.
        files: each clip by itself.
    """

    temperature: float
    turns: int
    seconds: float
    model: PairTable
    rivals: Mapping[str, PairTable]
    files: tuple[VocodedFile, ...]


def chosen_clips(clips: Sequence[Clip], count: int) -> list[Clip]:
    """Returns at most so many clips, spread evenly over all."""
    wanted = min(count, len(clips))
    return [clips[place * len(clips) // wanted] for place in range(wanted)]


def vocoded_clip(
    engine: Engine,
    model: WaveNet,
    corpus: Corpus,
    clip: Clip,
    conditioning: ClipConditioning,
    *,
    num_samples: int,
    seed: int,
    settings: SamplingSettings,
    turns: int,
) -> VocodedClip:
    """Returns a clip's beginning, vocoded by its own speaker's voice, beside what else can be made of its frames.

    Args:
        engine: what generates, of the same model.
        model: projects the frames.
        corpus: has the clip.
        clip: any of the corpus.
        conditioning: makes the frames; says who speaks.
        num_samples: of the clip, at most.
        seed: of the random numbers.
        settings: temperature, top-k and top-p.
        turns: by which the model's sound is moved towards the frames.
    """
    assert conditioning.mel is not None
    original = corpus.waveform(clip, 0, num_samples)
    frames = conditioning.mel.of(original)
    blocks = vocode(
        engine,
        model,
        conditioning.mel.conditioning([frames]),
        shares=conditioning.shares(clip),
        seed=seed,
        settings=settings,
    )
    sampled = np.concatenate(list(blocks))
    rivals = {GRIFFIN_LIM: griffin_lim(frames, conditioning.mel)}
    if turns:
        rivals |= {SAMPLED: sampled, NOISE: refined_noise(frames, conditioning.mel, turns, seed)}
    made = refined(sampled, frames, conditioning.mel, turns)
    length = len(original)
    return VocodedClip(clip.name, original, made[:length], {name: sound[:length] for name, sound in rivals.items()})


def vocoded_facts(
    clips: Sequence[VocodedClip],
    *,
    temperature: float,
    turns: int,
    sample_rate: int,
    coding: Coding,
    progress: Callable[[int, int], None],
) -> VocodedFacts:
    """Returns the metrics of vocoded clips; those that want packages which are not installed say so.

    Args:
        clips: at least one.
        temperature: that they were sampled at.
        turns: by which they were moved towards their frames.
        sample_rate: in Hz.
        coding: the model's.
        progress: called after each clip with (done, total).
    """
    rows: list[tuple[PairMeasures, dict[str, PairMeasures]]] = []
    for done, clip in enumerate(clips, start=1):
        measured = partial(pair_measures, sample_rate=sample_rate, coding=coding)
        model = measured((clip.original, clip.vocoded))
        rivals = {name: measured((clip.original, sound), floor=model.floor) for name, sound in clip.rivals.items()}
        rows.append((model, rivals))
        progress(done, len(clips))
    files = tuple(
        VocodedFile(
            clip.name,
            len(clip.original) / sample_rate,
            model.against_quantised,
            {name: rival.against_quantised for name, rival in rivals.items()},
            failure(clip.vocoded, sample_rate),
        )
        for clip, (model, rivals) in zip(clips, rows, strict=True)
    )
    return VocodedFacts(
        temperature,
        turns,
        sum(file.seconds for file in files),
        averaged([model for model, _ in rows]),
        {name: averaged([rivals[name] for _, rivals in rows]) for name in clips[0].rivals},
        files,
    )


def vocoded_sentence(facts: VocodedFacts) -> str:
    """Returns in words how far vocoded clips lie from the originals."""
    ours = facts.model.against_quantised[SPECTRAL_DISTANCE].value
    theirs = {name: table.against_quantised[SPECTRAL_DISTANCE].value for name, table in facts.rivals.items()}
    return distance_sentence(len(facts.files), facts.seconds, ours, theirs)


def distance_sentence(clips: int, seconds: float, ours: float, rivals: Mapping[str, float]) -> str:
    """Returns in words how log-spectral distances of vocoded clips compare.

    >>> distance_sentence(2, 4.0, 7.51, {"Griffin-Lim": 6.4})
    'vocoded, 2 held-out clips (4.0 s) lie 7.51 dB from the quantised originals, 1.11 dB further than Griffin-Lim'
    """
    gap = rivals[GRIFFIN_LIM] - ours
    others = ", ".join(f"{name} {distance:.2f} dB" for name, distance in rivals.items() if name != GRIFFIN_LIM)
    return (
        f"vocoded, {clips} held-out {'clip' if clips == 1 else 'clips'} ({seconds:.1f} s) "
        f"{'lies' if clips == 1 else 'lie'} {ours:.2f} dB from the quantised original{'' if clips == 1 else 's'}, "
        f"{abs(gap):.2f} dB {'nearer' if gap > 0 else 'further'} than Griffin-Lim{f' ({others})' if others else ''}"
    )


def spectral_distances(clip: VocodedClip, sample_rate: int, coding: Coding) -> tuple[float, dict[str, float]]:
    """Returns the log-spectral distance to the quantised original, in dB, of the vocoded clip and of its rivals."""
    coded = as_coded(clip.original, coding)
    rivals = {name: log_spectral_distance(coded, sound, sample_rate) for name, sound in clip.rivals.items()}
    return log_spectral_distance(coded, clip.vocoded, sample_rate), rivals
