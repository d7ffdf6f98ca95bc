"""How near vocoded recordings come to the originals: every pair metric, beside Griffin-Lim from the same mel frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fast_gen.engine import Engine
from fast_gen.sampling import SamplingSettings
from fast_gen.vocode import vocode
from wavenet_app.coding import Coding
from wavenet_app.corpus import Clip, Corpus
from wavenet_app.griffin_lim import griffin_lim
from wavenet_app.model import WaveNet
from wavenet_app.pair_metrics import Measure, log_spectral_distance
from wavenet_app.pair_table import PairMeasures, PairTable, as_coded, averaged, pair_measures
from wavenet_app.runaway import Failure, failure
from wavenet_app.tells import Tells

SPECTRAL_DISTANCE = "log-spectral distance (dB)"
"""The label of the metric that a verdict names."""


@dataclass(frozen=True, eq=False)
class VocodedClip:
    """A held-out clip beside what was made of its mel frames; all float32 (samples,) at the gain of the run.

    Attributes:
        name: of the clip.
        original: the clip, or its beginning.
        vocoded: by the model.
        griffin_lim: by Griffin-Lim from the very same frames.
    """

    name: str
    original: NDArray[np.float32]
    vocoded: NDArray[np.float32]
    griffin_lim: NDArray[np.float32]


@dataclass(frozen=True)
class VocodedFile:
    """The metrics of one clip, against the quantised original.

    Attributes:
        name: of the clip.
        seconds: of it that were vocoded.
        model: label -> value.
        griffin_lim: label -> value.
        failure: of the vocoded clip, by the definitions in `wavenet_app.runaway`, or None.
    """

    name: str
    seconds: float
    model: Mapping[str, Measure]
    griffin_lim: Mapping[str, Measure]
    failure: Failure | None


@dataclass(frozen=True)
class VocodedFacts:
    """What vocoded clips are like.

    Attributes:
        temperature: that they were sampled at.
        seconds: of all of them together.
        model: averages over the clips.
        griffin_lim: the same for Griffin-Lim.
        files: each clip by itself.
    """

    temperature: float
    seconds: float
    model: PairTable
    griffin_lim: PairTable
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
    tells: Tells,
    *,
    num_samples: int,
    seed: int,
    settings: SamplingSettings,
) -> VocodedClip:
    """Returns a clip's beginning, vocoded by its own speaker's voice and by Griffin-Lim.

    Args:
        engine: what generates, of the same model.
        model: projects the frames.
        corpus: has the clip.
        clip: any of the corpus.
        tells: makes the frames; says who speaks.
        num_samples: of the clip, at most.
        seed: of the random numbers.
        settings: temperature, top-k and top-p.
    """
    assert tells.mel is not None
    original = corpus.waveform(clip, 0, num_samples)
    frames = tells.mel.of(original)
    blocks = vocode(engine, model, [frames], shares=tells.shares(clip), seed=seed, settings=settings)
    made = np.concatenate(list(blocks))[: len(original)]
    return VocodedClip(clip.name, original, made, griffin_lim(frames, tells.mel)[: len(original)])


def vocoded_facts(
    clips: Sequence[VocodedClip],
    *,
    temperature: float,
    sample_rate: int,
    coding: Coding,
    progress: Callable[[int, int], None],
) -> VocodedFacts:
    """Returns the metrics of vocoded clips; those that want packages which are not installed say so.

    Args:
        clips: at least one.
        temperature: that they were sampled at.
        sample_rate: in Hz.
        coding: the model's.
        progress: called after each clip with (done, total).
    """
    rows: list[tuple[PairMeasures, PairMeasures]] = []
    for done, clip in enumerate(clips, start=1):
        model, rival = (
            pair_measures((clip.original, test), sample_rate=sample_rate, coding=coding)
            for test in (clip.vocoded, clip.griffin_lim)
        )
        rows.append((model, rival))
        progress(done, len(clips))
    files = tuple(
        VocodedFile(
            clip.name,
            len(clip.original) / sample_rate,
            model.against_quantised,
            rival.against_quantised,
            failure(clip.vocoded, sample_rate),
        )
        for clip, (model, rival) in zip(clips, rows, strict=True)
    )
    return VocodedFacts(
        temperature,
        sum(file.seconds for file in files),
        averaged([model for model, _ in rows]),
        averaged([rival for _, rival in rows]),
        files,
    )


def vocoded_sentence(facts: VocodedFacts) -> str:
    """Returns in words how far vocoded clips lie from the originals."""
    ours, theirs = (table.against_quantised[SPECTRAL_DISTANCE].value for table in (facts.model, facts.griffin_lim))
    return distance_sentence(len(facts.files), facts.seconds, ours, theirs)


def distance_sentence(clips: int, seconds: float, ours: float, theirs: float) -> str:
    """Returns in words how log-spectral distances of vocoded clips compare.

    >>> distance_sentence(2, 4.0, 7.51, 6.4)
    'vocoded, 2 held-out clips (4.0 s) lie 7.51 dB from the quantised originals, 1.11 dB further than Griffin-Lim'
    """
    gap = theirs - ours
    return (
        f"vocoded, {clips} held-out {'clip' if clips == 1 else 'clips'} ({seconds:.1f} s) "
        f"{'lies' if clips == 1 else 'lie'} {ours:.2f} dB from the quantised original{'' if clips == 1 else 's'}, "
        f"{abs(gap):.2f} dB {'nearer' if gap > 0 else 'further'} than Griffin-Lim"
    )


def spectral_distances(clip: VocodedClip, sample_rate: int, coding: Coding) -> tuple[float, float]:
    """Returns the log-spectral distance to the quantised original, in dB, by the model and by Griffin-Lim."""
    coded = as_coded(clip.original, coding)
    return (
        log_spectral_distance(coded, clip.vocoded, sample_rate),
        log_spectral_distance(coded, clip.griffin_lim, sample_rate),
    )
