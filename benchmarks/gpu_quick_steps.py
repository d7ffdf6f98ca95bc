"""The steps of `gpu_quick.py`, each run as `python benchmarks/gpu_quick_steps.py STEP [--dry-run]`."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from gpu_speed import planned

from fast_gen.engines.contract import Engine
from fast_gen.engines.gpu.cluster.base import ClusterEngine
from fast_gen.engines.gpu.cluster.engine import ClusterGpu
from fast_gen.engines.gpu.cluster.nvrtc import missing_nvrtc
from fast_gen.engines.gpu.cluster.packing import Division
from fast_gen.engines.gpu.cluster.pipeline import PipelineGpu
from fast_gen.engines.gpu.device import missing_gpu
from fast_gen.engines.gpu.graph_engine import GraphQueue
from fast_gen.engines.gpu.packing import PackedModel
from fast_gen.engines.gpu.triton_engine import Plan, TritonGpu
from fast_gen.engines.sampling import SamplingSettings, uniforms
from fast_gen.engines.self_check import self_check
from fast_gen.engines.start import exact_engine
from fast_gen.engines.trial import samples_per_second
from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.config import ModelConfig, preset
from wavenet_app.core.loop.graphed_training import GraphedTraining
from wavenet_app.network.model import WaveNet

DRY = "--dry-run" in sys.argv
DEVICE = "cpu" if DRY else "cuda"
REPETITIONS = 1 if DRY else 20
REPEATED_SAMPLES = 2 if DRY else 2_000
TINY = ModelConfig(
    residual_channels=4, dilation_channels=4, skip_channels=4, dilations=(1, 2), quantization_channels=16
)


class SinglePlan(TritonGpu):
    """Triton on the CPU, whose properties no plan can follow."""

    def plan(self, clips: int) -> Plan:  # noqa: ARG002 - the same for any number
        """Returns a program for each clip."""
        return Plan(1, 8, 1)


Triton = SinglePlan if DRY else TritonGpu


class SharedMemoryCluster(ClusterGpu):
    """The cluster's kernel as it would be without weights in registers, to compare with."""

    @staticmethod
    def divisions(model: PackedModel, shared_bytes: int | None) -> list[Division]:
        """Returns the same divisions, with all weights in shared memory."""
        return [division._replace(sets=0) for division in ClusterGpu.divisions(model, shared_bytes)]


def weights_of(name: str) -> GeneratorWeights:
    """Returns random weights of a preset; of a tiny net where the run is dry."""
    generator = torch.Generator().manual_seed(0)
    model = WaveNet(TINY if DRY else preset(name).model, generator)
    torch.nn.init.normal_(model.output2.weight, std=0.2, generator=generator)
    return GeneratorWeights.of(model)


def checked(label: str, engine: Engine, clips: int) -> str:
    """Returns a line: whether an engine sounds right, and its codes are the same in all repetitions."""
    fault = self_check(engine, exact_engine(engine.weights), clips)
    numbers = uniforms(0, rows=clips, length=REPEATED_SAMPLES)
    engine.reset(clips)
    first = engine.generate(numbers, SamplingSettings())
    same = 0
    for _ in range(REPETITIONS):
        engine.reset(clips)
        same += bool(np.array_equal(engine.generate(numbers, SamplingSettings()), first))
    return f"{label}, {clips} clips: {fault or 'sounds right'}; {same} of {REPETITIONS} repetitions are the same"


def timed(label: str, engine: Engine, clips: int) -> None:
    """Prints the speed of an engine."""
    began = time.perf_counter()
    engine.reset(clips)
    engine.generate(uniforms(0, rows=clips, length=1), SamplingSettings())
    first = time.perf_counter() - began
    rate = 0.0 if DRY else samples_per_second(engine, clips, seconds=1.0)
    speed = "not timed" if DRY else f"{rate:,.0f} samples/s, {rate / clips:,.0f} of each clip"
    print(f"{label}, {clips:,} clips: {speed}; first sample after {first:.1f} s", flush=True)


