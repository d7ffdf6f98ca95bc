"""Files of `torch.save`, read safely: nothing in them runs, and a flipped bit is noticed. Knows no format of ours."""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
import zlib
from argparse import Namespace
from pathlib import Path
from typing import Any

from wavenet_app.core.errors import UserError
from wavenet_app.core.tensors import named_tensors

MOST_EXPANSION = 4
"""How many times its size a file may take in memory: tensors may share their numbers."""

_ZIP_START = b"PK\x03\x04"


def read_tensors(path: Path) -> Any:
    """Returns what `torch.save` wrote, tensors on the CPU. Nothing in the file is ever executed.

    numpy's numbers, in which training scripts keep their best score, and argparse's Namespace, in which they keep their
    options, are plain values too. Files of torch's zip format carry
    a checksum of each part, which torch does not check; here it is. Older files without checksums are read as well.

    Raises:
        UserError: the file is absent, damaged, cut short, or holds anything but tensors and plain values.
    """
    import torch

    if not path.is_file():
        raise UserError(f"there is no file {path}")
    _check_parts(path)
    try:
        with torch.serialization.safe_globals([Namespace, *_numbers_of_numpy()]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about old kinds of tensors
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        refused = re.search(r"GLOBAL ([\w.]+)", str(error))
        if refused is None:
            reason = (
                "it is no checkpoint or saved tensor, or holds more than tensors and plain values "
                "(such a file could run code)"
            )
        else:
            reason = (
                f"it holds {refused[1]}, and loading other than tensors and plain values could run code; "
                "save the model's state_dict() alone, with the software that wrote the file"
            )
        raise UserError(f"{path} was refused: {reason}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or 'it is damaged or cut short'}") from None
    except Exception:  # noqa: BLE001 - torch raises errors of any kind on a damaged file, with advice to load it unsafely
        raise _damaged(path) from None
    _check_sizes(path, content)
    return content


def _check_sizes(path: Path, content: Any) -> None:
    """Raises a UserError if tensors are not plain ones, or hold more together than the file can.

    A tensor of a few bytes can stand for terabytes: its shape repeats the same number.
    """
    import torch

    storages: dict[int, int] = {}
    tensor_bytes = 0
    for _, tensor in named_tensors(content):
        for kind, is_it in (
            ("sparse", tensor.layout != torch.strided),
            ("quantized", tensor.is_quantized),
            ("nested", tensor.is_nested),
            ("empty", tensor.device.type != "cpu"),
        ):
            if is_it:
                raise UserError(f"{path} holds a {kind} tensor where a plain one is expected")
        tensor_bytes += tensor.numel() * tensor.element_size()
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
    storage_bytes = sum(storages.values())
    size = path.stat().st_size
    if storage_bytes > size or tensor_bytes > MOST_EXPANSION * size:
        raise UserError(
            f"{path} has {size:,} bytes, but its tensors would take {max(tensor_bytes, storage_bytes):,}; "
            f"at most {MOST_EXPANSION} times the size of the file is read"
        )


def _check_parts(path: Path) -> None:
    """Raises a UserError if a part of a zip file does not match its checksum."""
    try:
        with path.open("rb") as file:
            if file.read(len(_ZIP_START)) != _ZIP_START:
                return
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(part.file_size for part in archive.infolist())
            damaged = archive.testzip() if unpacked <= MOST_EXPANSION * path.stat().st_size else None
    except (zipfile.BadZipFile, zlib.error, RuntimeError, ValueError, EOFError, OverflowError):
        raise _damaged(path) from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or 'it is damaged or cut short'}") from None
    if unpacked > MOST_EXPANSION * path.stat().st_size:
        raise UserError(f"{path} would unpack to {unpacked:,} bytes; at most {MOST_EXPANSION} times its size is read")
    if damaged is not None:
        raise _damaged(path)


def _damaged(path: Path) -> UserError:
    return UserError(f"{path} cannot be read: it is damaged or cut short")


def _numbers_of_numpy() -> list[Any]:
    """Returns what rebuilds a number of numpy, and nothing else, under the names that numpy 1 and numpy 2 write."""
    import numpy as np

    rebuild = np.float64(0).__reduce__()[0]
    return [
        (rebuild, "numpy.core.multiarray.scalar"),
        (rebuild, "numpy._core.multiarray.scalar"),
        np.dtype,
        *(type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64, np.int32)),
    ]
