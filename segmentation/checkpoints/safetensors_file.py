"""Reading of safetensors files: a length, a JSON header of names, types, shapes and places, then the numbers."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from wavenet_app.core.errors import UserError

SUFFIX = ".safetensors"

_LENGTH_BYTES = 8
_TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Returns the tensors of a file by name, on the CPU.

    Source: the format's description, https://huggingface.co/docs/safetensors.

    Raises:
        UserError: the file is absent, damaged or cut short, or holds a type of number that is not known here.
    """
    if not path.is_file():
        raise UserError(f"there is no checkpoint {path}")
    try:
        content = bytearray(path.read_bytes())
        numbers_begin = _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "little")
        header = json.loads(content[_LENGTH_BYTES:numbers_begin])
        numbers = memoryview(content)[numbers_begin:]
        return {name: _tensor(numbers, entry) for name, entry in header.items() if name != "__metadata__"}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path} cannot be read, it is damaged or cut short ({reason})") from None


def _tensor(numbers: memoryview, entry: dict[str, Any]) -> Tensor:
    kind, shape = entry["dtype"], entry["shape"]
    begin, end = entry["data_offsets"]
    if kind not in _TYPES:
        raise ValueError(f"unknown type {kind}")
    wanted = math.prod(shape) * _TYPES[kind].itemsize
    if not 0 <= begin <= end <= len(numbers) or end - begin != wanted:
        raise ValueError(f"a tensor of {wanted} bytes lies at {begin} to {end} of {len(numbers)}")
    if not wanted:
        return torch.empty(shape, dtype=_TYPES[kind])
    return torch.frombuffer(numbers[begin:end], dtype=_TYPES[kind]).reshape(shape)
