"""How near vocoded recordings come to the originals, beside Griffin-Lim from the same mel frames.

    python benchmarks/vocoder_quality.py CHECKPOINT FOLDER [--clips 8] [--seconds 3]

The clips are those that the checkpoint's own split held out, cut as they were for training. Each is compared with its
mu-law quantised original, which is all that the model could ever say. Log-spectral distance: the root of the mean over
frequencies of the squared difference of levels in dB, averaged over frames (Hann windows of 1,024 samples, 256 apart,
levels held to 80 dB below the loudest of the original). Mel distance: the mean difference, in nats, of the frames that
the vocoder was given from those of its result.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import librosa
import numpy as np
from numpy.typing import NDArray

from fast_gen.engine import load_engine
from fast_gen.sampling import SamplingSettings
from fast_gen.vocode import vocode
from fast_gen.weights import GeneratorWeights
from wavenet_app.corpus import open_corpus
from wavenet_app.data_folder import DataFolder
from wavenet_app.mel import MelFrames
from wavenet_app.mu_law import decode, encode
from wavenet_app.trained import Trained, find_checkpoint, load_trained

Waveform = NDArray[np.float32]

RANGE_DECIBELS = 80.0


def levels(waveform: Waveform) -> NDArray[np.float64]:
    magnitude = np.abs(librosa.stft(waveform, n_fft=1024, hop_length=256))
    return 20 * np.log10(np.maximum(magnitude, 1e-10))


def log_spectral_distance(original: Waveform, found: Waveform) -> float:
    one, other = levels(original), levels(found)
    floor = one.max() - RANGE_DECIBELS
    difference = np.maximum(one, floor) - np.maximum(other, floor)
    return float(np.sqrt((difference**2).mean(axis=0)).mean())


def griffin_lim(frames: NDArray[np.float32], mel: MelFrames) -> Waveform:
    """Inverts mel frames: magnitudes by non-negative least squares, phases by 64 iterations."""
    bank = mel._spectrogram.mel_scale.fb.numpy()
    magnitude = librosa.util.nnls(bank.T, np.exp(frames.T).astype(np.float64)).astype(np.float32)
    n_fft = 2 * mel.margin + mel.hop
    found = librosa.griffinlim(
        magnitude, n_iter=64, hop_length=mel.hop, n_fft=n_fft, center=False, random_state=0, momentum=0.99
    )
    return found[mel.margin : mel.margin + len(frames) * mel.hop].astype(np.float32)


def vocoded(
    trained: Trained, frames: NDArray[np.float32], engine_name: str, temperature: float, speaker: int
) -> tuple[Waveform, float]:
    engine = load_engine(engine_name, GeneratorWeights.of(trained.model))
    speakers = len(trained.config.model.speakers)
    blocks = vocode(
        engine,
        trained.model,
        [frames],
        shares=np.eye(speakers, dtype=np.float32)[speaker] if speakers else None,
        seed=0,
        settings=SamplingSettings(temperature=temperature),
    )
    began = time.monotonic()
    waveform = np.concatenate(list(blocks))
    return waveform, time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--temperatures", type=float, nargs="*", default=[1.0])
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--keep", type=Path, help="folder for the sounds")
    options = parser.parse_args()

    trained = load_trained(find_checkpoint(DataFolder.at(options.data_dir).root, options.checkpoint))
    config = trained.config
    assert config.model.mel is not None, "the model must be one that is told mel frames"
    rate, channels = config.audio.sample_rate, config.model.quantization_channels
    mel = MelFrames(config.model.mel, rate)
    with tempfile.TemporaryDirectory() as cache:
        corpus = open_corpus(
            [options.folder],
            audio=config.audio,
            split=config.corpus,
            cache_dir=Path(cache),
            sample_rate=rate,
            gain=config.audio.gain,
        )
        chosen = corpus.validation[:: max(1, len(corpus.validation) // options.clips)][: options.clips]
        originals = [corpus.waveform(clip, 0, round(options.seconds * rate)) for clip in chosen]
        who = [config.model.speakers.index(clip.speaker) if clip.speaker else 0 for clip in chosen]
    names = ["Griffin-Lim", *(f"this model at {temperature:g}" for temperature in options.temperatures)]
    distances: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    speed = 0.0
    for number, (original, speaker) in enumerate(zip(originals, who, strict=True)):
        quantised = decode(encode(original, channels), channels)
        frames = mel.of(original)
        sounds = {"Griffin-Lim": np.clip(griffin_lim(frames, mel), -1, 1)}
        for name, temperature in zip(names[1:], options.temperatures, strict=True):
            sounds[name], seconds = vocoded(trained, frames, options.engine, temperature, speaker)
            speed += seconds
        for name, sound in sounds.items():
            matched = sound[: len(original)]
            own = mel.of(matched)
            own_distance = float(np.abs(own - frames).mean())
            distances[name].append((log_spectral_distance(quantised, matched), own_distance))
            if options.keep:
                from wavenet_app.audio import write_wav

                write_wav(options.keep / f"{number}-{name.replace(' ', '-')}.wav", matched, rate)
        if options.keep:
            write_wav(options.keep / f"{number}-original.wav", quantised, rate)
    total = sum(len(original) for original in originals) / rate
    print(
        f"{len(originals)} held-out clips, {total:.1f} s; {total * len(options.temperatures) / speed:.2f} x real time"
    )
    print(f"{'':24}  log-spectral distance, dB   mel distance, nats")
    for name, pairs in distances.items():
        lsd, own = np.mean(pairs, axis=0)
        print(f"{name:24}  {lsd:25.2f}   {own:18.3f}")


if __name__ == "__main__":
    main()
