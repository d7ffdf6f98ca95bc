"""The limits that one core sets for the CPU engine, and how close it comes: bytes and products over their peaks.

    python benchmarks/cpu_roofline.py small base [--precisions float32 int8]

The bandwidth is measured by reading as many bytes as the packed weights of the model again and again, so it is that of
the cache that they fit into. The peak is measured with independent multiply-accumulates on registers. Both alternate
with the engine itself, one clip on one thread, in rounds so short that some are undisturbed. The best round is printed,
because other processes can only slow the machine down. A sample takes at least the longer of the two times. The rest
are dependencies between layers, activations, queues and sampling, which neither time includes.
"""

# mypy: ignore-errors
# ruff: noqa: ARG001 - numba fixes the arguments of an intrinsic

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from fast_gen.engines.contract import PRECISIONS
from fast_gen.engines.cpu.byte_product import HAS_BYTE_PRODUCTS, emit_dot
from fast_gen.engines.cpu.engine import NumbaCpu
from fast_gen.engines.cpu.packing import HEAD_PRECISION, LANES, PackedWeights, aligned, first_state, pack
from fast_gen.engines.sampling import SamplingSettings, uniforms
from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.compiling.vector_math import constant, emit_multiply_add
from wavenet_app.config import preset
from wavenet_app.heads import DEFAULT_HEAD
from wavenet_app.network.model import WaveNet

CHAINS = 12
"""Independent sums, more than the latency of an instruction requires."""

_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_INTEGERS = ir.VectorType(ir.IntType(32), LANES)


def _chained(kind: ir.Type, emit: Callable) -> Callable:
    """Returns a function of (address, stride, turns): in each turn, `emit` updates each sum from its vector.

    The vectors start at `address` + turn x `stride`, one after the other. The sums are written to `address` at the end.
    """

    @intrinsic
    def chained(typing, address, stride, turns):
        def generate(context, builder, signature, arguments):
            address, stride, turns = arguments
            index = address.type
            before = builder.block
            body, after = builder.append_basic_block("turn"), builder.append_basic_block("end")
            builder.branch(body)
            builder.position_at_end(body)
            turn = builder.phi(index)
            sums = [builder.phi(kind) for _ in range(CHAINS)]
            start = builder.add(address, builder.mul(turn, stride))
            places = [
                builder.inttoptr(builder.add(start, ir.Constant(index, 4 * LANES * chain)), kind.as_pointer())
                for chain in range(CHAINS)
            ]
            results = [emit(builder, total, place) for total, place in zip(sums, places, strict=True)]
            following = builder.add(turn, ir.Constant(index, 1))
            turn.add_incoming(ir.Constant(index, 0), before)
            turn.add_incoming(following, body)
            for chain, (total, result) in enumerate(zip(sums, results, strict=True)):
                total.add_incoming(constant(kind, chain), before)  # equal ones would be computed once
                total.add_incoming(result, body)
            builder.cbranch(builder.icmp_signed("<", following, turns), body, after)
            builder.position_at_end(after)
            for chain, result in enumerate(results):
                place = builder.add(address, ir.Constant(index, 4 * LANES * chain))
                builder.store(result, builder.inttoptr(place, kind.as_pointer()), align=4)
            return context.get_dummy_value()

        return types.void(types.intp, types.intp, types.intp), generate

    @njit
    def run(address, stride, turns):
        chained(address, stride, turns)

    return run


read = _chained(_INTEGERS, lambda builder, total, place: builder.add(total, builder.load(place, align=4)))
# the factors are the same in each turn, so they stay in registers
multiply_add = _chained(
    _FLOATS,
    lambda builder, total, _: emit_multiply_add(builder, total, constant(_FLOATS, 0.999), constant(_FLOATS, 1e-3)),
)
dot = _chained(
    _INTEGERS,
    lambda builder, total, _: emit_dot(
        builder, total, constant(_INTEGERS, 0x01020304), constant(_INTEGERS, 0x04030201), HAS_BYTE_PRODUCTS
    ),
)


def seconds_of(run: Callable[[], None]) -> float:
    """Returns the seconds of one call."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def bandwidth(size: int) -> float:
    """Returns the bytes per second at which one core reads a buffer of `size` bytes again and again."""
    step = 4 * LANES * CHAINS
    buffer = aligned(size // 4 + CHAINS * LANES)
    sweeps, turns = max(1, 100_000_000 // size), max(1, size // step)
    read(buffer.ctypes.data, step, turns)

    def sweep() -> None:
        for _ in range(sweeps):
            read(buffer.ctypes.data, step, turns)

    return sweeps * turns * step / seconds_of(sweep)


def peak(precision: str) -> float:
    """Returns the multiply-accumulates per second of one core; bfloat16 uses those of float32."""
    run, each = (dot, 4) if precision == "int8" else (multiply_add, 1)
    buffer, turns = aligned(CHAINS * LANES), 300_000
    run(buffer.ctypes.data, 0, 100)
    return turns * CHAINS * LANES * each / seconds_of(lambda: run(buffer.ctypes.data, 0, turns))


def bytes_of_sample(packed: PackedWeights) -> float:
    """Returns the bytes of weights read per sample; past taps are read once for all samples computed ahead."""
    spans = first_state(packed, DEFAULT_HEAD, 1).spans
    past = packed.past.nbytes / len(spans) * float((1 / spans).sum())
    return packed.stream.nbytes + past + packed.head.nbytes


def rate(engine: NumbaCpu, length: int) -> float:
    """Returns the samples per second of one clip."""
    numbers = uniforms(0, rows=1, length=length)
    return length / seconds_of(lambda: engine.generate(numbers, SamplingSettings()))


def main() -> None:
    """Prints a table row for each preset and precision."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("presets", nargs="*", default=["small", "base"])
    parser.add_argument("--precisions", nargs="*", default=list(PRECISIONS))
    parser.add_argument("--rounds", type=int, default=60)
    arguments = parser.parse_args()
    headings = ["preset", "precision", "kB per sample", "GB/s", "us to read", "kMAC", "GMAC/s", "us to multiply"]
    headings += ["limit, samples/s", "measured", "of the limit"]
    print("| " + " | ".join(headings) + " |\n" + "|---" * len(headings) + "|")
    for name in arguments.presets or ["small", "base"]:
        weights = GeneratorWeights.of(WaveNet(preset(name).model, torch.Generator().manual_seed(0)))
        for precision in arguments.precisions:
            packed = pack(weights, precision)
            size = packed.stream.nbytes + packed.past.nbytes + packed.head.nbytes
            head = weights.output2.size
            others = weights.multiply_accumulates - head
            engine = NumbaCpu(weights, precision=precision)
            rate(engine, 100)
            length = max(20, int(rate(engine, 1000) / 100))
            found = [
                (bandwidth(size), peak(precision), peak(HEAD_PRECISION[precision]), rate(engine, length))
                for _ in range(arguments.rounds)
            ]
            speed, multiplied, head_multiplied, measured = (max(column) for column in zip(*found, strict=True))
            needed = bytes_of_sample(packed)
            reading, multiplying = needed / speed, others / multiplied + head / head_multiplied
            limit = 1 / max(reading, multiplying)
            cells = [name, precision, f"{needed / 1e3:,.0f}", f"{speed / 1e9:.0f}", f"{reading * 1e6:.2f}"]
            cells += [f"{(others + head) / 1e3:,.0f}", f"{(others + head) / multiplying / 1e9:.0f}"]
            cells += [f"{multiplying * 1e6:.2f}", f"{limit:,.0f}", f"{measured:,.0f}", f"{measured / limit:.0%}"]
            print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
