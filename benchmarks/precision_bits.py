"""The cost of each precision in bits per sample, on held-out clips of a checkpoint.

    python benchmarks/precision_bits.py data/checkpoints/speech-small/best.pth --seconds 20

The clips come from the split of the checkpoint, at its gain and from its training folder. The logits of each precision
are those of `score`, which uses the arithmetic of `generate`; those of the full network are the plain forward pass.
"""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fast_gen.bench.verify import verify
from fast_gen.engines.choice import choose_engine
from fast_gen.engines.contract import PRECISIONS
from fast_gen.engines.start import load_engine
from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.audio.mono import read_audio
from wavenet_app.checkpoints.trained import Trained, load_trained
from wavenet_app.core.errors import UserError


def held_out_codes(trained: Trained, folder: Path, clips: int, seconds: float) -> NDArray[np.int16]:
    """Returns codes (clips, time) from the middle of evenly spread held-out files that are long enough."""
    audio = trained.config.audio
    length = round(seconds / clips * audio.sample_rate)
    names = trained.content["split"]["validation"]
    found = []
    for name in names[:: max(1, len(names) // (2 * clips))]:
        waveform = read_audio(folder / name, audio.sample_rate) * np.float32(audio.gain)
        start = (len(waveform) - length) // 2
        if start >= 0 and len(found) < clips:
            found.append(trained.config.model.coding.encode(waveform[start : start + length]))
    return np.stack(found)


def main() -> None:
    """Measures a checkpoint and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--folder", type=Path, help="folder of the recordings (default: the training folder)")
    parser.add_argument("--engines", nargs="*", default=["cpu"])
    parser.add_argument("--clips", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=20.0, help="total length of all clips")
    arguments = parser.parse_args()
    trained = load_trained(arguments.checkpoint)
    weights = GeneratorWeights.of(trained.model)
    folder = arguments.folder or Path(trained.config.corpus.paths[0])
    codes = held_out_codes(trained, folder, arguments.clips, arguments.seconds)
    here = Path(__file__).parent
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False, cwd=here
    )
    print(
        f"{trained.config.name}: {codes.size:,} samples of {len(codes)} held-out clips; commit {commit.stdout.strip()}"
    )
    print("| engine | precision | bits | full network | cost | maximum logit difference | equal samples |")
    print("|---|---|---|---|---|---|---|")
    for name in arguments.engines:
        for precision in PRECISIONS:
            try:
                choose_engine(name, weights, "auto", precision)
            except UserError as error:
                print(f"skipped: {error}")
                continue
            found = verify(load_engine(name, weights, "auto", precision), trained.model, codes)
            print(
                f"| {name} | {precision} | {found.bits:.5f} | {found.reference_bits:.5f} | {found.bits_cost:+.5f} | "
                f"{found.greatest_logit_difference:.2g} | {found.samples_equal:.1%} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
