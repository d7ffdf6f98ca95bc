"""Copies recordings and replaces their pauses by digital silence, like a noise gate.

    python benchmarks/silent_pauses.py FOLDER OUT

A pause lasts at least 0.1 s, in which the level of 10 ms frames is within 9 dB of the quietest tenth of the recording.
Gains go from 1 to 0 in 20 ms. The output are 16-bit FLAC files of the same names.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

FRAME_SECONDS = 0.010
MIN_FRAMES = 10
MARGIN_DECIBELS = 9.0  # above the quietest tenth


def gates(waveform: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    """Returns the gain of each sample."""
    frame = round(FRAME_SECONDS * rate)
    count = len(waveform) // frame
    levels = 20 * np.log10(waveform[: count * frame].reshape(count, frame).std(axis=1) + 1e-9)
    quiet = levels < np.quantile(levels, 0.1) + MARGIN_DECIBELS
    borders = np.flatnonzero(np.diff(np.concatenate([[0], quiet.astype(np.int8), [0]])))
    gain = np.ones(len(waveform))
    for start, stop in borders.reshape(-1, 2):
        if stop - start >= MIN_FRAMES:
            gain[start * frame : len(waveform) if stop == count else stop * frame] = 0
    fade = np.hanning(4 * frame + 1)
    # the fade is inside the pause, so that no sound is cut
    smooth = np.convolve(gain, fade / fade.sum(), mode="same")
    return np.where(smooth < 1e-3, 0, np.maximum(smooth, gain))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    silent, total = 0, 0
    for path in sorted(options.folder.glob("*.flac")):
        waveform, rate = soundfile.read(path)
        gated = np.round(waveform * gates(waveform, rate) * 2**15).astype(np.int16)
        soundfile.write(options.out / path.name, gated, rate)
        silent, total = silent + int((gated == 0).sum()), total + len(gated)
    print(f"{silent / total:.0%} of {total / rate / 60:.1f} minutes are now digital silence")


if __name__ == "__main__":
    main()
