"""Safetensors files: a length, a JSON header of names, types, shapes and places, then the numbers.

Source: the format's description, https://huggingface.co/docs/safetensors.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from wavenet_app.core.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

SUFFIX = ".safetensors"
METADATA = "__metadata__"
"""Entry of the header that is no tensor: texts by name."""

_LENGTH_BYTES = 8
_ALIGNMENT = 8
_TYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}


class Parts(NamedTuple):
    """A file taken apart, its tensors not yet made.

    Attributes:
        metadata: texts by name.
        entries: type, shape and place of each tensor, unchecked.
        numbers: the bytes of all tensors.
    """

    metadata: dict[str, Any]
    entries: dict[str, Any]
    numbers: memoryview


def read_parts(path: Path) -> Parts:
    """Returns the header and the bytes of a file, without importing torch.

    Raises:
        UserError: the file is absent, or has no such header.
    """
    if not path.is_file():
        raise UserError(f"there is no checkpoint {path}")
    try:
        content = bytearray(path.read_bytes())
        numbers_begin = _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "little")
        header = json.loads(content[_LENGTH_BYTES:numbers_begin])
        metadata = header.pop(METADATA, {})
        return Parts(dict(metadata), header, memoryview(content)[numbers_begin:])
    except (OSError, ValueError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise _damaged(path, error) from None


def tensors_of(path: Path, parts: Parts) -> dict[str, Tensor]:
    """Returns the tensors of a file that was taken apart, by name, on the CPU.

    Raises:
        UserError: an entry does not fit the bytes, or is of a type of number that is not known here.
    """
    try:
        tensors = {name: _tensor(parts.numbers, entry) for name, entry in parts.entries.items()}
        if sum(tensor.nbytes for tensor in tensors.values()) > len(parts.numbers):
            raise ValueError("tensors overlap")  # a small file could stand for any amount of memory
        return tensors
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError, OverflowError) as error:
        raise _damaged(path, error) from None


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Returns the tensors of a file by name, on the CPU.

    Raises:
        UserError: the file is absent, damaged or cut short, or holds a type of number that is not known here.
    """
    return tensors_of(path, read_parts(path))


def bfloat16_parts(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Any], bytes]:
    """Returns the entries of tensors for the header, and their numbers, rounded to bfloat16."""
    import torch

    entries, numbers = {}, bytearray()
    for name, tensor in tensors.items():
        content = tensor.detach().to("cpu", torch.bfloat16).contiguous().view(torch.int16).numpy().tobytes()
        places = [len(numbers), len(numbers) + len(content)]
        entries[name] = {"dtype": "BF16", "shape": list(tensor.shape), "data_offsets": places}
        numbers += content
    return entries, bytes(numbers)


def file_of(metadata: Mapping[str, str], entries: Mapping[str, Any], numbers: bytes) -> bytes:
    """Returns the bytes of a file."""
    header = json.dumps({METADATA: dict(metadata), **entries}, separators=(",", ":")).encode()
    header += b" " * (-len(header) % _ALIGNMENT)
    return len(header).to_bytes(_LENGTH_BYTES, "little") + header + numbers


def _tensor(numbers: memoryview, entry: dict[str, Any]) -> Tensor:
    import torch

    kind, shape = entry["dtype"], entry["shape"]
    begin, end = entry["data_offsets"]
    if kind not in _TYPES:
        raise ValueError(f"unknown type {kind}")
    dtype: torch.dtype = getattr(torch, _TYPES[kind])
    wanted = math.prod(shape) * dtype.itemsize
    if not 0 <= begin <= end <= len(numbers) or end - begin != wanted:
        raise ValueError(f"a tensor of {wanted} bytes lies at {begin} to {end} of {len(numbers)}")
    if not wanted:
        return torch.empty(shape, dtype=dtype)
    return torch.frombuffer(numbers[begin:end], dtype=dtype).reshape(shape)


def _damaged(path: Path, error: Exception) -> UserError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return UserError(f"{path} cannot be read, it is damaged or cut short ({reason})")