def device() -> None:
    """Names the device, and counts the clusters that it can schedule."""
    if DRY:
        print(f"no device: {missing_gpu() or 'there is one, which a dry run leaves alone'}")
        return
    properties = torch.cuda.get_device_properties(0)
    print(f"{properties.name}, {properties.major}.{properties.minor}, {properties.total_memory / 1e9:.0f} GB")
    if (missing := missing_nvrtc()) is not None:
        print(f"no clusters: {missing}")
        return
    from fast_gen.engines.gpu.cluster.nvrtc import ClusterKernel, source
    from fast_gen.engines.gpu.cluster.packing import SHARED_BYTES

    text = source() + 'extern "C" __global__ void nothing(int number) {}\n'
    for blocks in (12, 16):
        kernel = ClusterKernel(text, "nothing", {}, blocks, 512, SHARED_BYTES)
        print(f"clusters of {blocks} blocks at a time: {kernel.most_clusters()}")


def floors() -> None:
    """Measures what no kernel can pass."""
    import gpu_limit

    if DRY or missing_nvrtc() is not None:
        print(f"not measured: {'a dry run' if DRY else missing_nvrtc()}")
        return
    print(gpu_limit.summary(gpu_limit.measure()))


def triton() -> None:
    """Checks Triton's kernels; threads compile while others run."""
    cases = [(name, kind, clips) for clips in (3, 40) for name in ("base", "small") for kind in Triton.precisions]

    def check(case: tuple[str, str, int]) -> str:
        name, kind, clips = case
        return checked(f"triton {name} {kind}", Triton(weights_of(name), DEVICE, kind), 1 if DRY else clips)

    with ThreadPoolExecutor(1 if DRY else 4) as pool:
        for line in pool.map(check, cases[:1] if DRY else cases):
            print(line, flush=True)


def _clusters(kind: type[ClusterEngine], label: str) -> list[tuple[str, ClusterEngine]]:
    found: list[tuple[str, ClusterEngine]] = []
    for name in ("small", "base"):
        weights = weights_of(name)
        missing = kind.missing(weights, "cuda", "bfloat16", 1)
        if missing is None:
            found.append((f"{label} {name}", kind(weights, "cuda", "bfloat16")))
        else:
            print(f"{label} {name}: {missing}")
    return found


def cluster() -> None:
    """Checks the cluster's kernel."""
    if DRY:
        print("left out: the cluster's kernel needs a device")
        return
    for label, engine in _clusters(ClusterGpu, "cluster"):
        for clips in (1, 8):
            print(checked(label, engine, clips), flush=True)


def cluster_speed() -> None:
    """Times the cluster's kernel."""
    if DRY:
        print("left out: the cluster's kernel needs a device")
        return
    kinds = ((ClusterGpu, "cluster"), (SharedMemoryCluster, "cluster without weights in registers,"))
    for kind, name in kinds:
        for label, engine in _clusters(kind, name):
            for clips in (1, 8) if kind is ClusterGpu else (1,):
                timed(label, engine, clips)


def pipeline() -> None:
    """Checks and times the kernel through whose blocks tiles of clips flow."""
    if DRY:
        print("left out: the pipeline's kernel needs a device")
        return
    for label, engine in _clusters(PipelineGpu, "pipeline"):
        print(checked(label, engine, 40), flush=True)
        for clips in (1_024, 4_096):
            timed(label, engine, clips)


def triton_speed() -> None:
    """Times one clip, with and without weights on their way."""
    for name in ("base", "small"):
        for stages in (1, 3):
            engine = planned(Plan(1, 8, 1 if DRY else stages))(weights_of(name), DEVICE, "bfloat16")
            timed(f"triton {name} bfloat16, {stages} stages", engine, 1)


def tiles() -> None:
    """Times tiles of clips, and says from how many clips the larger ones pay, which `TritonGpu.plan` wants to know."""
    cases = ((1_024, 16, 1), (1_024, 16, 3), (1_024, 32, 3), (4_096, 16, 3), (4_096, 32, 3))
    for clips, rows, stages in cases[:1] if DRY else cases:
        plan = Plan(rows, 8, stages)
        engine = planned(plan)(weights_of("base"), DEVICE, "float32" if DRY else "bfloat16")
        timed(f"triton base, {plan.rows} rows, {stages} stages", engine, 16 if DRY else clips)


