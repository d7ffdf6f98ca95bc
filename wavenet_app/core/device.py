"""Which device this machine computes on, and in which precision it multiplies faster."""

from __future__ import annotations

import time
from functools import cache
from typing import TYPE_CHECKING

from wavenet_app.core.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

_ROUNDS = 20
_GAIN = 1.2  # less does not pay for converting to bfloat16 and back


def training_device() -> str:
    """Returns "cuda", "mps" or "cpu": the first that this machine has, as Lightning chooses.

    Raises:
        UserError: torch finds a GPU that cannot compute; the CPU takes so much longer that the user must choose it.
    """
    import torch

    if torch.cuda.is_available():
        try:
            torch.zeros(1, device="cuda")
        except (RuntimeError, AssertionError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise UserError(
                f"the GPU cannot be used ({reason}); fix that, or use the CPU by setting CUDA_VISIBLE_DEVICES=-1"
            ) from None
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def bfloat16_is_faster(device: str) -> bool:
    """Returns whether matrix products in bfloat16 are faster than those in float32.

    Args:
        device: "cpu", "cuda" or "mps".
    """
    import torch

    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device == "cpu":
        return torch.cpu._is_amx_tile_supported() or (torch.cpu._is_avx512_bf16_supported() and _measured_faster())
    return False


@cache
def _measured_faster() -> bool:
    """Times a small product on the CPU: with AVX512 alone, some processors take twice as long in bfloat16."""
    import torch

    wide, narrow = torch.ones(2_048, 64), torch.ones(64, 64)
    pairs = [(wide.to(dtype), narrow.to(dtype)) for dtype in (torch.float32, torch.bfloat16)]
    rounds = [[_seconds(left, right) for left, right in pairs] for _ in range(_ROUNDS)]
    float32, bfloat16 = (min(times) for times in zip(*rounds, strict=True))
    return float32 > _GAIN * bfloat16


def _seconds(left: Tensor, right: Tensor) -> float:
    began = time.perf_counter()
    left @ right
    return time.perf_counter() - began
