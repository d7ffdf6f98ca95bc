"""Samples generated per second on a GPU: every engine and every way to divide the clips, one clip to thousands.

    python benchmarks/gpu_speed.py small base

First the floors are measured (see `gpu_floor.py`; only on a GPU of compute capability 9.0). Then each engine is
checked: its codes against the CPU's reference in float32, its scores in bfloat16; with it stands the time from a new
engine to its first sample, which is a cold start only for the first of its kind (`first_sound.py --engine cuda` times
the starts of the command). Then follow the median of the rounds, the real-time factor of a clip at 16 kHz, the ratio to
the first row of the preset (plain torch on the same GPU with one clip), the spread of the rounds, the greatest memory
on the GPU, and the share of the floor that is reached: for the cluster of the one that holds all weights, for Triton of
the one that reads them from the cache.

The engines run again on models that are told something: a speaker, then mel frames too. The last column is what a
sample takes longer than that of the same engine, precision and number of clips that is told nothing; handing over the
condition counts. Last come the goals, and whether they were reached.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from goals import GPU_GOALS, Row, print_verdicts
from gpu_floor import Measured, held, said, streamed
from gpu_floor import measure as measure_floors
from numpy.typing import NDArray
from told import SAMPLE_RATE, TOLD, noise

from fast_gen.engines.condition import ChunkCondition
from fast_gen.engines.contract import Engine
from fast_gen.engines.gpu.cluster.engine import FEW_CLIPS, ClusterGpu
from fast_gen.engines.gpu.cluster.nvrtc import missing_nvrtc
from fast_gen.engines.gpu.device import missing_gpu
from fast_gen.engines.gpu.graph_engine import GraphQueue
from fast_gen.engines.gpu.triton_engine import Plan, TritonGpu
from fast_gen.engines.reference import TorchQueue
from fast_gen.engines.sampling import SamplingSettings, uniforms
from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.config import preset
from wavenet_app.network.model import WaveNet

SETTINGS = SamplingSettings()
CHECKED = 300
CLIPS = (1, 8, 32, 128, 512, 1024, 2048, 4096)
CONDITION_NUMBERS = 2**28
"""Most numbers of a condition in one call: 1 GB on the host."""

Rates = dict[tuple[str, str, int], float]
"""(precision, engine, clips) -> samples/s of a model that is told nothing."""


def planned(plan: Plan) -> Callable[[GeneratorWeights, str, str], Engine]:
    """Returns a maker of engines that divide every batch in one way."""

    class Planned(TritonGpu):
        def plan(self, clips: int) -> Plan:  # noqa: ARG002 - the same for any
            return plan

    return Planned


Make = Callable[[GeneratorWeights, str, str], Engine]

ENGINES: dict[str, tuple[Make, range]] = {
    "torch": (TorchQueue, range(1, 2)),
    "graph": (GraphQueue, range(1, 129)),
    "cluster": (ClusterGpu, range(1, FEW_CLIPS + 1)),
    "triton, as planned": (TritonGpu, range(1, 100_000)),
}
"""Name -> its maker, and with how many clips it is measured."""

PLANS: dict[str, tuple[Make, range]] = {
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
}


def check(
    engine: Engine, weights: GeneratorWeights, expected: NDArray[np.int16], condition: ChunkCondition | None
) -> str:
    """Returns what a short run says of an engine that has 3 clips."""
    engine.reset(len(expected))
    codes = engine.generate(uniforms(0, rows=len(expected), length=CHECKED), SETTINGS, condition)
    if engine.precision == "float32":
        return f"{float((codes == expected).mean()):.2%} of the codes are the reference's"
    engine.reset(len(expected))
    scores = torch.from_numpy(engine.score(codes, condition))
    reference = TorchQueue(weights)
    reference.reset(len(expected))
    wanted = torch.from_numpy(reference.score(codes, condition))
    bits = [
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.from_numpy(codes).long().flatten()) / np.log(2)
        for logits in (scores, wanted)
    ]
    return f"logits off by {float((scores - wanted).abs().max()):.3f}, {float(bits[0] - bits[1]):+.4f} bits per sample"


def seconds_of(engine: Engine, clips: int, steps: int, hold: int) -> float:
    """Returns how long so many samples of each clip take."""
    numbers, condition = uniforms(1, rows=clips, length=steps), noise(engine.weights, clips, steps, hold)
    began = time.perf_counter()
    engine.generate(numbers, SETTINGS, condition)
    return time.perf_counter() - began


def measure(engine: Engine, clips: int, hold: int, rounds: int, seconds: float) -> list[float]:
    """Returns samples of all clips per second, a number for each round."""
    engine.reset(clips)
    most = 2**26 // clips
    if engine.weights.conditioned:
        most = min(most, CONDITION_NUMBERS // (clips * engine.weights.condition_channels) * hold)
    seconds_of(engine, clips, 1, hold)  # compiles, if so many clips are divided in a way of their own
    steps = 64
    while (took := seconds_of(engine, clips, steps, hold)) < seconds / 4 and steps < most:
        steps = min(4 * steps, most)
    steps = max(32, min(round(steps * seconds / took), most))
    return [clips * steps / seconds_of(engine, clips, steps, hold) for _ in range(rounds)]


def floor_of(engine: Engine, measured: Measured | None, clips: int) -> float | None:
    """Returns what no engine of this kind can beat, in samples/s of all clips; None for those without a kernel."""
    if measured is None or not isinstance(engine, TritonGpu):
        return None
    if isinstance(engine, ClusterGpu) and (found := held(engine._model, measured, clips)) is not None:
        return found[0]
    return streamed(engine._model, measured, clips, engine.plan(clips).rows)


def run(
    name: str, precision: str, told: str, options: argparse.Namespace, rates: Rates, measured: Measured | None
) -> None:
    """Prints the rows of a preset, a precision and what the model is told; keeps the rates of one told nothing."""
    changed, hold = TOLD[told]
    generator = torch.Generator().manual_seed(0)
    model = WaveNet(preset(name).model.model_copy(update=changed), generator)
    torch.nn.init.normal_(model.output2.weight, std=0.2, generator=generator)
    weights = GeneratorWeights.of(model)
    reference, condition = TorchQueue(weights), noise(weights, 3, CHECKED, hold)
    reference.reset(3)
    expected = reference.generate(uniforms(0, rows=3, length=CHECKED), SETTINGS, condition)
    variants = ENGINES if weights.conditioned or options.without_plans else ENGINES | PLANS
    for label, (make, allowed) in variants.items():
        if precision not in getattr(make, "precisions", ()):
            continue
        try:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            began = time.perf_counter()
            engine = make(weights, "cuda", precision)
            engine.generate(uniforms(0, rows=1, length=1), SETTINGS, noise(weights, 1, 1, hold))
            first = time.perf_counter() - began
            found = check(engine, weights, expected, condition)
            print(f"{name}, {precision}, told {told}, {label}: first sample after {first:.2f} s; {found}")
            for clips in options.clips:
                if clips not in allowed:
                    continue
                by_round = measure(engine, clips, hold, options.rounds, options.seconds)
                rate = statistics.median(by_round)
                spread = (max(by_round) - min(by_round)) / rate
                longer = "-"
                if not weights.conditioned:
                    rates[precision, label, clips] = rate
                elif (precision, label, clips) in rates:
                    longer = f"{rates[precision, label, clips] / rate - 1:+.0%}"
                base = next(iter(rates.values()), rate)
                floor = floor_of(engine, measured, clips)
                print(
                    f"| {name} | {precision} | {told} | {clips} | {label} | {rate:,.0f} | "
                    f"{rate / clips / SAMPLE_RATE:.2f} | {rate / base:.0f} | {spread:.0%} | "
                    f"{torch.cuda.max_memory_allocated() / 1e6:,.0f} | "
                    f"{'-' if floor is None else f'{rate / floor:.0%}'} | {longer} |",
                    flush=True,
                )
        except Exception as error:  # noqa: BLE001 - one variant that fails must not cost the others' figures
            print(f"{name}, {precision}, told {told}, {label}: {type(error).__name__}: {str(error)[:300]}", flush=True)


def main() -> None:
    """Runs the presets named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("presets", nargs="*", default=["small", "base"])
    parser.add_argument("--precisions", nargs="*", default=["float32", "bfloat16"])
    parser.add_argument("--told", nargs="*", choices=list(TOLD), default=list(TOLD))
    parser.add_argument("--clips", nargs="*", type=int, default=list(CLIPS))
    parser.add_argument("--without-plans", action="store_true", help="only the engines as a user gets them")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.3, help="of one round")
    arguments = parser.parse_args()
    if (missing := missing_gpu()) is not None:
        raise SystemExit(f"cannot measure here: {missing}")
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    missing, measured = missing_nvrtc(), None
    if missing is None:
        measured = measure_floors()
        print(said(measured))
    else:
        print(f"no floors: {missing}")
    headings = "preset", "precision", "told", "clips", "engine", "samples/s", "x real time", "ratio", "spread", "MB"
    print("| " + " | ".join([*headings, "of the floor", "longer"]) + " |\n" + "|---" * (len(headings) + 2) + "|")
    rows: list[Row] = []
    for name in arguments.presets:
        rates: Rates = {}
        for told in arguments.told:
            for precision in arguments.precisions:
                run(name, precision, told, arguments, rates, measured)
        base = next(iter(rates.values()), 1.0)
        rows += [Row(name, clips, label, kind, 1, rate, rate / base) for (kind, label, clips), rate in rates.items()]
    print_verdicts(GPU_GOALS, rows)


if __name__ == "__main__":
    main()
