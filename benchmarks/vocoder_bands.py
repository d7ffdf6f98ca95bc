"""The frequencies in which a vocoder as sampled differs from the recording in a way that is heard.

    python benchmarks/vocoder_bands.py CHECKPOINT [FOLDER] [--clips 8] [--seconds 2] [--temperature 0.6]
                                       [--edges 500 1000 2000 4000] [--turns 64]

A vocoder with a filter makes an excitation, and the recording has one as well. Below each edge the excitation of one
is joined to that of the other above it, and the filter makes a waveform of both. Where quality rises with the part of
the recording, the samples of that part are to blame. Refined white noise in the place of the recording needs no net.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from vocoder_ablation import report, whole_filters

from fast_gen.engines.sampling import SamplingSettings
from fast_gen.engines.start import load_engine
from fast_gen.engines.weights import GeneratorWeights
from fast_gen.evaluation.vocoded import chosen_clips
from fast_gen.vocoding.filtered import filtered
from fast_gen.vocoding.refine import refined_noise
from fast_gen.vocoding.vocode import sampled
from wavenet_app.audio.mel import Frames, MelFrames
from wavenet_app.checkpoints.trained import find_checkpoint, load_trained
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.corpus.conditions import ClipConditioning
from wavenet_app.evaluation.held_out_audio import held_out_audio

Sound = NDArray[np.float32]

TAPS = 257  # of the low-pass filter


class Clip(NamedTuple):
    """A held-out clip and its excitations, (frames x hop,) each: of the recording, sampled, and of refined noise."""

    waveform: Sound
    frames: Frames
    recorded: Sound
    sampled: Sound
    noise: Sound


def excitation(waveform: Sound, frames: Frames, mel: MelFrames) -> Sound:
    """Returns what the filter of frames takes to make a waveform, (frames x hop,)."""
    assert mel.filter is not None
    missing = len(frames) * mel.hop - len(waveform)
    return mel.filter.excitation(np.pad(waveform, (mel.filter.order, missing)), whole_filters(mel, frames))


def joined(low: Sound, high: Sound, edge: float, rate: int) -> Sound:
    """Returns one sound below an edge in Hz and another above it."""
    from scipy.signal import fftconvolve, firwin

    kept: Sound = high + fftconvolve(low - high, firwin(TAPS, edge, fs=rate), mode="same")
    return kept.astype(np.float32)


def waveforms(clips: list[Clip], excitations: list[Sound], mel: MelFrames) -> list[Sound]:
    """Returns what the filter of each clip's frames makes of an excitation, as long as the clip."""
    assert mel.filter is not None
    return [
        np.concatenate(list(filtered([one], [clip.frames], mel.filter, mel.mel)))[: len(clip.waveform)]
        for clip, one in zip(clips, excitations, strict=True)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("folder", nargs="*", help="audio for a model without held-out clips of its own")
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--temperature", type=float, default=0.6)
    parser.add_argument("--edges", type=float, nargs="*", default=[500, 1000, 2000, 4000])
    parser.add_argument("--turns", type=int, default=64)
    parser.add_argument("--data-dir", type=Path)
    options = parser.parse_args()

    folder = DataFolder.at(options.data_dir)
    trained = load_trained(find_checkpoint(folder.root, options.checkpoint))
    model = trained.config.model
    assert model.mel is not None, "the model must be conditioned on mel frames"
    assert model.mel.filter_order, "the frames of the model must have a filter"
    corpus = held_out_audio(trained, options.folder, folder).corpus
    rate = corpus.sample_rate
    mel = MelFrames(model.mel, rate)
    conditioning = ClipConditioning(model.speakers, mel)
    engine, settings = load_engine("cpu", GeneratorWeights.of(trained.model)), SamplingSettings(options.temperature)
    clips = []
    for clip in chosen_clips(corpus.validation, options.clips):
        waveform = corpus.waveform(clip, 0, round(options.seconds * rate))
        frames, shares = mel.of(waveform), conditioning.shares(clip)
        columns = mel.conditioning([frames])
        made = sampled(engine, trained.model, columns, shares=shares, seed=0, settings=settings)
        noise = refined_noise(frames, mel, options.turns, seed=0)
        clips.append(
            Clip(
                waveform,
                frames,
                excitation(waveform, frames, mel),
                np.concatenate(list(made)),
                excitation(noise, frames, mel),
            )
        )
    originals = [clip.waveform for clip in clips]
    report("as sampled", originals, waveforms(clips, [clip.sampled for clip in clips], mel), rate)
    for edge in options.edges:
        for low, high in (("recorded", "sampled"), ("sampled", "recorded"), ("noise", "sampled")):
            mixed = [joined(getattr(clip, low), getattr(clip, high), edge, rate) for clip in clips]
            report(f"{low} below {edge:g} Hz, {high} above", originals, waveforms(clips, mixed, mel), rate)
    unmixed = waveforms(clips, [clip.noise for clip in clips], mel)
    report(f"white noise, {options.turns} turns", originals, unmixed, rate)


if __name__ == "__main__":
    main()
