"""Which device this machine computes on, and what its hardware multiplies."""

from __future__ import annotations

from wavenet_app.core.errors import UserError


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


def multiplies_bfloat16(device: str) -> bool:
    """Returns whether the hardware multiplies bfloat16 natively.

    Args:
        device: "cpu", "cuda" or "mps".
    """
    import torch

    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device == "cpu":
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return False
