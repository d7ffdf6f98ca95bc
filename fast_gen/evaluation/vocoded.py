"""How near vocoded recordings come to the originals: every pair metric, beside what needs no model."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fast_gen.engines.contract import Engine
from fast_gen.engines.sampling import SamplingSettings
from fast_gen.vocoding.filtered import filtered_noise
from fast_gen.vocoding.refine import refined, refined_noise
from fast_gen.vocoding.vocode import vocode
from wavenet_app.corpus.conditions import ClipConditioning
from wavenet_app.corpus.corpus import Clip, Corpus
from wavenet_app.evaluation.griffin_lim import griffin_lim
from wavenet_app.evaluation.pair_metrics import Measure, log_spectral_distance
from wavenet_app.evaluation.pair_table import PairMeasures, PairTable, averaged, pair_measures
from wavenet_app.evaluation.runaway import Failure, failure
from wavenet_app.network.model import WaveNet

SPECTRAL_DISTANCE = "log-spectral distance (dB)"
"""The label of the metric that a verdict names."""

SAMPLED, REFINED = "as sampled", "refined"
"""The versions of a vocoded clip that are the model's."""

FILTERED_NOISE, NOISE, GRIFFIN_LIM = "filtered noise", "refined noise", "Griffin-Lim"
"""Those made from the same frames without a model: white noise through their filter, refined noise, Griffin-Lim."""

# Two draws of refined noise on speech differ by 0.052 dB over the root of the seconds (standard deviation, four
# ARCTIC sentences, five seeds): less than twice that is chance.
_CHANCE = 0.1


@dataclass(frozen=True, eq=False)
class VocodedClip:
    """A held-out clip with what was made of its mel frames; all float32 (samples,) at the gain of the run.

    Attributes:
        name: of the clip.
        original: the clip, or its beginning.
        quantised: the original as the model's codes keep it.
        versions: `SAMPLED`, `FILTERED_NOISE` of a model with a filter, if it was refined `REFINED` and `NOISE`, and
            `GRIFFIN_LIM` -> waveform.
    """

    name: str
    original: NDArray[np.float32]
    quantised: NDArray[np.float32]
    versions: Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class VocodedFile:
    """The metrics of one clip, against the quantised original.

    Attributes:
        name: of the clip.
        seconds: of it that were vocoded.
        versions: version -> label -> value.
        failure: of the clip as sampled, by the definitions in `wavenet_app.evaluation.runaway`, or None.
    """

    name: str
    seconds: float
    versions: Mapping[str, Mapping[str, Measure]]
    failure: Failure | None


@dataclass(frozen=True)
class VocodedFacts:
    """The metrics of all vocoded clips.

    Attributes:
        temperature: that they were sampled at.
        turns: iterations of the refinement.
        seconds: of all of them together.
        versions: version -> averages over the clips.
        files: each clip.
    """

    temperature: float
    turns: int
    seconds: float
    versions: Mapping[str, PairTable]
    files: tuple[VocodedFile, ...]


def chosen_clips(clips: Sequence[Clip], count: int) -> list[Clip]:
    """Returns at most `count` clips, spread evenly over all."""
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
    """Returns the beginning of a clip, vocoded in its own speaker's voice, beside what needs no model.

    Args:
        engine: generates, with the weights of the model.
        model: projects the frames.
        corpus: holds the clip.
        clip: any of the corpus.
        conditioning: makes the frames and knows the speaker.
        num_samples: of the clip, at most.
        seed: of the random numbers.
        settings: temperature, top-k and top-p.
        turns: iterations of the refinement; 0 for none.
    """
    assert conditioning.mel is not None
    original = corpus.waveform(clip, 0, num_samples)
    frames = conditioning.mel.of(original)
    blocks = vocode(
        engine,
        model,
        conditioning.mel.conditioning([frames]),
        frame_filter=conditioning.mel.filter,
        shares=conditioning.shares(clip),
        seed=seed,
        settings=settings,
    )
    sampled = np.concatenate(list(blocks))
    versions = {SAMPLED: sampled}
    if conditioning.mel.filter is not None:
        versions[FILTERED_NOISE] = filtered_noise(frames, conditioning.mel, seed)
    if turns:
        versions[REFINED] = refined(sampled, frames, conditioning.mel, turns)
        versions[NOISE] = refined_noise(frames, conditioning.mel, turns, seed)
    versions[GRIFFIN_LIM] = griffin_lim(frames, conditioning.mel)
    quantised = conditioning.mel.as_coded(original, engine.weights.coding)
    return VocodedClip(
        clip.name, original, quantised, {name: sound[: len(original)] for name, sound in versions.items()}
    )


