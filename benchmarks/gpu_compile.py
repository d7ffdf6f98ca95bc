"""Compiles the GPU's kernels without a GPU, for each kind of chip, and prints what they take of it.

    uv run python benchmarks/gpu_compile.py [--chips 80,90] [--quick | --clusters]

Prints a row for each chip and case as soon as it is compiled: registers and spilled bytes of a thread, shared memory of
a program, processor seconds of the compiler. It says what a kernel needs, not how fast it is: nothing runs.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from fast_gen.engines.gpu.cluster.base import ClusterEngine
from fast_gen.engines.gpu.cluster.engine import ClusterGpu
from fast_gen.engines.gpu.cluster.nvrtc import compiled
from fast_gen.engines.gpu.cluster.packing import Division
from fast_gen.engines.gpu.cluster.pipeline import PipelineGpu
from fast_gen.engines.gpu.packing import pack, padded
from fast_gen.engines.gpu.triton_engine import DTYPES, FEW_CLIPS, Plan, TritonGpu, output_block
from fast_gen.engines.gpu.triton_loop import append_codes
from fast_gen.engines.quiet import quiet_reach
from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.config import PredictionConfig, preset
from wavenet_app.network.model import WaveNet

SHARED_BYTES = {80: 166_912, 86: 101_376, 89: 101_376, 90: 232_448, 100: 232_448, 120: 101_376}
"""Compute capability -> shared memory that a program can have."""

PROCESSORS = {80: 108, 86: 84, 89: 128, 90: 132, 100: 148, 120: 170}
"""Compute capability -> multiprocessors of a large GPU of that kind."""

CASES = (
    ("small", "bfloat16", 1),
    ("base", "bfloat16", 1),
    ("base", "bfloat16", FEW_CLIPS + 8),
    ("base", "bfloat16", 4_096),
    ("base", "float32", 1),
    ("base", "float32", FEW_CLIPS + 8),
)
"""Preset, precision and clips."""

WITH_CLUSTERS = (90, 100, 120)

CLUSTERS: dict[type[ClusterEngine], str] = {
    ClusterGpu: "cluster, {name} bfloat16, 1 clip",
    PipelineGpu: "pipeline, {name} bfloat16, tiles of {rows} clips",
}
"""Engine -> how its rows are called."""

POINTERS = {
    "dilations": "i32", "ring_starts": "i64", "ring_masks": "i32", "recent": "i32", "quiet_runs": "i32", "codes": "i16",
    "condition_steps": "i32", "decoded": "fp64", "constants": "fp64", "value_limits": "fp64", "size_limits": "fp64",
    "innovation_limits": "fp64", "past_samples": "fp64", "coefficients": "fp64", "predictions": "fp64", "sizes": "fp64",
}  # fmt: skip
IN_PRECISION = ("dilated", "residuals", "skips", "output1", "slots", "condition")
OF_OUTPUTS = ("output2", "vectors")
FLOATS = ("temperature", "scale", "quiet_temperature", "quiet_scale")
NUMBERS = ("top_k", "top_p", "least", "quiet_samples", "since", "start_time", "steps", "batch", "layers")


@dataclass(frozen=True)
class Compiled:
    """Resources of a kernel: registers and spilled bytes per thread, and shared memory per program.

    `doubles` is the number of its instructions of double precision, and `waits` how many groups of copies may still be
    under way where the kernel waits for others.
    """

    registers: int
    spilled_bytes: int
    shared_bytes: int
    doubles: int
    waits: tuple[int, ...]


def compile_for_h100(
    weights: GeneratorWeights,
    plan: Plan,
    kind: str = "bf16",
    greedy: bool = False,
    select: bool = False,
    capability: int = 90,
) -> Compiled:
    """Compiles `append_codes` as an engine launches it, with operands fp32 or bf16, for a compute capability."""
    skip, channels = padded(weights.skip_channels), padded(weights.output_channels)
    head = weights.head
    prediction = weights.prediction or PredictionConfig()
    in_precision = IN_PRECISION + (() if head.float32_output else OF_OUTPUTS)
    constants = {
        "RULE": int(head.rule),
        "ONE_HOT": head.one_hot_front,
        "CODES": weights.quantization_channels,
        "KERNEL_SIZE": weights.kernel_size,
        "R": padded(weights.residual_channels),
        "D": padded(weights.dilation_channels),
        "S": skip,
        "Q": channels,
        "FIRST_MEAN": head.means.start,
        "AFTER_MEANS": head.means.stop,
        "ROWS": plan.rows,
        "BLOCK": output_block(skip, channels),
        "STAGES": plan.stages,
        "CONDITIONED": weights.conditioned,
        "SCORE": False,
        "GREEDY": greedy,
        "SELECT": select,
        "SILENCE": weights.coding.silence,
        "QUIET_REACH": quiet_reach(weights.coding),
        "PREDICTED": weights.prediction is not None,
        "LOWEST": weights.coding.lowest,
        "FRAME": prediction.frame,
        "HOP": prediction.step,
        "ORDER": prediction.order,
        "LAGS": 1 << (prediction.order - 1).bit_length(),
    }
    signature, aligned = {}, {}
    for place, name in enumerate(append_codes.arg_names):
        if name in constants:
            signature[name] = "constexpr"
        elif name in NUMBERS:
            signature[name] = "i32"
        elif name in FLOATS:
            signature[name] = "fp32"
        else:
            signature[name] = "*" + (kind if name in in_precision else POINTERS.get(name, "fp32"))
            if not append_codes.params[place].do_not_specialize_on_alignment:
                aligned[(place,)] = [["tt.divisibility", 16]]
    source = ASTSource(append_codes, signature, constants, aligned)
    result = triton.compile(
        source, target=GPUTarget("cuda", capability, 32), options={"num_warps": plan.warps, "num_stages": plan.stages}
    )
    return _assembled(result, capability)


TRAINING_KERNELS = {
    "layer_forward": {
        "hidden": "*fp32", "matrix": "*bf16", "shift": "*fp32", "residual": "*bf16", "residual_bias": "*fp32",
        "squash": "*bf16", "joined": "*bf16", "following": "*fp32",
    },
    "gate_backward": {
        "stream": "*fp32", "squash": "*bf16", "from_skips": "*bf16", "residual": "*bf16", "inner": "*bf16",
        "activations": "*bf16",
    },
    "taps_backward": {"stream": "*fp32", "inner": "*bf16", "matrix": "*bf16", "earlier": "*fp32"},
}  # fmt: skip
"""Kernel of `triton_layers` -> the types of its tensors, with products in bfloat16."""


def compile_for_training(kernel: str, width: int, layers: int, capability: int) -> tuple[Compiled, str]:
    """Compiles a kernel of `triton_layers` as `triton_stack` launches it; returns its resources and its PTX.

    Args:
        kernel: its name.
        width: residual and dilation channels.
        layers: of the stack.
        capability: of the GPU.
    """
    from wavenet_app.network.stack import triton_layers
    from wavenet_app.network.stack.triton_stack import BLOCK

    function = getattr(triton_layers, kernel)
    constants = {
        "TAPS": 2, "R": width, "D": width, "JOINED": layers * width, "RESIDUAL": True, "PER_CLIP": True, "STREAM": True,
        "BLOCK": BLOCK,
    }  # fmt: skip
    own = {name: value for name, value in constants.items() if name in function.arg_names}
    kinds = TRAINING_KERNELS[kernel]
    signature = {name: "constexpr" if name in own else kinds.get(name, "i32") for name in function.arg_names}
    aligned = {(place,): [["tt.divisibility", 16]] for place, name in enumerate(function.arg_names) if name in kinds}
    result = triton.compile(ASTSource(function, signature, own, aligned), target=GPUTarget("cuda", capability, 32))
    return _assembled(result, capability), result.asm["ptx"]


def _assembled(result: Any, capability: int) -> Compiled:
    """Returns the resources of what Triton has compiled, as the assembler reports them."""
    with tempfile.TemporaryDirectory() as folder:
        ptx = Path(folder) / "kernel.ptx"
        ptx.write_text(result.asm["ptx"])
        tools = triton.knobs.nvidia
        assembler = (tools.ptxas_blackwell if capability >= 100 else tools.ptxas).path
        report = subprocess.run(
            [
                assembler,
                "-v",
                "--gpu-name",
                f"sm_{capability}{'a' if capability >= 90 else ''}",
                str(ptx),
                "-o",
                f"{folder}/kernel.cubin",
            ],
            capture_output=True,
            text=True,
            check=True,
        ).stderr
    registers, spilled = re.search(r"Used (\d+) registers", report), re.search(r"(\d+) bytes spill stores", report)
    assert registers is not None, report
    assert spilled is not None, report
    waits = tuple(int(left) for left in re.findall(r"cp\.async\.wait_group\s+(?:0x)?(\d+)", result.asm["ptx"]))
    doubles = len(re.findall(r"^\s*(?:@\S+ )?[a-z][\w.]*\.f64\b", result.asm["ptx"], re.MULTILINE))
    return Compiled(int(registers[1]), int(spilled[1]), result.metadata.shared, doubles, waits)


class _Planning(TritonGpu):
    """The engine, as it would divide clips on a device that is not there."""

    capability = 90

    def _device(self) -> SimpleNamespace:
        return SimpleNamespace(
            multi_processor_count=PROCESSORS[self.capability],
            shared_memory_per_block_optin=SHARED_BYTES[self.capability],
        )


def random_weights(name: str) -> GeneratorWeights:
    """Returns random weights of a preset."""
    return GeneratorWeights.of(WaveNet(preset(name).model, torch.Generator().manual_seed(0)))


def processor_seconds() -> float:
    """Returns the processor time of this process and of the assemblers that it has started."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def plan_on(weights: GeneratorWeights, precision: str, clips: int, capability: int) -> Plan:
    """Returns how clips are divided on a chip."""
    engine = _Planning(weights, "cpu", precision)
    engine.capability, engine.device = capability, "cuda"
    return engine.plan(clips)


