"""What no kernel can beat on this GPU: how fast weights are read, and how long threads and blocks take to meet.

    python benchmarks/gpu_floor.py

Measures the bandwidth of the cache and of shared memory, a barrier, and a hop between blocks of a cluster. Then prints
what they allow for each preset: samples/s of one clip if a block streams all weights from the cache, or if a cluster
holds them, and of all clips together if each tile streams them. Needs a GPU of compute capability 9.0.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

import torch

from fast_gen.cluster_packing import divide
from fast_gen.gpu_packing import PackedModel, pack
from fast_gen.nvrtc import ClusterKernel, missing_nvrtc, source
from fast_gen.weights import GeneratorWeights
from wavenet_app.config import preset
from wavenet_app.model import WaveNet

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


def megabytes(*matrices: torch.Tensor) -> float:
    return sum(matrix.nbytes for matrix in matrices) / 1e6


def floors(name: str, kind: torch.dtype, model: PackedModel, measured: dict[str, float]) -> str:
    """Returns a table row."""
    layers = len(model.dilations)
    whole = megabytes(model.dilated, model.residuals, model.skips, model.output1, model.output2) * 1e6
    streamed = measured["clock"] * measured["cache, one block"] / whole
    processors = torch.cuda.get_device_properties(0).multi_processor_count
    many = TILE * measured["clock"] * measured["cache, all blocks"] / whole
    division = divide(model)
    held = "does not fit"
    if division is not None:
        # In the chain: the newest tap and the residual of each layer, the last block's skips, both output layers.
        last = division.first_layers[-1] - division.first_layers[-2]
        chain = [*model.dilated[:, -1], *model.residuals, *model.skips[-last:], model.output1, model.output2]
        reading = megabytes(*chain) * 1e6 / measured["shared"]
        meeting = (BARRIERS_A_LAYER * layers + 6) * measured["barrier"]
        hopping = division.blocks * measured["hop"]
        rate = measured["clock"] / (reading + meeting + hopping)
        held = f"{rate:,.0f} ({reading:,.0f} + {meeting:,.0f} + {hopping:,.0f})"
    label = str(kind).removeprefix("torch.")
    return (
        f"| {name} | {label} | {whole / 1e6:.2f} | {streamed:,.0f} | {held} | {many:,.0f} ({processors * TILE} clips) |"
    )


def main() -> None:
    """Measures, and prints both tables."""
    missing = missing_nvrtc()
    if missing is not None:
        raise SystemExit(f"cannot measure here: {missing}")
    device = torch.cuda.get_device_properties(0)
    print(f"{device.name}, {device.multi_processor_count} multiprocessors, torch {torch.__version__}")
    alone, _ = cycles("read_cache", CACHED_BYTES)
    _, seconds = cycles("read_cache", CACHED_BYTES, clusters=device.multi_processor_count)
    shared, shared_seconds = cycles("read_shared", SHARED_BYTES, shared_bytes=SHARED_BYTES)
    clock = shared / shared_seconds
    barrier, _ = cycles("meet_threads", 16)
    hop, _ = cycles("hop", 16, blocks=2, shared_bytes=16)
    measured = {
        "clock": clock,
        "cache, one block": CACHED_BYTES / alone,
        "cache, all blocks": CACHED_BYTES * device.multi_processor_count / seconds / clock,
        "shared": SHARED_BYTES / shared,
        "barrier": barrier,
        "hop": hop / 2,
    }
    print(f"clock {clock / 1e9:.2f} GHz (from a kernel's cycles and its duration)")
    print(f"cache: {measured['cache, one block']:.0f} bytes a cycle for one block, ", end="")
    print(f"{measured['cache, all blocks']:.0f} for all ({measured['cache, all blocks'] * clock / 1e12:.2f} TB/s)")
    print(
        f"shared memory: {measured['shared']:.0f} bytes a cycle; barrier of {THREADS} threads: {barrier:.0f} cycles; ",
        end="",
    )
    print(f"hop between blocks: {hop / 2:.0f} cycles")
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
