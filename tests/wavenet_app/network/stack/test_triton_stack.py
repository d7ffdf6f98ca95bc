"""Triton's kernels for training are the plain blocks, as far as the interpreter shows, and compile for GPUs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from wavenet_app.network.stack.triton_stack import unfit

ROOT = Path(__file__).parents[4]


@pytest.mark.parametrize("marks", ["not slow", pytest.param("slow", marks=pytest.mark.exhaustive)])
def test_the_interpreted_kernels(marks: str) -> None:
    pytest.importorskip("triton", reason="triton is not installed")
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/interpreted_layers.py", "-m", marks],
        env=os.environ | {"TRITON_INTERPRET": "1", "PYTHONPATH": "tests"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert " passed" in result.stdout


@pytest.mark.parametrize("kernel", ["layer_forward", "gate_backward", "taps_backward"])
@pytest.mark.parametrize(
    "capability", [90, *(pytest.param(chip, marks=pytest.mark.exhaustive) for chip in (80, 86, 89, 100, 120))]
)
def test_the_kernels_compile_for_gpus(kernel: str, capability: int) -> None:
    """For the preset base, in bfloat16, with tensor cores and within their registers, but for a few bytes."""
    pytest.importorskip("triton", reason="triton is not installed")
    from sm90 import compile_for_training

    compiled, ptx = compile_for_training(kernel, 64, 30, capability)
    assert compiled.shared_bytes < 99 * 1024
    assert compiled.spilled_bytes <= 16
    assert compiled.doubles == 0
    assert "mma" in ptx, "the products are taken on tensor cores"


def test_widths_that_the_kernels_do_not_take_are_named() -> None:
    assert unfit(64, 32) is None
    assert unfit(24, 32) == "the kernels take widths of 16, 32, 64 and so on, and model.residual_channels is 24"
    assert str(unfit(64, 8)).endswith("model.dilation_channels is 8")