def vocoded_facts(
    clips: Sequence[VocodedClip],
    *,
    temperature: float,
    turns: int,
    sample_rate: int,
    progress: Callable[[int, int], None],
) -> VocodedFacts:
    """Returns the metrics of vocoded clips; a metric whose package is not installed has a reason instead of a value.

    Args:
        clips: at least one.
        temperature: that they were sampled at.
        turns: iterations of the refinement.
        sample_rate: in Hz.
        progress: called after each clip with (done, total).
    """
    rows: list[dict[str, PairMeasures]] = []
    for done, clip in enumerate(clips, start=1):
        row: dict[str, PairMeasures] = {}
        for name, sound in clip.versions.items():
            floor = row[SAMPLED].floor if row else None
            row[name] = pair_measures((clip.original, sound), clip.quantised, sample_rate=sample_rate, floor=floor)
        rows.append(row)
        progress(done, len(clips))
    files = tuple(
        VocodedFile(
            clip.name,
            len(clip.original) / sample_rate,
            {name: measures.against_quantised for name, measures in row.items()},
            failure(clip.versions[SAMPLED], sample_rate),
        )
        for clip, row in zip(clips, rows, strict=True)
    )
    return VocodedFacts(
        temperature,
        turns,
        sum(file.seconds for file in files),
        {name: averaged([row[name] for row in rows]) for name in clips[0].versions},
        files,
    )


def vocoded_sentence(facts: VocodedFacts) -> str:
    """Returns in words how far vocoded clips are from the originals, and whether the model has a share in it."""
    distances = {name: table.against_quantised[SPECTRAL_DISTANCE].value for name, table in facts.versions.items()}
    return distance_sentence(len(facts.files), facts.seconds, distances)


def distance_sentence(clips: int, seconds: float, distances: Mapping[str, float]) -> str:
    """Returns in words how log-spectral distances of vocoded clips compare, first those as sampled.

    Refinement alone turns white noise into the clip, so the model's share is what is nearer than refined noise.

    Args:
        clips: how many.
        seconds: of all of them together.
        distances: version -> mean distance to the quantised originals, in dB.

    >>> distance_sentence(2, 4.0, {"as sampled": 7.5, "Griffin-Lim": 6.4})
    'vocoded, 2 held-out clips (4.0 s): as sampled 7.50 dB from the quantised originals (Griffin-Lim 6.40 dB)'
    """
    others = [f"{name} {distances[name]:.2f} dB" for name in (FILTERED_NOISE, GRIFFIN_LIM) if name in distances]
    sentence = (
        f"vocoded, {clips} held-out {'clip' if clips == 1 else 'clips'} ({seconds:.1f} s): as sampled "
        f"{distances[SAMPLED]:.2f} dB from the quantised original{'' if clips == 1 else 's'} "
        f"({', '.join(others)})"
    )
    if REFINED not in distances:
        return sentence
    share = distances[NOISE] - distances[REFINED]
    if share > _CHANCE / math.sqrt(seconds):
        return (
            f"{sentence}; refined {distances[REFINED]:.2f} dB, of which the model's share is {share:.2f} dB, "
            f"as refined noise is at {distances[NOISE]:.2f} dB"
        )
    return (
        f"{sentence}; refined {distances[REFINED]:.2f} dB, not clearly nearer than refined noise at "
        f"{distances[NOISE]:.2f} dB: the vocoder has learned nothing yet"
    )


def spectral_distances(clip: VocodedClip, sample_rate: int) -> dict[str, float]:
    """Returns version -> log-spectral distance to the quantised original, in dB."""
    return {name: log_spectral_distance(clip.quantised, sound, sample_rate) for name, sound in clip.versions.items()}