def graph() -> None:
    """Checks and times the portable engine."""
    engine = GraphQueue(weights_of("small"), DEVICE)
    for clips in (1, 2 if DRY else 128):
        print(checked("graph small", engine, clips))
        timed("graph small", engine, clips)


def training() -> None:
    """Trains against the textbook net."""
    script = Path(__file__).with_name("train_speed.py")
    sizes = ["tiny", "--batch-size", "1", "--window", "64", "--rounds", "1", "--steps", "1"]
    if not DRY:
        sizes = ["base", "--batch-size", "16", "--rounds", "2", "--steps", "10"]
    subprocess.run([sys.executable, str(script), *sizes], check=True)


def step_graphs() -> None:
    """Compares and times a training step of base: by operations and Triton's kernels, with and without graph."""
    if DRY:
        print("left out: CUDA graphs and compiled kernels need a device")
        return
    config = preset("base")
    shape = config.model.model_copy(update={"prediction": None})
    codes = torch.randint(0, 256, (16, config.training_context + config.training.window), device=DEVICE)
    gradients: list[torch.Tensor] = []
    for kernels in ("torch", "triton"):
        model = WaveNet(shape, torch.Generator().manual_seed(0)).to(DEVICE)
        torch.nn.init.normal_(model.output2.weight, std=0.2)
        model.product_dtype, model.in_triton = torch.bfloat16, kernels == "triton"
        task = RandomWindows(model, config.training_context)
        task.device_loss(codes).backward()
        gradients.append(model.blocks[0].dilated.weight.grad.flatten())
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
        plan = SimpleNamespace(gradient_clip=1.0, precision="32-true")
        training = GraphedTraining(task, plan, optimizer, print)
        for refused in (True, False):
            training.graphs.refused = refused
            for _ in range(5):
                training.step(codes)
            torch.cuda.synchronize()
            began = time.perf_counter()
            for _ in range(20):
                training.step(codes)
            torch.cuda.synchronize()
            milliseconds = 1000 * (time.perf_counter() - began) / 20
            print(f"{kernels}, {training.graphs.count} graphs: {milliseconds:.2f} ms a step", flush=True)
    apart = float((gradients[0] - gradients[1]).norm() / gradients[0].norm())
    print(f"gradients of the first layer by the two kinds of kernels differ by {apart:.2%}")


class RandomWindows:
    """A task of training, as far as a step needs one."""

    def __init__(self, model: WaveNet, context: int) -> None:
        self.model, self.context = model, context

    def begin_step(self) -> tuple[()]:
        """Does nothing."""
        return ()

    def randomness(self, batch: torch.Tensor) -> nullcontext[torch.Tensor]:
        """Returns a context without random numbers."""
        return nullcontext(batch)

    def device_loss(self, codes: torch.Tensor) -> torch.Tensor:
        """Returns the mean bits of all windows."""
        outputs = self.model(codes[:, :-1], self.context - 1)
        return self.model.head.bits(outputs, codes[:, self.context :]).mean()


def top_p() -> None:
    """Times top-p, whose kernel is another one."""
    engine = Triton(weights_of("small"), DEVICE, "float32")
    clips, settings = 1 if DRY else 40, SamplingSettings(top_p=0.9)
    began = time.perf_counter()
    engine.reset(clips)
    engine.generate(uniforms(0, rows=clips, length=1), settings)
    first = time.perf_counter() - began
    engine.generate(uniforms(0, rows=clips, length=2 if DRY else 1_000), settings)
    print(f"top-p, {clips} clips: first sample after {first:.1f} s, all after {time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    if not DRY and (missing := missing_gpu()) is not None:
        raise SystemExit(f"cannot measure here: {missing}")
    globals()[sys.argv[1]]()
