"""Samples generated per second on a CPU by models that are told a speaker, or mel frames too, and by one told nothing.

    python benchmarks/told_speed.py small base

They take turns in one run. Reported is the median of the rounds, all clips together, and how much longer a sample takes
than without a condition: the net's own projection of what it is told is made before the loop and not timed, as in
`wavegen sample`; handing it over is.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time

import torch
from generate_speed import machine
from told import SAMPLE_RATE, TOLD, noise

from fast_gen.engines.choice import load_engine
from fast_gen.engines.contract import Engine
from fast_gen.engines.sampling import SamplingSettings, uniforms
from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.config import preset
from wavenet_app.network.model import WaveNet


def engine_for(name: str, told: str, label: str, precision: str, threads: int) -> Engine:
    """Returns an engine with a random model of a preset that is told something."""
    generator = torch.Generator().manual_seed(0)
    model = WaveNet(preset(name).model.model_copy(update=TOLD[told][0]), generator)
    torch.nn.init.normal_(model.output2.weight, std=0.2, generator=generator)
    return load_engine(label, GeneratorWeights.of(model), "cpu", precision, threads)


def seconds_of(engine: Engine, told: str, clips: int, samples: int) -> float:
    """Returns how long so many samples of each clip take."""
    numbers = uniforms(1, rows=clips, length=samples)
    condition = noise(engine.weights, clips, samples, TOLD[told][1])
    began = time.perf_counter()
    engine.generate(numbers, SamplingSettings(), condition)
    return time.perf_counter() - began


def compare(name: str, label: str, precision: str, threads: int, clips: int, rounds: int, seconds: float) -> None:
    """Times the three models in turn and prints a table row for each."""
    engines = {told: engine_for(name, told, label, precision, threads) for told in TOLD}
    for told, engine in engines.items():
        engine.reset(clips)
        seconds_of(engine, told, clips, 100)
    samples = max(100, round(500 * seconds / seconds_of(engines["nothing"], "nothing", clips, 500)))
    taken: dict[str, list[float]] = {told: [] for told in TOLD}
    for _ in range(rounds):
        for told, engine in engines.items():
            taken[told].append(seconds_of(engine, told, clips, samples))
    bare = statistics.median(taken["nothing"])
    for told, found in taken.items():
        took = statistics.median(found)
        rate = clips * samples / took
        print(
            f"| {name} | {label} | {precision} | {threads} | {clips} | {told} | {rate:,.0f} | "
            f"{rate / clips / SAMPLE_RATE:.2f} | {took / bare - 1:+.0%} |",
            flush=True,
        )


def main() -> None:
    """Runs the presets named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("presets", nargs="*", default=["small", "base"])
    parser.add_argument("--batch-sizes", nargs="*", type=int, default=[1, 16])
    parser.add_argument("--threads", nargs="*", type=int, default=[1])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.25, help="of one round of one engine")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(machine())
    print("| preset | engine | precision | threads | clips | told | samples/s | x real time | longer |")
    print("|---|---|---|---|---|---|---|---|---|")
    kinds = [("torch", "float32", 1)]
    kinds += [("cpu", *kind) for kind in itertools.product(("float32", "bfloat16", "int8"), arguments.threads)]
    for name, kind, clips in itertools.product(arguments.presets, kinds, arguments.batch_sizes):
        compare(name, *kind, clips, arguments.rounds, arguments.seconds)


if __name__ == "__main__":
    main()
