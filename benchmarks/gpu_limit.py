"""The limits that this GPU sets for any kernel: how fast it reads weights and synchronises threads and blocks.

    python benchmarks/gpu_limit.py

Measures the bandwidth of the cache and of shared memory, a barrier, and a hop between blocks of a cluster. Then prints
the limits that follow for each preset: samples/s of one clip if a block streams all weights from the cache, or if a
cluster holds them in shared memory, and of all clips together if each tile streams them. Needs a GPU of compute
capability 9.0.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import NamedTuple

import torch

from fast_gen.engines.gpu.cluster.nvrtc import ClusterKernel, missing_nvrtc, source
from fast_gen.engines.gpu.cluster.packing import divide
from fast_gen.engines.gpu.packing import PackedModel, pack
from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.config import preset
from wavenet_app.network.model import WaveNet

SOURCE = Path(__file__).with_suffix(".cu")
THREADS = 512
ROUNDS = 200
CACHED_BYTES = 2**21 + 2**19
"""Read again and again: too large for the cache of one multiprocessor, small enough for the shared cache."""
SHARED_BYTES = 2**17
TILE = 32
BARRIERS_PER_LAYER = 2


class Arguments(ctypes.Structure):
    """The structure of this name in gpu_limit.cu."""

    _fields_ = (
        ("memory", ctypes.c_void_p),
        ("words", ctypes.c_longlong),
        ("rounds", ctypes.c_int),
        ("cycles", ctypes.c_void_p),
        ("sink", ctypes.c_void_p),
    )


def cycles(kernel: str, size: int, clusters: int = 1, blocks: int = 1, shared_bytes: int = 0) -> tuple[float, float]:
    """Returns the clock cycles of a round in the first block, and the seconds of a round in all blocks."""
    compiled = ClusterKernel(source(SOURCE), kernel, {"THREADS": THREADS}, blocks, THREADS, shared_bytes)
    memory = torch.randint(2**31 - 1, (size // 4 + 4,), dtype=torch.int32, device="cuda")
    counted = torch.zeros(1, dtype=torch.int64, device="cuda")
    sink = torch.zeros(clusters * blocks * THREADS, dtype=torch.int32, device="cuda")
    arguments = Arguments(memory.data_ptr(), size // 16, ROUNDS, counted.data_ptr(), sink.data_ptr())
    began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    found = []
    for _ in range(5):
        began.record()
        compiled.launch(clusters, arguments)
        ended.record()
        torch.cuda.synchronize()
        found.append((counted.item() / ROUNDS, began.elapsed_time(ended) / 1e3 / ROUNDS))
    return sorted(found)[2]


class Measured(NamedTuple):
    """Measured properties of a GPU.

    Attributes:
        clock: cycles per second.
        one_block: bytes per second that one block reads from the cache.
        all_blocks: bytes per second that one block on each multiprocessor reads, in total.
        shared: bytes per cycle that a block reads from its shared memory.
        barrier: cycles of a barrier of all threads of a block.
        hop: cycles until a word arrives in another block of the cluster.
    """

    clock: float
    one_block: float
    all_blocks: float
    shared: float
    barrier: float
    hop: float


class Chain(NamedTuple):
    """Consecutive cycles of one sample in a cluster."""

    reads: float
    barriers: float
    hops: float


def measure() -> Measured:
    """Measures the current GPU."""
    processors = torch.cuda.get_device_properties(0).multi_processor_count
    alone, _ = cycles("read_cache", CACHED_BYTES)
    _, seconds = cycles("read_cache", CACHED_BYTES, clusters=processors)
    shared, shared_seconds = cycles("read_shared", SHARED_BYTES, shared_bytes=SHARED_BYTES)
    clock = shared / shared_seconds
    barrier, _ = cycles("meet_threads", 16)
    hop, _ = cycles("hop", 16, blocks=2, shared_bytes=16)
    return Measured(
        clock=clock,
        one_block=CACHED_BYTES / alone * clock,
        all_blocks=CACHED_BYTES * processors / seconds,
        shared=SHARED_BYTES / shared,
        barrier=barrier,
        hop=hop / 2,
    )


def summary(measured: Measured) -> str:
    """Returns the measured properties as lines of text."""
    return (
        f"clock {measured.clock / 1e9:.2f} GHz (from a kernel's cycles and its duration)\n"
        f"cache: {measured.one_block / measured.clock:.0f} bytes per cycle for one block, "
        f"{measured.all_blocks / measured.clock:.0f} for all ({measured.all_blocks / 1e12:.2f} TB/s)\n"
        f"shared memory: {measured.shared:.0f} bytes per cycle; barrier of {THREADS} threads: {measured.barrier:.0f} "
        f"cycles; hop between blocks: {measured.hop:.0f} cycles"
    )


def weight_bytes(model: PackedModel) -> int:
    """Returns the total bytes of all matrices."""
    return sum(map(_bytes, (model.dilated, model.residuals, model.skips, model.output1, model.output2)))


def streamed(model: PackedModel, measured: Measured, clips: int, rows: int) -> float:
    """Returns the samples/s of all clips if one block for each `rows` clips reads all weights from the cache."""
    blocks = -(-clips // rows)
    return clips * min(measured.one_block, measured.all_blocks / blocks) / weight_bytes(model)


def held_in_cluster(model: PackedModel, measured: Measured, clips: int) -> tuple[float, Chain] | None:
    """Returns the samples/s of all clips if a cluster per clip holds the weights, and its cycles; None if it cannot."""
    division = divide(model)
    if division is None:
        return None
    # The chain: the newest tap and the residual of each layer, unless they lie in registers, the skips of the last
    # block, and both output layers.
    last = division.first_layers[-1] - division.first_layers[-2]
    layers = [] if division.sets else [*model.dilated[:, -1], *model.residuals]
    chain = [*layers, *model.skips[-last:], model.output1, model.output2]
    found = Chain(
        reads=sum(map(_bytes, chain)) / measured.shared,
        barriers=(BARRIERS_PER_LAYER * len(model.dilations) + 6) * measured.barrier,
        hops=division.blocks * measured.hop,
    )
    return clips * measured.clock / sum(found), found


def limits(name: str, kind: torch.dtype, model: PackedModel, measured: Measured) -> str:
    """Returns the table row of a preset."""
    many = TILE * torch.cuda.get_device_properties(0).multi_processor_count
    cluster, in_cluster = held_in_cluster(model, measured, 1), "does not fit"
    if cluster is not None:
        rate, chain = cluster
        in_cluster = f"{rate:,.0f} ({chain.reads:,.0f} + {chain.barriers:,.0f} + {chain.hops:,.0f})"
    return (
        f"| {name} | {str(kind).removeprefix('torch.')} | {weight_bytes(model) / 1e6:.2f} | "
        f"{streamed(model, measured, 1, 1):,.0f} | {in_cluster} | "
        f"{streamed(model, measured, many, TILE):,.0f} ({many} clips) |"
    )


def _bytes(matrix: torch.Tensor) -> int:
    return matrix.nelement() * matrix.element_size()


def main() -> None:
    """Measures the GPU and prints the limits of each preset."""
    missing = missing_nvrtc()
    if missing is not None:
        raise SystemExit(f"cannot measure here: {missing}")
    device = torch.cuda.get_device_properties(0)
    print(f"{device.name}, {device.multi_processor_count} multiprocessors, torch {torch.__version__}")
    measured = measure()
    print(summary(measured))
    print(
        "| preset | weights | MB per sample | one block, streamed | cluster (cycles: reads + barriers + hops) | many |"
    )
    print("|---|---|---|---|---|---|")
    for name in ("small", "base"):
        weights = GeneratorWeights.of(WaveNet(preset(name).model))
        for kind in (torch.float32, torch.bfloat16):
            print(limits(name, kind, pack(weights, "cuda", kind), measured))


if __name__ == "__main__":
    main()
