r"""Writes the corpus of the shipped voice `strings`: the built-in plucked strings, more clips and at another rate.

    python benchmarks/plucked_corpus.py FOLDER [--clips 300] [--seconds 4] [--rate 16000] [--seed 1]

`wavegen train` without a folder trains on 48 of such clips at 8 kHz, which a `small` net learns by heart.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from wavenet_app.audio.writing import write_audio
from wavenet_app.corpus.plucked import plucked_clips


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clips", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--rate", type=int, default=16_000, help="in Hz")
    parser.add_argument("--seed", type=int, default=1, help="of the melodies")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    clips = plucked_clips(options.rate, options.seed, options.clips, options.seconds)
    for number, (_, waveform) in enumerate(clips):
        write_audio(options.folder / f"{number:03d}.flac", waveform, options.rate)
    print(f"{options.folder}: {options.clips} clips of {options.seconds:g} s at {options.rate} Hz")


if __name__ == "__main__":
    main()