def rows(chips: list[int], quick: bool, clusters: bool) -> Iterator[str]:
    """Yields the table, line by line: of all kernels, one for each chip, or those of clusters."""
    yield "| chip | kernel | plan | registers | spilled bytes | shared bytes | waits overlap | seconds |"
    yield "|---|---|---|---|---|---|---|---|"
    for chip in chips:
        for name, precision, clips in () if clusters else CASES[1:2] if quick else CASES:
            weights = random_weights(name)
            plan, began = plan_on(weights, precision, clips, chip), processor_seconds()
            kind = "bf16" if precision == "bfloat16" else "fp32"
            found = compile_for_h100(weights, plan, kind, capability=chip)
            overlaps = "yes" if max(found.waits, default=0) else "no"
            shared = f"{found.shared_bytes:,}"
            yield (
                f"| sm_{chip} | Triton, {name} {precision}, {clips} clips | {plan.rows} rows, {plan.warps} warps, "
                f"{plan.stages} stages | {found.registers} | {found.spilled_bytes} | {shared} | {overlaps} | "
                f"{processor_seconds() - began:.0f} |"
            )
        for kernel in () if quick or clusters else TRAINING_KERNELS:
            began = processor_seconds()
            found, _ = compile_for_training(kernel, 64, 30, chip)
            yield (
                f"| sm_{chip} | training of base bfloat16, {kernel} | 64 steps, 4 warps | {found.registers} | "
                f"{found.spilled_bytes} | {found.shared_bytes:,} | | {processor_seconds() - began:.0f} |"
            )
        if chip in WITH_CLUSTERS and not quick:
            yield from _cluster_rows(chip)


