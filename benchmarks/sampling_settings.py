"""Compares ways to sample a trained model, by what it generates on its own: temperatures, and shares of min-p.

    python benchmarks/sampling_settings.py RUN --temperatures 1 0.97 0.94 [--min-p 0 0.002] [--clips 12] [--seconds 4]

For each pair: the bits per sample of the clips under the model, which should be those of held-out audio; frames with a
pitch, pauses, failures, and distances to real pieces, with one half of the real pieces against the other in the first
line. Clips of all pairs use the same random numbers.
"""

from __future__ import annotations

import argparse
import sys
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

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

HEADER = ("sampled at", "bits", "pitch", "pauses", "Frechet, dB²", "log-mel, dB", "energy, dB", "failed")


def compare(options: argparse.Namespace) -> None:
    """Prints a row for the real pieces and for each pair of settings."""
    folder = DataFolder.at(options.data_dir)
    trained = load_trained(find_checkpoint(folder.root, options.run))
    if trained.config.model.mel is not None or trained.config.model.speakers:
        raise UserError(f"{trained.config.name} has conditioning; take a model of one voice")
    corpus, coding = held_out_audio(trained, (), folder).corpus, trained.config.model.coding
    rate = corpus.sample_rate
    length = round(options.seconds * rate)
    pieces = [as_coded(piece, coding) for piece in real_pieces(corpus, length, 2 * options.clips)]
    wanted, others = pieces[0::2], pieces[1::2]
    features, points = sound_features(wanted, rate), embed(wanted, rate)

    def row(name: str, waveforms: list[NDArray[np.float32]]) -> str:
        found = sound_features(waveforms, rate)
        distances = sound_distances(features, found)
        bits = np.concatenate([code_bits(trained.model, coding.encode(waveform)) for waveform in waveforms]).mean()
        cells = (
            name,
            f"{bits:.3f}",
            f"{found.voiced_share:.0%}",
            f"{found.pause_share(features.pause_threshold):.0%}",
            f"{frechet_distance(points, embed(waveforms, rate)):.1f}",
            f"{distances.log_mel:.1f}",
            f"{distances.energy:.1f}",
            str(sum(failure(waveform, rate) is not None for waveform in waveforms)),
        )
        return f"| {' | '.join(cells)} |"

    print(f"| {' | '.join(HEADER)} |\n|{'---|' * len(HEADER)}")
    print(row("real, the other half", others), flush=True)
    engine = load_engine("cpu", GeneratorWeights.of(trained.model))
    for temperature, min_p in product(options.temperatures, options.min_p):
        settings = SamplingSettings(temperature, min_p=min_p)
        made = generate(engine, num_samples=length, batch_size=options.clips, seed=options.seed, settings=settings)
        print(row(f"{temperature:g}" + (f", min-p {min_p:g}" if min_p else ""), list(made)), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--temperatures", type=float, nargs="+", default=[1.0, 0.98, 0.97, 0.96, 0.94, 0.9])
    parser.add_argument("--min-p", type=float, nargs="+", default=[0.0])
    parser.add_argument("--clips", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data-dir", type=Path)
    try:
        compare(parser.parse_args())
    except UserError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
