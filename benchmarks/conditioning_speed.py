"""Samples generated per second on a CPU by models without conditioning, with a speaker, and also with mel frames.

    python benchmarks/conditioning_speed.py small base

They alternate in one run. The table shows the median of the rounds, all clips together, and how much longer a sample
takes than without conditioning. The projection of the condition runs before the loop and is not timed, as in
`wavegen sample`; passing it to the engine is.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time

import torch
from conditioning import CONDITIONING, SAMPLE_RATE, noise
from generate_speed import machine

from fast_gen.engines.contract import Engine
from fast_gen.engines.sampling import SamplingSettings, uniforms
from fast_gen.engines.start import load_engine
from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.config import preset
from wavenet_app.network.model import WaveNet


def engine_for(name: str, conditioning: str, label: str, precision: str, threads: int) -> Engine:
    """Returns an engine with a random model of a preset and a kind of conditioning."""
    generator = torch.Generator().manual_seed(0)
    model = WaveNet(preset(name).model.model_copy(update=CONDITIONING[conditioning][0]), generator)
    torch.nn.init.normal_(model.output2.weight, std=0.2, generator=generator)
    return load_engine(label, GeneratorWeights.of(model), "cpu", precision, threads)


def seconds_of(engine: Engine, conditioning: str, clips: int, samples: int) -> float:
    """Returns the seconds that `samples` samples of each clip take."""
    numbers = uniforms(1, rows=clips, length=samples)
    condition = noise(engine.weights, clips, samples, CONDITIONING[conditioning][1])
    began = time.perf_counter()
    engine.generate(numbers, SamplingSettings(), condition)
    return time.perf_counter() - began


def compare(name: str, label: str, precision: str, threads: int, clips: int, rounds: int, seconds: float) -> None:
    """Times the three models alternately and prints a table row for each."""
    engines = {kind: engine_for(name, kind, label, precision, threads) for kind in CONDITIONING}
    for kind, engine in engines.items():
        engine.reset(clips)
        seconds_of(engine, kind, clips, 100)
    samples = max(100, round(500 * seconds / seconds_of(engines["none"], "none", clips, 500)))
    taken: dict[str, list[float]] = {kind: [] for kind in CONDITIONING}
    for _ in range(rounds):
        for kind, engine in engines.items():
            taken[kind].append(seconds_of(engine, kind, clips, samples))
    bare = statistics.median(taken["none"])
    for kind, found in taken.items():
        took = statistics.median(found)
        rate = clips * samples / took
        print(
            f"| {name} | {label} | {precision} | {threads} | {clips} | {kind} | {rate:,.0f} | "
            f"{rate / clips / SAMPLE_RATE:.2f} | {took / bare - 1:+.0%} |",
            flush=True,
        )


def main() -> None:
    """Measures all presets and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("presets", nargs="*", default=["small", "base"])
    parser.add_argument("--batch-sizes", nargs="*", type=int, default=[1, 16])
    parser.add_argument("--threads", nargs="*", type=int, default=[1])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.25, help="length of one round of one engine")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(machine())
    print("| preset | engine | precision | threads | clips | conditioning | samples/s | x real time | longer |")
    print("|---|---|---|---|---|---|---|---|---|")
    kinds = [("torch", "float32", 1)]
    kinds += [("cpu", *kind) for kind in itertools.product(("float32", "bfloat16", "int8"), arguments.threads)]
    for name, kind, clips in itertools.product(arguments.presets, kinds, arguments.batch_sizes):
        compare(name, *kind, clips, arguments.rounds, arguments.seconds)


if __name__ == "__main__":
    main()
