"""Compiles the GPU kernel without a GPU, for an H100 or another, and parses the report of the assembler."""

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from fast_gen.engines.gpu.packing import padded
from fast_gen.engines.gpu.triton_engine import Plan, output_block
from fast_gen.engines.gpu.triton_loop import append_codes
from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.config import PredictionConfig

POINTERS = {
    "dilations": "i32", "ring_starts": "i64", "ring_masks": "i32", "recent": "i32", "codes": "i16",
    "condition_steps": "i32", "decoded": "fp64", "constants": "fp64", "value_limits": "fp64", "size_limits": "fp64",
    "past_samples": "fp64", "coefficients": "fp64", "predictions": "fp64", "sizes": "fp64",
}  # fmt: skip
IN_PRECISION = ("dilated", "residuals", "skips", "output1", "slots", "condition")
OF_OUTPUTS = ("output2", "vectors")
FLOATS = ("temperature", "scale")
NUMBERS = ("top_k", "top_p", "least", "since", "start_time", "steps", "batch", "layers")


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
    compiled = triton.compile(
        source, target=GPUTarget("cuda", capability, 32), options={"num_warps": plan.warps, "num_stages": plan.stages}
    )
    with tempfile.TemporaryDirectory() as folder:
        ptx = Path(folder) / "kernel.ptx"
        ptx.write_text(compiled.asm["ptx"])
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
    waits = tuple(int(left) for left in re.findall(r"cp\.async\.wait_group\s+(?:0x)?(\d+)", compiled.asm["ptx"]))
    doubles = len(re.findall(r"^\s*(?:@\S+ )?[a-z][\w.]*\.f64\b", compiled.asm["ptx"], re.MULTILINE))
    return Compiled(int(registers[1]), int(spilled[1]), compiled.metadata.shared, doubles, waits)
