"""Samples generated per second on a GPU: every engine and every way to divide the clips, one clip to thousands.

    python benchmarks/gpu_speed.py small base

First each is checked: its codes against the CPU's reference in float32, its scores in bfloat16. Then follow the median
of the rounds, the real-time factor of a clip at 16 kHz, the ratio to the first row of the preset (plain torch on the
same GPU with one clip), the spread of the rounds, the time from a new engine to its first sample, and the greatest
memory.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from fast_gen.cluster_gpu import FEW_CLIPS, ClusterGpu
from fast_gen.engine import Engine
from fast_gen.graph_queue import GraphQueue
from fast_gen.sampling import SamplingSettings, uniforms
from fast_gen.torch_queue import TorchQueue
from fast_gen.triton_gpu import Plan, TritonGpu
from fast_gen.weights import GeneratorWeights
from wavenet_app.config import preset
from wavenet_app.model import WaveNet

SAMPLE_RATE = 16_000
SETTINGS = SamplingSettings()
CHECKED = 300
CLIPS = (1, 8, 32, 128, 512, 1024, 2048, 4096)


def planned(plan: Plan) -> Callable[[GeneratorWeights, str, str], Engine]:
    """Returns a maker of engines that divide every batch in one way."""

    class Planned(TritonGpu):
        def plan(self, clips: int) -> Plan:  # noqa: ARG002 - the same for any
            return plan

    return Planned


VARIANTS: dict[str, tuple[Callable[[GeneratorWeights, str, str], Engine], range]] = {
    "torch": (TorchQueue, range(1, 2)),
    "graph": (GraphQueue, range(1, 129)),
    "cluster": (ClusterGpu, range(1, FEW_CLIPS + 1)),
    "triton, as planned": (TritonGpu, range(1, 100_000)),
    **{
        f"triton, {plan.rows} rows, {plan.warps} warps, {plan.stages} stages": (planned(plan), clips)
        for plan, clips in (
            (Plan(1, 4, 1), range(1, 9)),
            (Plan(1, 8, 1), range(1, 9)),
            (Plan(1, 8, 2), range(1, 129)),
            (Plan(1, 16, 1), range(1, 9)),
            (Plan(1, 16, 2), range(1, 129)),
            (Plan(16, 4, 2), range(16, 2049)),
            (Plan(16, 8, 1), range(16, 2049)),
            (Plan(16, 8, 2), range(16, 2049)),
            (Plan(32, 8, 1), range(128, 100_000)),
            (Plan(32, 8, 2), range(128, 100_000)),
            (Plan(64, 8, 1), range(512, 100_000)),
        )
    },
}


def check(engine: Engine, weights: GeneratorWeights, expected: NDArray[np.int16]) -> str:
    """Returns what a short run says of an engine that has 3 clips."""
    engine.reset(len(expected))
    codes = engine.generate(uniforms(0, rows=len(expected), length=CHECKED), SETTINGS)
    if engine.precision == "float32":
        return f"{float((codes == expected).mean()):.2%} of the codes are the reference's"
    engine.reset(len(expected))
    scores = torch.from_numpy(engine.score(codes))
    reference = TorchQueue(weights)
    reference.reset(len(expected))
    wanted = torch.from_numpy(reference.score(codes))
    bits = [
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.from_numpy(codes).long().flatten()) / np.log(2)
        for logits in (scores, wanted)
    ]
    return f"logits off by {float((scores - wanted).abs().max()):.3f}, {float(bits[0] - bits[1]):+.4f} bits per sample"


def measure(engine: Engine, clips: int, rounds: int, seconds: float) -> list[float]:
    """Returns samples of all clips per second, a number for each round."""
    engine.reset(clips)
    steps = 64
    while True:
        numbers = uniforms(1, rows=clips, length=steps)
        began = time.perf_counter()
        engine.generate(numbers, SETTINGS)
        took = time.perf_counter() - began
        if took > seconds / 4:
            break
        steps *= 4
    steps = max(32, min(round(steps * seconds / took), 2**28 // clips // 4))
    numbers = uniforms(1, rows=clips, length=steps)
    found = []
    for _ in range(rounds):
        began = time.perf_counter()
        engine.generate(numbers, SETTINGS)
        found.append(numbers.size / (time.perf_counter() - began))
    return found


def run(
    name: str, precision: str, clip_counts: list[int], rounds: int, seconds: float, base: float | None
) -> float | None:
    """Prints the rows of a preset and a precision, and returns the rate they are compared with."""
    generator = torch.Generator().manual_seed(0)
    model = WaveNet(preset(name).model, generator)
    torch.nn.init.normal_(model.output2.weight, std=0.2, generator=generator)
    weights = GeneratorWeights.of(model)
    reference = TorchQueue(weights)
    reference.reset(3)
    expected = reference.generate(uniforms(0, rows=3, length=CHECKED), SETTINGS)
    for label, (make, allowed) in VARIANTS.items():
        if precision not in getattr(make, "precisions", ()):
            continue
        try:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            began = time.perf_counter()
            engine = make(weights, "cuda", precision)
            engine.generate(uniforms(0, rows=1, length=1), SETTINGS)
            first = time.perf_counter() - began
            print(f"{name}, {precision}, {label}: first sample after {first:.2f} s; {check(engine, weights, expected)}")
            for clips in clip_counts:
                if clips not in allowed:
                    continue
                found = measure(engine, clips, rounds, seconds)
                rate = statistics.median(found)
                base = base or rate
                spread = (max(found) - min(found)) / rate
                print(
                    f"| {name} | {precision} | {clips} | {label} | {rate:,.0f} | {rate / clips / SAMPLE_RATE:.2f} | "
                    f"{rate / base:.0f} | {spread:.0%} | {torch.cuda.max_memory_allocated() / 1e6:,.0f} |",
                    flush=True,
                )
        except Exception as error:  # noqa: BLE001 - one variant that fails must not cost the others' figures
            print(f"{name}, {precision}, {label}: {type(error).__name__}: {str(error)[:300]}", flush=True)
    return base


def main() -> None:
    """Runs the presets named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("presets", nargs="*", default=["small", "base"])
    parser.add_argument("--precisions", nargs="*", default=["float32", "bfloat16"])
    parser.add_argument("--clips", nargs="*", type=int, default=list(CLIPS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.3, help="of one round")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("torch sees no CUDA device")
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    print("| preset | precision | clips | engine | samples/s | x real time | ratio | spread | MB |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in arguments.presets:
        base: float | None = None
        for precision in arguments.precisions:
            base = run(name, precision, arguments.clips, arguments.rounds, arguments.seconds, base)


if __name__ == "__main__":
    main()
