"""Samples generated per second on a GPU: all engines and all ways to divide the clips, from one clip to thousands.

    python benchmarks/gpu_speed.py small base

First the limits of the GPU are measured (see `gpu_limit.py`; only with compute capability 9.0). Then each engine is
checked: its codes against the CPU reference in float32, its scores in bfloat16. The time from a new engine to its first
sample is printed too; it is a cold start only for the first engine of its kind (`first_sound.py --engine cuda` times
starts of the command). The table shows the median of the rounds, the real-time factor of a clip at 16 kHz, the ratio to
the first row of the preset (plain torch on the same GPU with one clip), the spread of the rounds, the peak GPU memory,
and the share of the limit: for the cluster engine, the limit of holding all weights in the cluster; for Triton, that of
reading them from the cache.

The engines run again on conditioned models: with a speaker, then also with mel frames. The last column shows how much
longer a sample takes than without conditioning, with the same engine, precision and number of clips; passing the
condition counts. The last table shows the goals and whether they are reached.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from conditioning import CONDITIONING, SAMPLE_RATE, noise
from goals import GPU_GOALS, Row, print_verdicts
from gpu_limit import Measured, held_in_cluster, streamed, summary
from gpu_limit import measure as measure_limits
from numpy.typing import NDArray

from fast_gen.engines.condition import ChunkCondition
from fast_gen.engines.contract import Engine
from fast_gen.engines.gpu.cluster.engine import FEW_CLIPS, ClusterGpu
from fast_gen.engines.gpu.cluster.nvrtc import missing_nvrtc
from fast_gen.engines.gpu.cluster.pipeline import LEAST_CLIPS, PipelineGpu
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
"""Maximum size of a condition in one call: 1 GB on the host."""

Rates = dict[tuple[str, str, int], float]
"""(precision, engine, clips) -> samples/s of a model without conditioning."""


def planned(plan: Plan) -> Callable[[GeneratorWeights, str, str], Engine]:
    """Returns a class of engines that always divide a batch by the same plan."""

    class Planned(TritonGpu):
        def plan(self, clips: int) -> Plan:  # noqa: ARG002 - the same for any number
            return plan

    return Planned


Make = Callable[[GeneratorWeights, str, str], Engine]

ENGINES: dict[str, tuple[Make, range]] = {
    "torch": (TorchQueue, range(1, 2)),
    "graph": (GraphQueue, range(1, 129)),
    "cluster": (ClusterGpu, range(1, FEW_CLIPS + 1)),
    "pipeline": (PipelineGpu, range(LEAST_CLIPS, 100_000)),
    "triton, as planned": (TritonGpu, range(1, 100_000)),
}
"""Name -> its class, and the numbers of clips it is measured with."""

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
    """Returns the result of a short check of an engine with 3 clips."""
    engine.reset(len(expected))
    codes = engine.generate(uniforms(0, rows=len(expected), length=CHECKED), SETTINGS, condition)
    if engine.precision == "float32":
        return f"{float((codes == expected).mean()):.2%} of the codes equal the reference's"
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
    """Returns the seconds that `steps` samples of each clip take."""
    numbers, condition = uniforms(1, rows=clips, length=steps), noise(engine.weights, clips, steps, hold)
    began = time.perf_counter()
    engine.generate(numbers, SETTINGS, condition)
    return time.perf_counter() - began


def measure(engine: Engine, clips: int, hold: int, rounds: int, seconds: float) -> list[float]:
    """Returns the samples of all clips per second, one value per round."""
    engine.reset(clips)
    most = 2**26 // clips
    if engine.weights.conditioned:
        most = min(most, CONDITION_NUMBERS // (clips * engine.weights.condition_channels) * hold)
    seconds_of(engine, clips, 1, hold)  # compiles, if this number of clips has its own plan
    steps = 64
    while (took := seconds_of(engine, clips, steps, hold)) < seconds / 4 and steps < most:
        steps = min(4 * steps, most)
    steps = max(32, min(round(steps * seconds / took), most))
    return [clips * steps / seconds_of(engine, clips, steps, hold) for _ in range(rounds)]


def limit_of(engine: Engine, measured: Measured | None, clips: int) -> float | None:
    """Returns the limit of this kind of engine, in samples/s of all clips; None if it is not known."""
    if measured is None or not isinstance(engine, TritonGpu) or isinstance(engine, PipelineGpu):
        return None
    if isinstance(engine, ClusterGpu) and (found := held_in_cluster(engine._model, measured, clips)) is not None:
        return found[0]
    return streamed(engine._model, measured, clips, engine.plan(clips).rows)


def run(
    name: str, precision: str, conditioning: str, options: argparse.Namespace, rates: Rates, measured: Measured | None
) -> None:
    """Prints the rows of a preset, a precision and a kind of conditioning; keeps the rates without conditioning."""
    changed, hold = CONDITIONING[conditioning]
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
            print(
                f"{name}, {precision}, conditioning {conditioning}, {label}: first sample after {first:.2f} s; {found}"
            )
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
                limit = limit_of(engine, measured, clips)
                print(
                    f"| {name} | {precision} | {conditioning} | {clips} | {label} | {rate:,.0f} | "
                    f"{rate / clips / SAMPLE_RATE:.2f} | {rate / base:.0f} | {spread:.0%} | "
                    f"{torch.cuda.max_memory_allocated() / 1e6:,.0f} | "
                    f"{'-' if limit is None else f'{rate / limit:.0%}'} | {longer} |",
                    flush=True,
                )
        except Exception as error:  # noqa: BLE001 - a failing variant must not lose the results of the others
            print(
                f"{name}, {precision}, conditioning {conditioning}, {label}: "
                f"{type(error).__name__}: {str(error)[:300]}",
                flush=True,
            )


def main() -> None:
    """Measures all presets and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("presets", nargs="*", default=["small", "base"])
    parser.add_argument("--precisions", nargs="*", default=["float32", "bfloat16"])
    parser.add_argument("--conditioning", nargs="*", choices=list(CONDITIONING), default=list(CONDITIONING))
    parser.add_argument("--clips", nargs="*", type=int, default=list(CLIPS))
    parser.add_argument("--without-plans", action="store_true", help="only the default plans of the engines")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.3, help="length of one round")
    arguments = parser.parse_args()
    if (missing := missing_gpu()) is not None:
        raise SystemExit(f"cannot measure here: {missing}")
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    missing, measured = missing_nvrtc(), None
    if missing is None:
        measured = measure_limits()
        print(summary(measured))
    else:
        print(f"no limits: {missing}")
    headings = (
        "preset",
        "precision",
        "conditioning",
        "clips",
        "engine",
        "samples/s",
        "x real time",
        "ratio",
        "spread",
        "MB",
    )
    print("| " + " | ".join([*headings, "of the limit", "longer"]) + " |\n" + "|---" * (len(headings) + 2) + "|")
    rows: list[Row] = []
    for name in arguments.presets:
        rates: Rates = {}
        for conditioning in arguments.conditioning:
            for precision in arguments.precisions:
                run(name, precision, conditioning, arguments, rates, measured)
        base = next(iter(rates.values()), 1.0)
        rows += [Row(name, clips, label, kind, 1, rate, rate / base) for (kind, label, clips), rate in rates.items()]
    print_verdicts(GPU_GOALS, rows)


if __name__ == "__main__":
    main()
