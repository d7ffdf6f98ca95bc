"""The sources of the log-spectral distance of vocoded clips, and the temperature that minimises it.

    python benchmarks/vocoder_quality.py CHECKPOINT [FOLDER] [--clips 8] [--seconds 3] [--temperatures 1 0.9 0.8]
                                         [--draws 4] [--turns 0 2 8]

This splits the single value of `wavegen eval`: held-out clips are vocoded from their own mel frames at each
temperature, and the squared level difference from the quantised original is averaged by loudness (a pause is 35 dB
below the loud frames) and by frequency. The bias is the mean difference: how much too loud the vocoded clips are. The
distance between the mel frames of the output and the given ones shows how well the model follows its conditioning. For
the voiced frames of the original, the share is counted in which the pitch is within half a semitone (3 %) of it.

With several draws, clips are vocoded with several seeds, and two more distances separate what the model knows from what
it samples: that between the draws, which equals the distance of a perfect model from the original, and that of their
mean levels from the original. `benchmarks/vocoder_limit.py` measures these without a model.

Each sound is measured after several numbers of refining turns, and so is white noise: the result of white noise is due
to the frames alone, and the difference between the two is due to the model.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np
from log_spectra import Sound, decibels, distance

from fast_gen.engines.sampling import SamplingSettings
from fast_gen.engines.start import load_engine
from fast_gen.engines.weights import GeneratorWeights
from fast_gen.evaluation.vocoded import chosen_clips
from fast_gen.vocoding.filtered import filtered_noise
from fast_gen.vocoding.refine import refined, refined_noise
from fast_gen.vocoding.vocode import vocode
from wavenet_app.audio.mel import Frames, MelFrames
from wavenet_app.checkpoints.trained import find_checkpoint, load_trained
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.corpus.conditions import ClipConditioning
from wavenet_app.evaluation.griffin_lim import griffin_lim
from wavenet_app.evaluation.held_out_audio import held_out_audio
from wavenet_app.evaluation.pair_table import measures
from wavenet_app.evaluation.sound_distributions import PAUSE_DECIBELS, semitones
from wavenet_app.evaluation.sound_frames import levels


def shares(originals: list[Sound], sounds: list[Sound], rate: int) -> list[tuple[str, float, float, float]]:
    """Returns (region, share of the cells, RMS difference in dB, bias in dB) for each kind of frame and band."""
    wanted = [decibels(waveform, rate) for waveform in originals]
    difference = np.concatenate([decibels(test, rate) - one for test, one in zip(sounds, wanted, strict=True)])
    loudness = np.concatenate([levels(waveform, rate) for waveform in originals])
    pause = loudness < np.percentile(loudness, 95) - PAUSE_DECIBELS
    edges = np.linspace(0, difference.shape[1], 5).astype(int)
    rows = []
    for name, frames in (("pauses", pause), ("speech", ~pause)):
        for first, last in pairwise(edges):
            cells = difference[frames, first:last]
            band = f"{first * rate / 2 / edges[-1] / 1000:.0f} to {last * rate / 2 / edges[-1] / 1000:.0f} kHz"
            if cells.size:
                rows.append(
                    (f"{name}, {band}", cells.size / difference.size, np.sqrt((cells**2).mean()), float(cells.mean()))
                )
    return rows


def spread(original: Sound, draws: list[Sound], rate: int) -> tuple[float, float, float]:
    """Returns distances in dB: of a draw from the original, between draws, and of mean levels from the original."""
    wanted, found = decibels(original, rate), np.stack([decibels(draw, rate) for draw in draws])
    return (
        float(np.mean([distance(wanted, one) for one in found])),
        float(np.mean([distance(one, other) for one, other in zip(found, np.roll(found, 1, axis=0), strict=True)])),
        distance(wanted, found.mean(axis=0)),
    )


def kept_pitch(original: Sound, sound: Sound, rate: int) -> float:
    """Returns the share of voiced frames of the original in which the pitch of the sound is within half a semitone."""
    wanted, found = semitones(original, rate), semitones(sound, rate)
    return float((np.abs(found - wanted) < 0.5)[np.isfinite(wanted)].mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument(
        "folder", nargs="*", help="audio the model was not trained on (default: held-out clips of the run)"
    )
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--temperatures", type=float, nargs="*", default=[1.0, 0.9, 0.8, 0.7])
    parser.add_argument("--draws", type=int, default=1)
    parser.add_argument("--turns", type=int, nargs="*", default=[0])
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--data-dir", type=Path)
    options = parser.parse_args()

    folder = DataFolder.at(options.data_dir)
    trained = load_trained(find_checkpoint(folder.root, options.checkpoint))
    config = trained.config
    assert config.model.mel is not None, "the model must be conditioned on mel frames"
    corpus = held_out_audio(trained, options.folder, folder).corpus
    rate, coding = corpus.sample_rate, config.model.coding
    mel = MelFrames(config.model.mel, rate)
    conditioning = ClipConditioning(config.model.speakers, mel)
    engine = load_engine(options.engine, GeneratorWeights.of(trained.model))
    sounds: dict[str, list[Sound]] = {}
    spreads: dict[str, list[tuple[float, float, float]]] = {}
    given: list[Frames] = []
    for clip in chosen_clips(corpus.validation, options.clips):
        waveform = corpus.waveform(clip, 0, round(options.seconds * rate))
        original, frames = mel.as_coded(waveform, coding), mel.of(waveform)
        for temperature in options.temperatures:
            settings, shares_of = SamplingSettings(temperature), conditioning.shares(clip)
            draws = []
            for seed in range(options.draws):
                blocks = vocode(
                    engine,
                    trained.model,
                    mel.conditioning([frames]),
                    frame_filter=mel.filter,
                    shares=shares_of,
                    seed=seed,
                    settings=settings,
                )
                draws.append(np.concatenate(list(blocks)))
            for turns in options.turns:
                name = f"this model at {temperature:g}, {turns} turns"
                moved = [refined(draw, frames, mel, turns)[: len(original)] for draw in draws]
                sounds.setdefault(name, []).append(moved[0])
                if options.draws > 1:
                    spreads.setdefault(name, []).append(spread(original, moved, rate))
        for turns in filter(None, options.turns):
            noise = refined_noise(frames, mel, turns, seed=0)[: len(original)]
            sounds.setdefault(f"white noise, {turns} turns", []).append(noise)
        if mel.filter is not None:
            noise = filtered_noise(frames, mel, seed=0)[: len(original)]
            sounds.setdefault("white noise through the filter of the frames", []).append(noise)
        sounds.setdefault("Griffin-Lim", []).append(griffin_lim(frames, mel)[: len(original)])
        sounds.setdefault("quantised original", []).append(original)
        given.append(frames)
    originals = sounds.pop("quantised original")
    for name, tests in sounds.items():
        rows = [measures(original, test, rate) for original, test in zip(originals, tests, strict=True)]
        means = {label: np.mean([row[label].value for row in rows]) for label in rows[0]}
        print(f"\n{name}: " + ", ".join(f"{label.partition(' (')[0]} {value:.3f}" for label, value in means.items()))
        error = np.mean([((mel.of(test) - frames) ** 2).mean() for test, frames in zip(tests, given, strict=True)])
        kept = np.mean([kept_pitch(original, test, rate) for original, test in zip(originals, tests, strict=True)])
        print(
            f"    its mel frames are {20 / np.log(10) * np.sqrt(error):.2f} dB (RMS) from the given ones; "
            f"the pitch is within half a semitone in {kept:.0%} of the voiced frames"
        )
        if name in spreads:
            draw, apart, constant = np.mean(spreads[name], axis=0)
            print(
                f"    log-spectral distance of {options.draws} draws: from the original {draw:.2f}, from each "
                f"other {apart:.2f}, of their mean levels from the original {constant:.2f}"
            )
        for region, share, rms, bias in shares(originals, tests, rate):
            print(f"    {region:24} {share:5.0%} of the cells  RMS {rms:5.2f} dB  bias {bias:+6.2f} dB")


if __name__ == "__main__":
    main()
