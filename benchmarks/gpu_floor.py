"""What no kernel can beat on this GPU: how fast weights are read, and how long threads and blocks take to meet.

    python benchmarks/gpu_floor.py

Measures the bandwidth of the cache and of shared memory, a barrier, and a hop between blocks of a cluster. Then prints
what they allow for each preset: samples/s of one clip if a block streams all weights from the cache, or if a cluster
holds them, and of all clips together if each tile streams them. Needs a GPU of compute capability 9.0.
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
"""Read again and again: too much for one block's own cache, little enough for the one that all share."""
SHARED_BYTES = 2**17
TILE = 32
BARRIERS_A_LAYER = 2


class Arguments(ctypes.Structure):
    """The structure of that name in gpu_floor.cu."""

    _fields_ = (
        ("memory", ctypes.c_void_p),
        ("words", ctypes.c_longlong),
        ("rounds", ctypes.c_int),
        ("cycles", ctypes.c_void_p),
        ("sink", ctypes.c_void_p),
    )


def cycles(kernel: str, size: int, clusters: int = 1, blocks: int = 1, shared_bytes: int = 0) -> tuple[float, float]:
    """Returns the clock cycles of a round in the first block, and the seconds of a round of all blocks."""
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
    """What a GPU gives.

    Attributes:
        clock: cycles a second.
        one_block: bytes a second that one block reads from the cache.
        all_blocks: bytes a second that a block on each multiprocessor reads, together.
        shared: bytes a cycle that a block reads from its shared memory.
        barrier: cycles until all threads of a block have met.
        hop: cycles until a word is in another block of the cluster.
    """

    clock: float
    one_block: float
    all_blocks: float
    shared: float
    barrier: float
    hop: float


class Chain(NamedTuple):
    """Cycles of one sample that a cluster makes, which follow one another."""

    reading: float
    meeting: float
    hopping: float


def measure() -> Measured:
    """Returns what the present GPU gives."""
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


def said(measured: Measured) -> str:
    """Returns what was measured, in lines."""
    return (
        f"clock {measured.clock / 1e9:.2f} GHz (from a kernel's cycles and its duration)\n"
        f"cache: {measured.one_block / measured.clock:.0f} bytes a cycle for one block, "
        f"{measured.all_blocks / measured.clock:.0f} for all ({measured.all_blocks / 1e12:.2f} TB/s)\n"
        f"shared memory: {measured.shared:.0f} bytes a cycle; barrier of {THREADS} threads: {measured.barrier:.0f} "
        f"cycles; hop between blocks: {measured.hop:.0f} cycles"
    )


def weight_bytes(model: PackedModel) -> int:
    """Returns the bytes of all matrices."""
    return sum(map(_bytes, (model.dilated, model.residuals, model.skips, model.output1, model.output2)))


def streamed(model: PackedModel, measured: Measured, clips: int, rows: int) -> float:
    """Returns the samples/s of all clips if a block for each `rows` of them reads all weights from the cache."""
    blocks = -(-clips // rows)
    return clips * min(measured.one_block, measured.all_blocks / blocks) / weight_bytes(model)


def held(model: PackedModel, measured: Measured, clips: int) -> tuple[float, Chain] | None:
    """Returns the samples/s of all clips if a cluster for each holds all weights, and why; None if they do not fit."""
    division = divide(model)
    if division is None:
        return None
    # In the chain: the newest tap and the residual of each layer, the last block's skips, both output layers.
    last = division.first_layers[-1] - division.first_layers[-2]
    chain = [*model.dilated[:, -1], *model.residuals, *model.skips[-last:], model.output1, model.output2]
    found = Chain(
        reading=sum(map(_bytes, chain)) / measured.shared,
        meeting=(BARRIERS_A_LAYER * len(model.dilations) + 6) * measured.barrier,
        hopping=division.blocks * measured.hop,
    )
    return clips * measured.clock / sum(found), found


def floors(name: str, kind: torch.dtype, model: PackedModel, measured: Measured) -> str:
    """Returns a table row."""
    many = TILE * torch.cuda.get_device_properties(0).multi_processor_count
    cluster, in_cluster = held(model, measured, 1), "does not fit"
    if cluster is not None:
        rate, chain = cluster
        in_cluster = f"{rate:,.0f} ({chain.reading:,.0f} + {chain.meeting:,.0f} + {chain.hopping:,.0f})"
    return (
        f"| {name} | {str(kind).removeprefix('torch.')} | {weight_bytes(model) / 1e6:.2f} | "
        f"{streamed(model, measured, 1, 1):,.0f} | {in_cluster} | "
        f"{streamed(model, measured, many, TILE):,.0f} ({many} clips) |"
    )


def _bytes(matrix: torch.Tensor) -> int:
    return matrix.nelement() * matrix.element_size()


def main() -> None:
    """Measures, and prints both tables."""
    missing = missing_nvrtc()
    if missing is not None:
        raise SystemExit(f"cannot measure here: {missing}")
    device = torch.cuda.get_device_properties(0)
    print(f"{device.name}, {device.multi_processor_count} multiprocessors, torch {torch.__version__}")
    measured = measure()
    print(said(measured))
    print(
        "| preset | weights | MB a sample | one block, streamed | cluster (cycles: reading + barriers + hops) | many |"
    )
    print("|---|---|---|---|---|---|")
    for name in ("small", "base"):
        weights = GeneratorWeights.of(WaveNet(preset(name).model))
        for kind in (torch.float32, torch.bfloat16):
            print(floors(name, kind, pack(weights, "cuda", kind), measured))


if __name__ == "__main__":
    main()
