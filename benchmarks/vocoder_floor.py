"""How near to a recording a vocoder can come that draws its noise, measured without any model.

    python benchmarks/vocoder_floor.py FOLDER [--clips 8] [--seconds 3] [--draws 8]

The log-spectral distance compares levels cell by cell (a frame of 32 ms, a frequency). Where a recording is noise, its
own levels lie 5.6 dB about those expected: of Gaussian noise a cell's power is exponential, and ten times its decimal
logarithm deviates by 10 / ln 10 x pi / sqrt 6 = 5.57. So what gives every cell its expected level is 5.6 dB away, and
another draw of the same noise, deviating by itself, sqrt 2 times as far: 7.9. A vocoder that samples is such a draw.
But mel frames are not expected levels, they are those that the recording had, and what has the same frames is nearer.
So noise is drawn in two ways. For both, the spectra of white noise are scaled band by band:

- frames as levels: once, by what white noise has on average. The frames that come out deviate from those asked for.
- frames met: again and again, by what is missing in each band, until the frames are about those asked for. This is what
  a perfect vocoder of noise would draw. Where a band holds one frequency, little is left to draw.

How many cells are noise is decided in steps; the rest is kept as it was, as if a vocoder made no mistake there:

- nothing: no cell is redrawn. Only the noise of the codes is another, as everything is 0.1 dB louder, here and below.
- no pitch: frames in which pYIN finds no pitch, nor in their neighbours: hiss, breath, pauses.
- no pitch, or high: also what lies above 4 kHz in the other frames, where the harmonic-plus-noise model of speech has
  noise (Stylianou 2001, "Applying the harmonic plus noise model in concatenative speech synthesis").
- everything: as if the voice whispered; no floor, but what the right frames alone are worth.

That the cells are noise indeed, draws tell themselves: the recording then is no further from one (draw) than another is
(apart). Levels are the mean levels of all draws, the best constant for each cell, which no sound need have.
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

WAYS = {"frames as levels": 0, "frames met": 60}
"""Way to draw noise -> how often its bands are corrected."""
HIGHEST_HARMONIC = 4_000.0  # Hz
LOUDER = 10 ** (0.1 / 20)
CODING = MuLawCoding(256)
STEPS = ("nothing", "no pitch", "no pitch, or high", "everything")

Cells = NDArray[np.bool_]


def noise_with_frames(frames: Frames, mel: MelFrames, rng: np.random.Generator, corrections: int) -> Sound:
    """Noise (frames x hop,) with about the mel frames that are given, (frames, n_mels)."""
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
    """Which of the cells (frames, frequencies) are redrawn in each step."""
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
    # frames of pYIN are centred on multiples of the hop: number n + 1 is where frame n has its middle
    pitched = np.convolve(np.pad(np.isfinite(pitch), (0, 4)), np.ones(3), "full")[2 : 2 + count, None] > 0
    high = np.arange(frequencies) * rate / length >= HIGHEST_HARMONIC
    all_cells = np.ones((count, frequencies), bool)
    return dict(zip(STEPS, (~all_cells, ~pitched & all_cells, ~pitched | high, all_cells), strict=True))


def composed(original: Sound, noise: Sound, cells: Cells, rate: int) -> Sound:
    """The recording with some cells from the noise, by a short-time Fourier transform of half the metric's hop."""
    length, hop = frame_lengths(rate)
    kept, drawn = (librosa.stft(sound, n_fft=length, hop_length=hop // 2) for sound in (original, noise))
    # frame n of the metric has its middle at (n + 1) hops, frame s here at s half ones
    of_frame = np.clip(np.round(np.arange(kept.shape[1]) / 2 - 1).astype(int), 0, len(cells) - 1)
    mixed = np.where(cells[of_frame].T, drawn, kept)
    sound: Sound = librosa.istft(mixed, hop_length=hop // 2, length=len(original))
    return sound


class Step:
    """What comes of redrawing some of the cells; in each list an entry a clip, in dB."""

    def __init__(self) -> None:
        self.share: list[float] = []
        self.whole: list[tuple[float, float]] = []
        self.in_cells: list[list[float]] = []

    def add(self, cells: Cells, wanted: Levels, draws: Levels, rival: Levels) -> None:
        """Adds a clip: the cells that are redrawn; levels of the recording, of all draws, and of Griffin-Lim."""
        levels = draws.mean(axis=0)
        self.share.append(float(cells.mean()))
        self.whole.append((float(np.mean([distance(wanted, draw) for draw in draws])), distance(wanted, levels)))
        if cells.any():
            differences = (draws - wanted, draws - np.roll(draws, 1, axis=0), levels - wanted, rival - wanted)
            self.in_cells.append([float((one[..., cells] ** 2).mean()) for one in differences])

    def row(self) -> str:
        """Shares, distances over all cells, and RMS differences in the redrawn ones."""
        text = f"{np.mean(self.share):6.0%} {{:6.2f}} {{:8.2f}}".format(*np.mean(self.whole, axis=0))
        if self.in_cells:
            weights = [share for share in self.share if share]
            squares = np.average(self.in_cells, axis=0, weights=weights)
            text += "   {:6.2f} {:7.2f} {:8.2f} {:13.2f}".format(*np.sqrt(squares))
        return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="recordings; those that `wavegen train` would hold out are measured")
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
    rivals: list[float] = []
    for clip in chosen_clips(corpus.validation, options.clips):
        original = corpus.waveform(clip, 0, round(options.seconds * rate))
        frames, cells = mel.of(original), noise_like(original, rate)
        wanted = decibels(as_coded(original, CODING), rate)
        rival = decibels(griffin_lim(frames, mel)[: len(original)], rate)
        rivals.append(distance(wanted, rival))
        for way, corrections in WAYS.items():
            rng = np.random.default_rng(0)
            noises = [noise_with_frames(frames, mel, rng, corrections)[: len(original)] for _ in range(options.draws)]
            off[way] += [float(((mel.of(noise) - frames) ** 2).mean()) for noise in noises]
            for name, step in steps[way].items():
                sounds = [LOUDER * composed(original, noise, cells[name], rate) for noise in noises]
                step.add(
                    cells[name], wanted, np.stack([decibels(as_coded(one, CODING), rate) for one in sounds]), rival
                )
    print(
        f"{len(rivals)} held-out clips, {rate} Hz, gain x{corpus.gain:.2f}; dB to the original as {CODING.name}; "
        f"Griffin-Lim from the same frames: {np.mean(rivals):.2f}"
    )
    for way, found in steps.items():
        error = np.sqrt(np.mean(off[way])) * 20 / np.log(10)
        print(f"\n{way}; those of the draws deviate by {error:.1f} dB")
        print(f"{'':22}    log-spectral distance       in the redrawn cells, RMS")
        print(f"{'redrawn':22} cells   draw   levels     draw   apart   levels   Griffin-Lim")
        for name, step in found.items():
            print(f"{name:21} {step.row()}")


if __name__ == "__main__":
    main()
