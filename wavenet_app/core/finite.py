"""Whether tensors hold finite numbers only: weights with NaN or infinity are neither written nor used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def not_finite(content: Any, name: str = "") -> str | None:
    """Returns the name of the first tensor with NaN or infinity, None if every tensor is finite.

    Args:
        content: a tensor, or dicts and lists of tensors and plain values; plain numbers are not looked at.
        name: of `content`; the names of nested values follow it, joined by dots.
    """
    import torch

    if isinstance(content, torch.Tensor):
        return None if bool(torch.isfinite(content).all()) else name
    items = content.items() if isinstance(content, Mapping) else enumerate(content) if isinstance(content, list) else ()
    prefix = f"{name}." if name else ""
    return next((found for key, value in items if (found := not_finite(value, f"{prefix}{key}")) is not None), None)
