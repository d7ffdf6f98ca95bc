"""How often a model speaks in the requested voice, by a simple classifier trained on real clips.

    python benchmarks/speaker_accuracy.py CHECKPOINT [--clips 50] [--seconds 1]

The classifier is a logistic regression on the means and deviations of 20 mel-frequency cepstra over the frames of a
clip. It is trained on the encoded and decoded training clips of the model. Its accuracy on the held-out clips of the
run shows how reliable it is.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import librosa
import numpy as np
import torch
from numpy.typing import NDArray

from fast_gen.engines.condition import voice
from fast_gen.engines.sampling import usual_settings
from fast_gen.engines.start import load_engine
from fast_gen.engines.weights import GeneratorWeights
from fast_gen.generation.stream import generate
from wavenet_app.checkpoints.trained import find_checkpoint, load_trained
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.corpus.corpus import Clip, open_corpus
from wavenet_app.evaluation.pair_table import as_coded
from wavenet_app.evaluation.runaway import failure

CEPSTRA = 20
PENALTY = 1e-2


def features(waveform: NDArray[np.float32], rate: int) -> NDArray[np.float64]:
    """Returns means and deviations of the cepstra (the first is the level) over the frames of a clip: (2 x 20,)."""
    window, hop = round(0.032 * rate), round(0.008 * rate)
    padded = np.pad(waveform, (0, max(0, window - len(waveform))))
    cepstra = librosa.feature.mfcc(y=padded, sr=rate, n_mfcc=CEPSTRA, n_fft=window, hop_length=hop, n_mels=40)
    return np.concatenate([cepstra.mean(axis=1), cepstra.std(axis=1)]).astype(np.float64)


def fit(points: NDArray[np.float64], labels: NDArray[np.intp], classes: int) -> torch.nn.Linear:
    """Returns a logistic regression with a penalty on its weights, fitted by L-BFGS."""
    torch.manual_seed(0)
    layer = torch.nn.Linear(points.shape[1], classes, dtype=torch.float64)
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=500, line_search_fn="strong_wolfe")
    inputs, targets = torch.from_numpy(points), torch.from_numpy(labels)

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = torch.nn.functional.cross_entropy(layer(inputs), targets) + PENALTY * layer.weight.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    return layer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("--clips", type=int, default=50, help="number of clips to generate for each speaker")
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--temperature", type=float)
    parser.add_argument("--quiet-temperature", type=float)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--strength", type=float, default=1.0, help="of the speaker: 1 as trained, more goes beyond, away from the mean"
    )
    parser.add_argument("--data-dir", type=Path)
    options = parser.parse_args()

    folder = DataFolder.at(options.data_dir)
    trained = load_trained(find_checkpoint(folder.root, options.checkpoint))
    config, speakers = trained.config, trained.config.model.speakers
    assert speakers, "the model must be conditioned on speakers"
    assert config.model.mel is None, "the model must have no other conditioning"
    rate, coding = config.audio.sample_rate, config.model.coding
    corpus = open_corpus(
        [folder.data_set(path) for path in config.corpus.paths],
        audio=config.audio,
        split=config.corpus,
        cache_dir=folder.cache,
        sample_rate=rate,
        gain=config.audio.gain,
    )

    def points_of(clips: Sequence[Clip]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
        found = [features(as_coded(corpus.waveform(clip), coding), rate) for clip in clips]
        return np.stack(found), np.array([speakers.index(clip.speaker or "") for clip in clips])

    known, known_labels = points_of(corpus.training)
    mean, deviation = known.mean(axis=0), known.std(axis=0)
    layer = fit((known - mean) / deviation, known_labels, len(speakers))

    def classify(points: NDArray[np.float64]) -> NDArray[np.intp]:
        with torch.no_grad():
            found: NDArray[np.intp] = layer(torch.from_numpy((points - mean) / deviation)).argmax(-1).numpy()
        return found

    held_out, held_out_labels = points_of(corpus.validation)
    real = (classify(held_out) == held_out_labels).mean()
    print(f"the classifier is right for {real:.1%} of {len(held_out)} held-out real clips", flush=True)

    settings = usual_settings(config.model, options.temperature, options.quiet_temperature)
    weights = GeneratorWeights.of(trained.model)
    requested = np.repeat(np.arange(len(speakers)), options.clips)
    mean_share = 1 / len(speakers)
    shares = mean_share + options.strength * (np.eye(len(speakers), dtype=np.float32) - mean_share)
    began = time.monotonic()
    waveforms = generate(
        load_engine("auto", weights),
        num_samples=round(options.seconds * rate),
        batch_size=len(requested),
        seed=options.seed,
        settings=settings,
        condition=voice(weights, shares[requested].astype(np.float32)),
    )
    seconds = time.monotonic() - began
    classified = classify(np.stack([features(waveform, rate) for waveform in waveforms]))
    failed = sum(failure(waveform, rate) is not None for waveform in waveforms)
    quiet = "" if settings.quiet_temperature is None else f" ({settings.quiet_temperature:g} in quiet parts)"
    print(
        f"{len(requested)} generated clips of {options.seconds:g} s at temperature {settings.temperature:g}{quiet}, "
        f"made in {seconds:.0f} s; {failed} of them ran away to noise or a hum or collapsed to silence"
    )
    table = np.zeros((len(speakers), len(speakers)), int)
    np.add.at(table, (requested, classified), 1)
    width = max(map(len, speakers)) + 1
    print(f"{'requested':{width}}  classified as " + " ".join(f"{name:>{width}}" for name in speakers))
    for name, row in zip(speakers, table, strict=True):
        print(f"{name:{width}}                " + " ".join(f"{count:{width}d}" for count in row))
    print(f"classified as requested: {np.trace(table) / len(requested):.1%}; by chance {1 / len(speakers):.1%}")


if __name__ == "__main__":
    main()
