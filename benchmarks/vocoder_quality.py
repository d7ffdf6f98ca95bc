"""Where the log-spectral distance of vocoded clips comes from, and at which temperature it is least.

    python benchmarks/vocoder_quality.py CHECKPOINT [FOLDER] [--clips 8] [--seconds 3] [--temperatures 1 0.9 0.8]

What `wavegen eval` says in one figure, taken apart: held-out clips are vocoded from their own mel frames at each
temperature, and the squared difference of levels to the quantised original is averaged by loudness (a pause lies 35 dB
below the loud frames) and by frequency. The bias is the mean difference: how much too loud the vocoded clips are there.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fast_gen.engine import load_engine
from fast_gen.sampling import SamplingSettings
from fast_gen.vocoded import chosen_clips, vocoded_clip
from fast_gen.weights import GeneratorWeights
from wavenet_app.data_folder import DataFolder
from wavenet_app.held_out_audio import held_out_audio
from wavenet_app.mel import MelFrames
from wavenet_app.pair_metrics import FLOOR_POWER
from wavenet_app.pair_table import as_coded, measures
from wavenet_app.sound_distributions import PAUSE_DECIBELS
from wavenet_app.sound_frames import frame_lengths, levels, power_spectra
from wavenet_app.tells import Tells
from wavenet_app.trained import find_checkpoint, load_trained

Waveform = NDArray[np.float32]


def decibels(waveform: Waveform, rate: int) -> NDArray[np.float64]:
    """Levels (frames, frequencies), as the log-spectral distance takes them."""
    length, hop = frame_lengths(rate)
    return 10 * np.log10(np.maximum(power_spectra(waveform, length, hop, length), FLOOR_POWER))


def shares(originals: list[Waveform], sounds: list[Waveform], rate: int) -> list[tuple[str, float, float, float]]:
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("folder", nargs="*", help="audio it was not trained on (default: what the run held out)")
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--temperatures", type=float, nargs="*", default=[1.0, 0.9, 0.8, 0.7])
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--data-dir", type=Path)
    options = parser.parse_args()

    folder = DataFolder.at(options.data_dir)
    trained = load_trained(find_checkpoint(folder.root, options.checkpoint))
    config = trained.config
    assert config.model.mel is not None, "the model must be one that is told mel frames"
    corpus = held_out_audio(trained, options.folder, folder).corpus
    rate, coding = corpus.sample_rate, config.model.coding
    tells = Tells(config.model.speakers, MelFrames(config.model.mel, rate))
    engine = load_engine(options.engine, GeneratorWeights.of(trained.model))
    sounds: dict[str, list[Waveform]] = {}
    for clip in chosen_clips(corpus.validation, options.clips):
        for temperature in options.temperatures:
            made = vocoded_clip(
                engine,
                trained.model,
                corpus,
                clip,
                tells,
                num_samples=round(options.seconds * rate),
                seed=0,
                settings=SamplingSettings(temperature),
            )
            sounds.setdefault(f"this model at {temperature:g}", []).append(made.vocoded)
        sounds.setdefault("Griffin-Lim", []).append(made.griffin_lim)
        sounds.setdefault("quantised original", []).append(as_coded(made.original, coding))
    originals = sounds.pop("quantised original")
    for name, tests in sounds.items():
        rows = [measures(original, test, rate) for original, test in zip(originals, tests, strict=True)]
        means = {label: np.mean([row[label].value for row in rows]) for label in rows[0]}
        print(f"\n{name}: " + ", ".join(f"{label.partition(' (')[0]} {value:.3f}" for label, value in means.items()))
        for where, share, distance, bias in shares(originals, tests, rate):
            print(f"    {where:24} {share:5.0%} of the cells  RMS {distance:5.2f} dB  bias {bias:+6.2f} dB")


if __name__ == "__main__":
    main()
