"""Samples generated per second: each engine, precision and number of threads against a textbook queue generator.

    python benchmarks/generate_speed.py small base --batch-sizes 1 16 --threads 1 2

All use the same weights and the same uniform numbers, and alternate in one run. First the float32 codes of each are
compared with those of the textbook. The table shows the median of the rounds: samples of all clips together, the
real-time factor of one clip at 16 kHz, and the ratio to the textbook, which uses `--torch-threads` threads. The last
table shows the goals of the CPU engine and whether they are reached; `gpu_speed.py` has those for GPUs.
"""

from __future__ import annotations

import argparse
import itertools
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from conditioning import SAMPLE_RATE
from goals import CPU_GOALS, Row, print_verdicts
from numpy.typing import NDArray

from fast_gen.bench.textbook import Textbook
from fast_gen.engines.choice import ENGINES, choose_engine
from fast_gen.engines.contract import PRECISIONS
from fast_gen.engines.sampling import SamplingSettings, uniforms
from fast_gen.engines.start import load_engine
from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.config import preset
from wavenet_app.core.errors import UserError
from wavenet_app.network.model import WaveNet

SETTINGS = SamplingSettings()


def kinds(engines: list[str], threads: list[int]) -> list[tuple[str, str, int]]:
    """Returns each engine, precision and number of threads that can run here, and prints why others cannot."""
    weights = GeneratorWeights.of(WaveNet(preset("tiny").model))
    found = []
    for kind in itertools.product(engines, PRECISIONS, threads):
        try:
            choose_engine(kind[0], weights, "auto", *kind[1:])
            found.append(kind)
        except UserError as error:
            print(f"skipped: {error}")
    return found


TEXTBOOK = "textbook", "float32", 0
"""Used in place of an engine, precision and number of threads."""


def compare(name: str, batch_size: int, chosen: list[tuple[str, str, int]], rounds: int, seconds: float) -> list[Row]:
    """Checks that all generate the same codes in float32, then times them; prints and returns a row for each."""
    generator = torch.Generator().manual_seed(0)
    model = WaveNet(preset(name).model, generator)
    torch.nn.init.normal_(model.output2.weight, std=0.2, generator=generator)
    weights = GeneratorWeights.of(model)
    generators: dict[tuple[str, str, int], Callable[[NDArray[np.float32], SamplingSettings], NDArray[np.int16]]] = {}
    textbook = Textbook(weights)
    textbook.reset(batch_size)
    generators[TEXTBOOK] = textbook.generate
    for kind in chosen:
        engine = load_engine(kind[0], weights, "auto", *kind[1:])
        engine.reset(batch_size)
        generators[kind] = engine.generate

    numbers = uniforms(0, rows=batch_size, length=100)
    expected = textbook.generate(numbers, SETTINGS)
    steps = {}
    for kind, generate in generators.items():
        made = expected if kind == TEXTBOOK else generate(numbers, SETTINGS)
        if kind[1] == "float32" and (same := float((made == expected).mean())) < 1:
            print(f"{name}, {batch_size} clips: only {same:.2%} of the codes of {kind[0]} equal the textbook's")
        began = time.perf_counter()
        generate(numbers, SETTINGS)
        steps[kind] = max(50, round(100 * seconds / (time.perf_counter() - began)))
    rates: dict[tuple[str, str, int], list[float]] = {kind: [] for kind in generators}
    for _ in range(rounds):
        for kind, generate in generators.items():
            numbers = uniforms(1, rows=batch_size, length=steps[kind])
            began = time.perf_counter()
            generate(numbers, SETTINGS)
            rates[kind].append(numbers.size / (time.perf_counter() - began))
    base = statistics.median(rates[TEXTBOOK])
    rows = []
    for kind, found in rates.items():
        rate = statistics.median(found)
        rows.append(Row(name, batch_size, *kind, rate, rate / base))
        cells = [name, str(batch_size), *kind[:2], str(kind[2] or "-"), f"{rate:,.0f}"]
        print(
            "| " + " | ".join([*cells, f"{rate / batch_size / SAMPLE_RATE:.2f}", f"{rate / base:.1f}"]) + " |",
            flush=True,
        )
    return rows


def machine() -> str:
    """Describes the machine: processor, threads, torch and commit."""
    here = Path(__file__).parent
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False, cwd=here
    )
    chip = platform.processor() or platform.machine()
    return (
        f"cpu ({chip}, {torch.backends.cpu.get_cpu_capability()}), torch threads {torch.get_num_threads()}, "
        f"torch {torch.__version__}, commit {commit.stdout.strip() or 'unknown'}"
    )


def main() -> None:
    """Measures all presets and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("presets", nargs="*", default=["small", "base"])
    parser.add_argument("--batch-sizes", nargs="*", type=int, default=[1, 16])
    parser.add_argument("--engines", nargs="*", default=list(ENGINES))
    parser.add_argument("--threads", nargs="*", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.25, help="length of one round of one engine")
    parser.add_argument("--torch-threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.torch_threads)
    print(machine())
    chosen = kinds(arguments.engines, arguments.threads)
    print("| preset | clips | engine | precision | threads | samples/s | x real time | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    rows: list[Row] = []
    for name in arguments.presets:
        for batch_size in arguments.batch_sizes:
            rows += compare(name, batch_size, chosen, arguments.rounds, arguments.seconds)
    print_verdicts(CPU_GOALS, [row for row in rows if row.engine == "cpu"])


if __name__ == "__main__":
    main()
