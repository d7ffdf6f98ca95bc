"""The limit of a vocoder that samples its noise: how close it can come to a recording, measured without a model.

    python benchmarks/vocoder_limit.py FOLDER [--clips 8] [--seconds 3] [--draws 8]

The log-spectral distance compares levels cell by cell (a frame of 32 ms, a frequency). Where a recording is noise, its
levels deviate by 5.6 dB from the expected ones: the power of a cell of Gaussian noise is exponentially distributed, and
ten times its decimal logarithm has the deviation 10 / ln 10 x pi / sqrt 6 = 5.57. So a sound with the expected level in
each cell is 5.6 dB away, and another draw of the same noise, which deviates too, is sqrt 2 times as far: 7.9. A
sampling vocoder produces such a draw. But mel frames are the actual levels of the recording, not the expected ones, so
a sound with the same frames is closer. Noise is therefore drawn in two ways. Both scale the spectra of white noise
band by band:

- frames as levels: once, by the average spectrum of white noise. The resulting frames deviate from the given ones.
- frames matched: repeatedly, by the remaining error of each band, until the frames match the given ones. A perfect
  vocoder of noise would draw this. Where a band contains one frequency, little is left to draw.

The cells that count as noise grow in steps; all others keep the recording, as if a vocoder made no mistake there:

- nothing: no cell is redrawn. Only the noise of the codes differs, because everything is 0.1 dB louder, here and below.
- no pitch: frames in which, and next to which, pYIN finds no pitch: hiss, breath, pauses.
- no pitch, or high: also everything above 4 kHz in the other frames, where the harmonic-plus-noise model of speech has
  noise (Stylianou 2001, "Applying the harmonic plus noise model in concatenative speech synthesis").
- everything: as if the voice whispered; this is not a limit, but shows what correct frames alone give.

The draws show whether the cells are noise: if so, the recording is as far from a draw (draw) as another draw is
(apart). Levels are the mean levels of all draws, the best constant for each cell, which no sound has to match.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import librosa
import numpy as np
from log_spectra import Levels, Sound, decibels, distance
from numpy.typing import NDArray

from fast_gen.evaluation.vocoded import chosen_clips
from fast_gen.vocoding.refine import band_shares
from wavenet_app.audio.mel import Frames, MelFrames
from wavenet_app.coding import MuLawCoding
from wavenet_app.config import AudioConfig, CorpusConfig, MelConfig
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.corpus.corpus import open_corpus
from wavenet_app.evaluation.griffin_lim import griffin_lim
from wavenet_app.evaluation.pair_table import as_coded
from wavenet_app.evaluation.sound_distributions import HIGHEST_PITCH, LOWEST_PITCH
from wavenet_app.evaluation.sound_frames import frame_lengths, power_spectra

WAYS = {"frames as levels": 0, "frames matched": 60}
"""Way to draw noise -> number of corrections of its bands."""
HIGHEST_HARMONIC = 4_000.0  # Hz
LOUDER = 10 ** (0.1 / 20)
CODING = MuLawCoding(256)
STEPS = ("nothing", "no pitch", "no pitch, or high", "everything")

Cells = NDArray[np.bool_]


def noise_with_frames(frames: Frames, mel: MelFrames, rng: np.random.Generator, corrections: int) -> Sound:
    """Returns noise (frames x hop,) that approximates the given mel frames (frames, n_mels)."""
    points = 2 * mel.margin + mel.hop
    shares = band_shares(mel)
    wanted = np.exp(frames.T.astype(np.float64))
    sound = rng.standard_normal(len(frames) * mel.hop + 2 * mel.margin)
    for correction in range(1 + corrections):
        spectrum = librosa.stft(sound, n_fft=points, hop_length=mel.hop, center=False)
        found = mel.bank.T @ np.abs(spectrum)
        if not correction:
            found = found.mean(axis=1, keepdims=True)
        spectrum *= shares @ (wanted / np.maximum(found, 1e-9))
        sound = librosa.istft(spectrum, n_fft=points, hop_length=mel.hop, center=False, length=len(sound))
    return sound[mel.margin : len(sound) - mel.margin].astype(np.float32)


def noise_like(original: Sound, rate: int) -> dict[str, Cells]:
    """Returns the cells (frames, frequencies) that each step redraws."""
    length, hop = frame_lengths(rate)
    count, frequencies = power_spectra(original, length, hop, length).shape
    pitch, _, _ = librosa.pyin(
        original.astype(np.float64),
        fmin=LOWEST_PITCH,
        fmax=HIGHEST_PITCH,
        sr=rate,
        frame_length=2 * length,
        hop_length=hop,
        resolution=0.2,
    )
    # frames of pYIN are centred on multiples of the hop: frame n + 1 is at the centre of frame n here
    pitched = np.convolve(np.pad(np.isfinite(pitch), (0, 4)), np.ones(3), "full")[2 : 2 + count, None] > 0
    high = np.arange(frequencies) * rate / length >= HIGHEST_HARMONIC
    all_cells = np.ones((count, frequencies), bool)
    return dict(zip(STEPS, (~all_cells, ~pitched & all_cells, ~pitched | high, all_cells), strict=True))


def composed(original: Sound, noise: Sound, cells: Cells, rate: int) -> Sound:
    """Returns the recording with some cells from the noise, by an STFT with half the hop of the metric."""
    length, hop = frame_lengths(rate)
    kept, drawn = (librosa.stft(sound, n_fft=length, hop_length=hop // 2) for sound in (original, noise))
    # the centre of frame n of the metric is at (n + 1) hops, that of frame s here at s half hops
    of_frame = np.clip(np.round(np.arange(kept.shape[1]) / 2 - 1).astype(int), 0, len(cells) - 1)
    mixed = np.where(cells[of_frame].T, drawn, kept)
    sound: Sound = librosa.istft(mixed, hop_length=hop // 2, length=len(original))
    return sound


class Step:
    """Results of redrawing some of the cells: lists with one entry per clip, in dB."""

    def __init__(self) -> None:
        self.share: list[float] = []
        self.whole: list[tuple[float, float]] = []
        self.in_cells: list[list[float]] = []

    def add(self, cells: Cells, wanted: Levels, draws: Levels, baseline: Levels) -> None:
        """Adds a clip: its redrawn cells, and the levels of the recording, of all draws and of Griffin-Lim."""
        levels = draws.mean(axis=0)
        self.share.append(float(cells.mean()))
        self.whole.append((float(np.mean([distance(wanted, draw) for draw in draws])), distance(wanted, levels)))
        if cells.any():
            differences = (draws - wanted, draws - np.roll(draws, 1, axis=0), levels - wanted, baseline - wanted)
            self.in_cells.append([float((one[..., cells] ** 2).mean()) for one in differences])

    def row(self) -> str:
        """Returns shares, distances over all cells, and RMS differences in the redrawn cells."""
        text = f"{np.mean(self.share):6.0%} {{:6.2f}} {{:8.2f}}".format(*np.mean(self.whole, axis=0))
        if self.in_cells:
            weights = [share for share in self.share if share]
            squares = np.average(self.in_cells, axis=0, weights=weights)
            text += "   {:6.2f} {:7.2f} {:8.2f} {:13.2f}".format(*np.sqrt(squares))
        return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "folder", type=Path, help="recordings; the clips that `wavegen train` would hold out are measured"
    )
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--draws", type=int, default=8)
    parser.add_argument("--data-dir", type=Path)
    options = parser.parse_args()

    cache = DataFolder.at(options.data_dir).cache
    corpus = open_corpus([options.folder], audio=AudioConfig(), split=CorpusConfig(), cache_dir=cache, sample_rate=None)
    rate = corpus.sample_rate
    mel = MelFrames(MelConfig().resolved(rate), rate)
    steps = {way: {step: Step() for step in STEPS} for way in WAYS}
    off: dict[str, list[float]] = {way: [] for way in WAYS}
    baseline_distances: list[float] = []
    for clip in chosen_clips(corpus.validation, options.clips):
        original = corpus.waveform(clip, 0, round(options.seconds * rate))
        frames, cells = mel.of(original), noise_like(original, rate)
        wanted = decibels(as_coded(original, CODING), rate)
        baseline = decibels(griffin_lim(frames, mel)[: len(original)], rate)
        baseline_distances.append(distance(wanted, baseline))
        for way, corrections in WAYS.items():
            rng = np.random.default_rng(0)
            noises = [noise_with_frames(frames, mel, rng, corrections)[: len(original)] for _ in range(options.draws)]
            off[way] += [float(((mel.of(noise) - frames) ** 2).mean()) for noise in noises]
            for name, step in steps[way].items():
                sounds = [LOUDER * composed(original, noise, cells[name], rate) for noise in noises]
                step.add(
                    cells[name], wanted, np.stack([decibels(as_coded(one, CODING), rate) for one in sounds]), baseline
                )
    print(
        f"{len(baseline_distances)} held-out clips, {rate} Hz, gain x{corpus.gain:.2f}; dB to the original as "
        f"{CODING.name}; Griffin-Lim from the same frames: {np.mean(baseline_distances):.2f}"
    )
    for way, found in steps.items():
        error = np.sqrt(np.mean(off[way])) * 20 / np.log(10)
        print(f"\n{way}; the frames of the draws deviate by {error:.1f} dB")
        print(f"{'':22}    log-spectral distance       in the redrawn cells, RMS")
        print(f"{'redrawn':22} cells   draw   levels     draw   apart   levels   Griffin-Lim")
        for name, step in found.items():
            print(f"{name:21} {step.row()}")


if __name__ == "__main__":
    main()
