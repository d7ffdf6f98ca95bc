"""Compares ways to sample a trained model, by what it generates on its own: temperatures, and shares of min-p.

    python benchmarks/sampling_settings.py MODEL [PATH ...] --temperatures 1 0.97 [--quiet-temperature 1]
        [--min-p 0 0.002] [--seeds 1 2 3]

PATH is held-out audio; without it, the held-out clips of the run. Each row has a figure for each seed: the bits per
sample of the clips under the model, frames with a pitch, pauses, distances to real pieces, and clips that fail or
whistle. The first row is one half of the real pieces against the other. Clips of all rows use the same random numbers;
speakers take turns.
"""

from __future__ import annotations

import argparse
import sys
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fast_gen.engines.condition import voice
from fast_gen.engines.sampling import SamplingSettings
from fast_gen.engines.start import load_engine
from fast_gen.engines.weights import GeneratorWeights
from fast_gen.evaluation.generated import real_pieces
from fast_gen.generation.stream import generate
from wavenet_app.checkpoints.trained import find_checkpoint, load_trained
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.evaluation.frechet import embed, frechet_distance
from wavenet_app.evaluation.held_out_audio import held_out_audio
from wavenet_app.evaluation.likelihood import code_bits
from wavenet_app.evaluation.pair_table import as_coded
from wavenet_app.evaluation.runaway import failure
from wavenet_app.evaluation.sound_distributions import sound_distances, sound_features
from wavenet_app.evaluation.whistles import whistle_seconds

HEADER = (
    "sampled at",
    "bits",
    "pitch, %",
    "pauses, %",
    "Frechet, dB²",
    "log-mel, dB",
    "energy, dB",
    "failed",
    "whistle",
)


def compare(options: argparse.Namespace) -> None:
    """Prints a row for the real pieces and for each pair of settings."""
    folder = DataFolder.at(options.data_dir)
    trained = load_trained(find_checkpoint(folder.root, options.model))
    model = trained.config.model
    if model.mel is not None:
        raise UserError(f"{trained.config.name} is a vocoder; compare its temperatures with vocoder_quality.py")
    corpus, coding = held_out_audio(trained, options.paths, folder).corpus, model.coding
    rate = corpus.sample_rate
    length = round(options.seconds * rate)
    pieces = [as_coded(piece, coding) for piece in real_pieces(corpus, length, 2 * options.clips)]
    wanted, others = pieces[0::2], pieces[1::2]
    features, points = sound_features(wanted, rate), embed(wanted, rate)
    speakers = len(model.speakers)
    shares = np.eye(speakers, dtype=np.float32)[np.arange(options.clips) % speakers] if speakers else None

    def bits(waveform: NDArray[np.float32], row: int) -> float:
        share = None if shares is None else shares[row]
        return float(code_bits(trained.model, coding.encode(waveform), shares=share).mean())

    def figures(waveforms: list[NDArray[np.float32]]) -> list[str]:
        found = sound_features(waveforms, rate)
        distances = sound_distances(features, found)
        return [
            f"{100 * found.voiced_share:.0f}",
            f"{100 * found.pause_share(features.pause_threshold):.1f}",
            f"{frechet_distance(points, embed(waveforms, rate)):.1f}",
            f"{distances.log_mel:.1f}",
            f"{distances.energy:.1f}",
            str(sum(failure(waveform, rate) is not None for waveform in waveforms)),
            str(sum(whistle_seconds(waveform, rate) > 0 for waveform in waveforms)),
        ]

    def show(name: str, rows: list[list[str]]) -> None:
        cells = (name, *(", ".join(of_seeds) for of_seeds in zip(*rows, strict=True)))
        print(f"| {' | '.join(cells)} |", flush=True)

    print(f"| {' | '.join(HEADER)} |\n|{'---|' * len(HEADER)}")
    show("real, the other half", [["-", *figures(others)]])
    weights = GeneratorWeights.of(trained.model)
    engine, condition = load_engine("cpu", weights), None if shares is None else voice(weights, shares)
    for temperature, min_p in product(options.temperatures, options.min_p):
        settings = SamplingSettings(temperature, min_p=min_p, quiet_temperature=options.quiet_temperature)
        rows = []
        for seed in options.seeds:
            made = generate(
                engine,
                num_samples=length,
                batch_size=options.clips,
                seed=seed,
                settings=settings,
                condition=condition,
            )
            own = np.mean([bits(waveform, row) for row, waveform in enumerate(made)])
            rows.append([f"{own:.3f}", *figures(list(made))])
        quiet = "" if options.quiet_temperature is None else f", {options.quiet_temperature:g} in quiet parts"
        show(f"{temperature:g}{quiet}" + (f", min-p {min_p:g}" if min_p else ""), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("paths", nargs="*", metavar="PATH")
    parser.add_argument("--temperatures", type=float, nargs="+", default=[1.0, 0.99, 0.98, 0.97, 0.96])
    parser.add_argument("--quiet-temperature", type=float)
    parser.add_argument("--min-p", type=float, nargs="+", default=[0.0])
    parser.add_argument("--clips", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--data-dir", type=Path)
    try:
        compare(parser.parse_args())
    except UserError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
