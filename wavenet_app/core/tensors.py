"""Tensors in nested plain values, and whether they hold finite numbers only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


def named_tensors(content: Any) -> Iterator[tuple[str, Tensor]]:
    """Yields each tensor once, in order, with the keys that lead to it, joined by dots.

    Args:
        content: a tensor, or dicts, lists and tuples of tensors and other values, however they are nested.
    """
    import torch

    left, seen = [("", content)], set()
    while left:
        name, item = left.pop()
        if isinstance(item, dict | list | tuple | torch.Tensor):
            if id(item) in seen:  # a file can hold a list that holds itself
                continue
            seen.add(id(item))
        if isinstance(item, torch.Tensor):
            yield name, item
        elif isinstance(item, dict | list | tuple):
            items = list(item.items() if isinstance(item, dict) else enumerate(item))
            left += [(f"{name}.{key}" if name else str(key), value) for key, value in reversed(items)]


def not_finite(content: Any) -> str | None:
    """Returns the name of the first tensor with NaN or infinity, as `named_tensors` names it; None if there is none."""
    import torch

    def finite(tensor: Tensor) -> bool:
        # PyTorch cannot ask this of floats of eight bits
        wide = tensor.float() if tensor.is_floating_point() and tensor.element_size() == 1 else tensor
        return bool(torch.isfinite(wide).all())

    return next((name for name, tensor in named_tensors(content) if not finite(tensor)), None)
