"""Draws every picture of the documentation and makes its sounds: by formulas, the program, and the notebook's tables.

python benchmarks/docs/pictures.py              # all of them
python benchmarks/docs/pictures.py mu_law.svg   # one
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import diagrams
import results
import signals
from matplotlib import pyplot

DOCS = Path(__file__).resolve().parents[2] / "docs"

DRAWN: dict[str, Callable[[Path], None]] = {
    "dilated.svg": diagrams.dilated,
    "queues.svg": diagrams.queues,
    "gridding.svg": diagrams.gridding,
    "output_stride.svg": diagrams.output_stride,
    "packages.svg": diagrams.packages,
    "training.svg": diagrams.training,
    "generation.svg": diagrams.generation,
    "block.svg": diagrams.block,
    "mu_law.svg": signals.mu_law,
    "bits.svg": signals.bits,
    "prediction.svg": signals.prediction,
    "effective.svg": signals.effective,
    "kathleen.png": signals.spectrogram,
    "bits_over_minutes.svg": results.bits_over_minutes,
    "bits_over_steps.svg": results.bits_over_steps,
    "bits_of_presets.svg": results.bits_of_presets,
    "generation_speed.svg": results.generation_speed,
    "miou_over_minutes.svg": results.miou_over_minutes,
}
"""File in docs/pictures -> what draws it."""

HEARD: dict[str, Callable[[Path], None]] = {
    "kathleen.mp3": signals.voice_sound,
    "kathleen-16-codes.mp3": signals.coarse_sound,
    "kathleen-residual.mp3": signals.residual_sound,
}
"""File in docs/sounds -> what makes it."""

STYLE = {
    "svg.fonttype": "none",  # text stays text, and the files small
    "svg.hashsalt": "wavegen",  # or ids would differ from run to run
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.dpi": 100,
}


def main() -> int:
    """Makes the named files, or all; returns the exit code."""
    wanted = sys.argv[1:]
    pyplot.switch_backend("Agg")
    pyplot.rcParams.update(STYLE)
    for folder, made in (("pictures", DRAWN), ("sounds", HEARD)):
        for name, make in made.items():
            if not wanted or name in wanted:
                (DOCS / folder).mkdir(exist_ok=True)
                make(DOCS / folder / name)
                pyplot.close("all")
                print(f"docs/{folder}/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