def _cluster_rows(chip: int) -> Iterator[str]:
    for engine, label in CLUSTERS.items():
        for name in ("small", "base"):
            began = processor_seconds()
            found = compile_cluster(engine, random_weights(name), "bfloat16", chip)
            if found is None:
                yield f"| sm_{chip} | {label.split(',')[0]}, {name} bfloat16 | does not fit | | | | | |"
                continue
            division, needed = found
            yield (
                f"| sm_{chip} | {label.format(name=name, rows=division.rows)} | {division.blocks} blocks, "
                f"{division.threads} threads | {needed.registers} | {needed.spilled_bytes} (stack) | "
                f"{needed.shared_bytes:,} | | {processor_seconds() - began:.0f} |"
            )


def compile_cluster(
    engine: type[ClusterEngine], weights: GeneratorWeights, precision: str, chip: int
) -> tuple[Division, Compiled] | None:
    """Compiles the kernel of a cluster for a chip; None if the model does not fit.

    Returns:
        The division, and what the kernel takes. All that spills lies in the stack, with what else needs an address.
    """
    model = pack(weights, "cpu", DTYPES[precision])
    divisions = engine.divisions(model, SHARED_BYTES[chip])
    if not divisions:
        return None
    code = compiled(engine.source(), engine.definitions(model, divisions[0], weights), divmod(chip, 10))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(code)
        tool = triton.knobs.nvidia.cuobjdump.path
        report = subprocess.run([tool, "-res-usage", str(path)], capture_output=True, text=True, check=True).stdout
    found = re.search(r"REG:(\d+) STACK:(\d+)", report)
    assert found is not None, report
    return divisions[0], Compiled(int(found[1]), int(found[2]), divisions[0].shared_bytes, 0, ())


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chips", default=",".join(map(str, SHARED_BYTES)), help="compute capabilities, such as 80,90")
    parts = parser.add_mutually_exclusive_group()
    parts.add_argument("--quick", action="store_true", help="one case for each chip")
    parts.add_argument("--clusters", action="store_true", help="only the kernels of clusters")
    arguments = parser.parse_args()
    chips = [int(chip) for chip in arguments.chips.split(",")]
    unknown = set(chips) - set(SHARED_BYTES)
    if unknown:
        parser.error(f"known chips are {', '.join(map(str, SHARED_BYTES))}")
    print(f"triton {triton.__version__}, torch {torch.__version__}; compiled, not run")
    with tempfile.TemporaryDirectory() as folder:  # nothing is compiled already
        triton.knobs.cache.dir = folder
        for line in rows(chips, arguments.quick, arguments.clusters):
            print(line, flush=True)


if __name__ == "__main__":
    main()
