"""Which settings give the lowest held-out bits for equal processor time: a short run of each, one after the other.

    python benchmarks/recipe_search.py speech --variant training.window=3072 \
        --variant "model.kernel_size=3 model.dilations=[1,3,9,27,81,243,1,3,9,27,81,243]" [--steps 1500] [--clips 16]

The first run has the preset as it is and takes `--steps` steps. A variant takes as many as fit into the same
time, by the ratio of their steps' times, measured alternately before. All have the same seed and one core, and start
from random weights, or from a model: `--start-from kathleen`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

import torch
from prediction_speed import step_seconds

from wavenet_app.config import RunConfig, preset
from wavenet_app.core.settings import override, parse_assignments
from wavenet_app.network.model import WaveNet, product_dtype


def time_ratio(variant: RunConfig, base: RunConfig, rounds: int) -> float:
    """Returns how many times as long a step of a variant takes as one of the base, the median of neighbours."""
    if _work(variant) == _work(base):
        return 1.0
    nets = []
    for config in (variant, base):
        model = WaveNet(config.model, torch.Generator().manual_seed(0))
        model.product_dtype = product_dtype("auto", "cpu", model.head)
        nets.append((model, config))

    def seconds(model: WaveNet, config: RunConfig) -> float:
        return config.training.batch_size * step_seconds(model, config.training_context, config.training.window)

    took = [[seconds(*net) for net in nets] for _ in range(rounds + 1)]
    return statistics.median(one / other for one, other in took[1:])


def _work(config: RunConfig) -> tuple[object, ...]:
    """Returns the settings that decide how long a step takes."""
    return config.model, config.training.window, config.training.batch_size


def command(*arguments: str | int | Path) -> list[str]:
    """Returns the command line of a wavegen command in this environment."""
    return [sys.executable, "-m", "wavenet_app", *map(str, arguments)]


def train(name: str, paths: list[str], settings: list[str], steps: int, options: argparse.Namespace) -> None:
    """Trains a run on one core."""
    shape = ["--preset", options.preset] if options.start_from == "none" else []  # else that of the model
    choices = [word for setting in settings for word in ("--set", setting)]
    subprocess.run(
        command(
            "train", *paths, "--name", name, *shape, "--max-steps", steps, "--devices", 1,
            "--seed", options.seed, "--start-from", options.start_from, "--data-dir", options.data_dir, *choices,
        ),
        check=True,
        stdout=sys.stderr,
    )  # fmt: skip


def evaluated(name: str, options: argparse.Namespace) -> str:
    """Returns the cells of a run: bits on all held-out clips, and what it generates on its own beside real clips."""
    asked = command(
        "eval", name, "-n", options.clips, "--clip-seconds", 4, "--seconds", 0, "--json", "--data-dir", options.data_dir
    )
    found = json.loads(subprocess.run(asked, check=True, capture_output=True, text=True).stdout)
    clips = found["generated"]
    voiced, real = clips["voiced"]
    failed = sum(failure is not None for failure in clips["failures"])
    bits, frechet = found["bits"]["overall"]["model"], clips["likeness"]["frechet"]
    return f"{bits:.3f} | {voiced:.0%} ({real:.0%}) | {frechet:.1f} | {failed}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+")
    parser.add_argument("--variant", action="append", default=[], help="settings, as for --set, separated by spaces")
    parser.add_argument("--preset", default="small")
    parser.add_argument("--start-from", default="none")
    parser.add_argument("--steps", type=int, default=1_500)
    parser.add_argument("--clips", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data-dir", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    base = preset(options.preset)
    print("| settings | time of a step | steps | bits | frames with a pitch | Frechet, dB² | failed |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for index, variant in enumerate(["", *options.variant]):
        settings = variant.split()
        ratio = time_ratio(override(base, parse_assignments(settings)), base, options.rounds)
        steps = round(options.steps / ratio)
        name = f"search-{index}"
        train(name, options.paths, settings, steps, options)
        print(f"| {variant or 'as it is'} | {ratio:.2f} | {steps:,} | {evaluated(name, options)} |", flush=True)


if __name__ == "__main__":
    main()
