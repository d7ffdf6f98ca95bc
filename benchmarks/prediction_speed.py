"""Generation and training speed with and without linear prediction as an input, side by side in one run.

Run: python benchmarks/prediction_speed.py [--presets small,base] [--samples 20000] [--rounds 5]
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from fast_gen.engines.contract import PRECISIONS
from fast_gen.engines.cpu.engine import NumbaCpu
from fast_gen.engines.sampling import SamplingSettings, uniforms
from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.config import ModelConfig, preset
from wavenet_app.heads import mean_bits
from wavenet_app.network.model import WaveNet, product_dtype


def generation_seconds(engine: NumbaCpu, samples: int) -> float:
    """Returns the seconds that one clip takes."""
    engine.reset(1)
    numbers = uniforms(0, rows=1, length=samples)
    began = time.perf_counter()
    engine.generate(numbers, SamplingSettings())
    return time.perf_counter() - began


def step_seconds(model: WaveNet, context: int, window: int) -> float:
    """Returns the seconds of one step of training without the optimizer, with predictions computed for it."""
    codes = torch.randint(256, (1, context + window), generator=torch.Generator().manual_seed(0))
    began = time.perf_counter()
    rows = model.predicted_rows(codes[:, :-1])
    outputs = model(codes[:, :-1], context - 1, None, rows)
    mean_bits(model.head.bits(outputs, codes[:, context:]), torch.ones(1, window, dtype=torch.bool)).backward()
    return time.perf_counter() - began


def models(name: str) -> dict[str, WaveNet]:
    """Returns random models of a preset with and without prediction."""
    with_it: ModelConfig = preset(name).model
    configs = {"with": with_it, "without": with_it.model_copy(update={"prediction": None})}
    found = {kind: WaveNet(config, torch.Generator().manual_seed(0)) for kind, config in configs.items()}
    for model in found.values():
        with torch.no_grad():
            model.output2.weight.normal_(std=0.05, generator=torch.Generator().manual_seed(1))
        model.product_dtype = product_dtype("auto", "cpu", model.head)
    return found


def ratios(took: dict[str, list[float]]) -> str:
    """Returns the median seconds with and without, and the median of the ratios of neighbours in time."""
    pairs = zip(took["with"], took["without"], strict=True)
    ratio = statistics.median(one / other for one, other in pairs)
    return f"{statistics.median(took['without']):.4f} s | {statistics.median(took['with']):.4f} s | {ratio:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--presets", default="small,base")
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| preset | what | without | with | ratio |")
    print("|---|---|---|---|---|")
    for name in options.presets.split(","):
        nets = models(name)
        for precision in PRECISIONS:
            engines = {kind: NumbaCpu(GeneratorWeights.of(net), precision=precision) for kind, net in nets.items()}
            for engine in engines.values():
                generation_seconds(engine, 200)
            took: dict[str, list[float]] = {kind: [] for kind in engines}
            for _ in range(options.rounds):
                for kind, engine in engines.items():
                    took[kind].append(generation_seconds(engine, options.samples))
            print(f"| {name} | generation, {precision} | {ratios(took)} |", flush=True)
        context, window = preset(name).training_context, preset(name).training.window
        for net in nets.values():
            step_seconds(net, context, window)
        took = {kind: [] for kind in nets}
        for _ in range(2 * options.rounds):
            for kind, net in nets.items():
                took[kind].append(step_seconds(net, context, window))
        print(f"| {name} | training step | {ratios(took)} |", flush=True)


if __name__ == "__main__":
    main()
