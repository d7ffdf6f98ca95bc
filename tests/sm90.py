"""The compiler of `benchmarks/gpu_compile.py`, for tests: compiles the GPU kernels for a chip that is not there."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

from gpu_compile import SHARED_BYTES, Compiled, compile_cluster, compile_for_h100, compile_for_training, plan_on

__all__ = ["SHARED_BYTES", "Compiled", "compile_cluster", "compile_for_h100", "compile_for_training", "plan_on"]
