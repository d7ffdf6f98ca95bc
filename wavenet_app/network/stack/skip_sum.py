"""The sum of all skips of a stack of blocks, by compiled kernels where they run, else by PyTorch."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from wavenet_app.core.dilated import ResidualBlock
from wavenet_app.network.conditioning import Condition
from wavenet_app.network.stack.fused import SkipSum
from wavenet_app.network.stack.layout import NEVER_CHANGES, Held, needed_starts


def skip_sum(
    hidden: Tensor,
    blocks: Sequence[ResidualBlock],
    *,
    start: int = 0,
    product_dtype: torch.dtype = torch.float32,
    condition: Condition | None = None,
    in_triton: bool = False,
) -> Tensor:
    """Returns the sum of the skip outputs of a stack of gated, causal, one-dimensional blocks.

    Args:
        hidden: float32 (batch, time, residual_channels), channels last; before its first place all is zero.
        blocks: the stack, in order; only the last may lack the residual projection.
        start: first time step whose sum is wanted; earlier ones serve as context.
        product_dtype: arithmetic of the matrix products, float32 or bfloat16.
        condition: what is added to the gates of all blocks, already projected; its stretch begins where `hidden` does.
        in_triton: whether Triton's kernels compute it, which `triton_stack.unfit` must allow.

    Returns:
        (batch, time - start, skip_channels), channels last, in `product_dtype`.
    """
    parameters: list[Tensor] = []
    for block in blocks:
        assert block.skip is not None
        parameters += [block.dilated.weight, block.dilated.bias, block.skip.weight, block.skip.bias]  # type: ignore[list-item]
        if block.residual is not None:
            parameters += [block.residual.weight, block.residual.bias]  # type: ignore[list-item]
    dilations = tuple(block.dilated.dilation for block in blocks)
    kernel_size = blocks[0].dilated.weight.shape[2]
    unseen = needed_starts(kernel_size, dilations, start)[0]
    values, held = None, NEVER_CHANGES
    if condition is not None:
        values, held = condition.values, Held(condition.hold, condition.phase).later(unseen)
    arguments = (hidden[:, unseen:], values, held, dilations, start - unseen, product_dtype, *parameters)
    if in_triton:
        from wavenet_app.network.stack.triton_stack import TritonSkipSum

        return TritonSkipSum.apply(*arguments)
    if hidden.dtype == torch.float32 and missing_kernels(hidden.device.type, product_dtype) is None:
        from wavenet_app.network.stack.compiled import CompiledSkipSum

        return CompiledSkipSum.apply(*arguments)
    return SkipSum.apply(*arguments)


@cache
def missing_kernels(device: str, product_dtype: torch.dtype) -> str | None:
    """Returns why compiled kernels do not serve, or None where they do.

    The first call compiles them, unless that was done on this machine before.

    Args:
        device: "cpu", "cuda" or "mps".
        product_dtype: arithmetic of the matrix products.
    """
    if device != "cpu":
        return f"they are for the CPU, not for {device}"
    if product_dtype not in (torch.float32, torch.bfloat16):
        return f"they are for products in float32 and bfloat16, not in {product_dtype}"
    from wavenet_app.network.stack.compiled import compile_kernels

    try:
        return compile_kernels(product_dtype)
    except ImportError as error:
        return f"numba cannot be imported: {error}"


def kernels_to_compile(device: str, product_dtype: torch.dtype) -> str | None:
    """Returns a line for the user if the first call of `missing_kernels` waits for the compiler, or None."""
    if device != "cpu" or product_dtype not in (torch.float32, torch.bfloat16):
        return None
    from wavenet_app.network.stack.compiled import narrow_type
    from wavenet_app.network.stack.functions import CACHE, are_kept

    if importlib.util.find_spec("numba") is None:
        return None
    if CACHE.folder is None:
        return "compiling the kernels, which takes some seconds at each start: no folder to keep them can be written"
    return None if are_kept(narrow_type(product_dtype)) else "compiling the kernels, which takes some seconds, once"
