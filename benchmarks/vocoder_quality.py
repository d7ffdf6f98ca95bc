"""Where the log-spectral distance of vocoded clips comes from, and at which temperature it is least.

    python benchmarks/vocoder_quality.py CHECKPOINT [FOLDER] [--clips 8] [--seconds 3] [--temperatures 1 0.9 0.8]
                                         [--draws 4] [--turns 0 2 8]

What `wavegen eval` says in one figure, taken apart: held-out clips are vocoded from their own mel frames at each
temperature, and the squared difference of levels to the quantised original is averaged by loudness (a pause lies 35 dB
below the loud frames) and by frequency. The bias is the mean difference: how much too loud the vocoded clips are there.
How far the sound's own mel frames are off those asked for says how well they are heeded; and of the frames in which the
original has a voice, it is counted in how many the pitch is within half a semitone (3 %) of the original's.

With several draws, clips are vocoded with as many seeds, and two distances more tell what the model knows from what
it draws: of the draws to each other, to which a perfect model's distance to the original is equal, and of their mean
levels to the original, which no draw has. `benchmarks/vocoder_floor.py` says what these are without any model.

Each sound is measured after several numbers of refining turns, and so is white noise: what refining does by itself is
the frames' merit, what is left between the two is the model's.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np
from log_spectra import Sound, decibels, distance

from fast_gen.engines.choice import load_engine
from fast_gen.engines.sampling import SamplingSettings
from fast_gen.engines.weights import GeneratorWeights
from fast_gen.evaluation.vocoded import chosen_clips
from fast_gen.vocoding.refine import refined, refined_noise
from fast_gen.vocoding.vocode import vocode
from wavenet_app.audio.mel import Frames, MelFrames
from wavenet_app.checkpoints.trained import find_checkpoint, load_trained
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.corpus.conditions import ClipConditioning
from wavenet_app.evaluation.griffin_lim import griffin_lim
from wavenet_app.evaluation.held_out_audio import held_out_audio
from wavenet_app.evaluation.pair_table import as_coded, measures
from wavenet_app.evaluation.sound_distributions import PAUSE_DECIBELS, semitones
from wavenet_app.evaluation.sound_frames import levels


def shares(originals: list[Sound], sounds: list[Sound], rate: int) -> list[tuple[str, float, float, float]]:
    """(where, share of the cells, RMS difference in dB, bias in dB) for each kind of frame and band."""
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
    """Log-spectral distances in dB: of a draw to the original, of draws to each other, of their mean levels to it."""
    wanted, found = decibels(original, rate), np.stack([decibels(draw, rate) for draw in draws])
    return (
        float(np.mean([distance(wanted, one) for one in found])),
        float(np.mean([distance(one, other) for one, other in zip(found, np.roll(found, 1, axis=0), strict=True)])),
        distance(wanted, found.mean(axis=0)),
    )


def kept_pitch(original: Sound, sound: Sound, rate: int) -> float:
    """The share of the original's voiced frames in which the sound has a pitch within half a semitone of it."""
    wanted, found = semitones(original, rate), semitones(sound, rate)
    return float((np.abs(found - wanted) < 0.5)[np.isfinite(wanted)].mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("folder", nargs="*", help="audio it was not trained on (default: what the run held out)")
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
    assert config.model.mel is not None, "the model must be one that is told mel frames"
    corpus = held_out_audio(trained, options.folder, folder).corpus
    rate, coding = corpus.sample_rate, config.model.coding
    mel = MelFrames(config.model.mel, rate)
    tells = ClipConditioning(config.model.speakers, mel)
    engine = load_engine(options.engine, GeneratorWeights.of(trained.model))
    sounds: dict[str, list[Sound]] = {}
    spreads: dict[str, list[tuple[float, float, float]]] = {}
    asked: list[Frames] = []
    for clip in chosen_clips(corpus.validation, options.clips):
        waveform = corpus.waveform(clip, 0, round(options.seconds * rate))
        original, frames = as_coded(waveform, coding), mel.of(waveform)
        for temperature in options.temperatures:
            settings, shares_of = SamplingSettings(temperature), tells.shares(clip)
            draws = []
            for seed in range(options.draws):
                blocks = vocode(
                    engine, trained.model, mel.conditioning([frames]), shares=shares_of, seed=seed, settings=settings
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
        sounds.setdefault("Griffin-Lim", []).append(griffin_lim(frames, mel)[: len(original)])
        sounds.setdefault("quantised original", []).append(original)
        asked.append(frames)
    originals = sounds.pop("quantised original")
    for name, tests in sounds.items():
        rows = [measures(original, test, rate) for original, test in zip(originals, tests, strict=True)]
        means = {label: np.mean([row[label].value for row in rows]) for label in rows[0]}
        print(f"\n{name}: " + ", ".join(f"{label.partition(' (')[0]} {value:.3f}" for label, value in means.items()))
        error = np.mean([((mel.of(test) - frames) ** 2).mean() for test, frames in zip(tests, asked, strict=True)])
        kept = np.mean([kept_pitch(original, test, rate) for original, test in zip(originals, tests, strict=True)])
        print(
            f"    its mel frames are {20 / np.log(10) * np.sqrt(error):.2f} dB (RMS) off those that were asked for; "
            f"the pitch is within half a semitone in {kept:.0%} of the frames with a voice"
        )
        if name in spreads:
            draw, apart, constant = np.mean(spreads[name], axis=0)
            print(
                f"    log-spectral distance of {options.draws} draws: to the original {draw:.2f}, to each other "
                f"{apart:.2f}, of their mean levels to the original {constant:.2f}"
            )
        for where, share, rms, bias in shares(originals, tests, rate):
            print(f"    {where:24} {share:5.0%} of the cells  RMS {rms:5.2f} dB  bias {bias:+6.2f} dB")


if __name__ == "__main__":
    main()
