"""The level of the pauses in vocoded speech: the noise that a head adds where the original is silent.

    python benchmarks/pause_levels.py CHECKPOINT [CHECKPOINT ...] [--clips 6] [--seconds 4]

The clips are the held-out clips of a checkpoint's run, at the gain of the run. Pauses are frames of 32 ms that are more
than 45 dB below the loudest frame of the original clip, without the frames next to sound. The table shows median levels
over all these frames, in dB relative to full scale, without the mean of each frame; -120 is digital silence.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fast_gen.engines.sampling import SamplingSettings
from fast_gen.engines.start import load_engine
from fast_gen.engines.weights import GeneratorWeights
from fast_gen.vocoding.refine import USUAL_TURNS, refined
from fast_gen.vocoding.vocode import vocode
from wavenet_app.audio.files import from_pcm16, pcm16
from wavenet_app.audio.mel import MelFrames
from wavenet_app.checkpoints.trained import Trained, find_checkpoint, load_trained
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.evaluation.held_out_audio import held_out_audio
from wavenet_app.evaluation.sound_frames import levels

PAUSE = 45.0  # dB below the loudest frame


def pauses(levels_of_original: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Returns which frames are pauses, without those next to sound."""
    quiet = levels_of_original < levels_of_original.max() - PAUSE
    padded = np.pad(quiet, 2, constant_values=True)
    return np.lib.stride_tricks.sliding_window_view(padded, 5).all(axis=1)


def measure(trained: Trained, folder: DataFolder, clips: int, seconds: float, temperature: float) -> list[float]:
    """Returns the median levels in the pauses of the original, coded, sampled and refined audio, and their seconds."""
    config = trained.config
    assert config.model.mel is not None, "the model must be conditioned on mel frames"
    corpus = held_out_audio(trained, (), folder).corpus
    rate, coding = corpus.sample_rate, config.model.coding
    mel, engine = MelFrames(config.model.mel, rate), load_engine("auto", GeneratorWeights.of(trained.model))
    found: list[list[NDArray[np.float64]]] = [[], [], [], []]
    for clip in corpus.validation[:: max(1, len(corpus.validation) // clips)][:clips]:
        original = corpus.waveform(clip, 0, round(seconds * rate))
        settings = SamplingSettings(temperature=temperature)
        frames = mel.of(original)
        given = mel.conditioning([frames])
        blocks = vocode(engine, trained.model, given, frame_filter=mel.filter, seed=0, settings=settings)
        sampled = np.concatenate(list(blocks))
        # to 16 bits, as `wavegen vocode` writes it
        moved = from_pcm16(pcm16(refined(sampled, frames, mel, USUAL_TURNS)))
        silent = pauses(levels(original, rate))
        for kept, sound in zip(found, (original, coding.decode(coding.encode(original)), sampled, moved), strict=True):
            kept.append(levels(sound[: len(original)], rate)[silent])
    joined = [np.concatenate(kept) for kept in found]
    return [*(float(np.median(kept)) for kept in joined), 0.016 * len(joined[0])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="+")
    parser.add_argument("--clips", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--data-dir", type=Path)
    options = parser.parse_args()
    folder = DataFolder.at(options.data_dir)
    print(f"{'run':24} {'head':10}  original  coded     sampled     refined   seconds of pauses")
    for name in options.checkpoints:
        trained = load_trained(find_checkpoint(folder.root, name))
        *found, length = measure(trained, folder, options.clips, options.seconds, options.temperature)
        config = trained.config
        original, coded, sampled, moved = (f"{level:8.1f}" for level in found)
        print(f"{config.name:24} {config.model.head:10}  {original}  {coded}  {sampled:>10}  {moved}  {length:.1f}")


if __name__ == "__main__":
    main()
