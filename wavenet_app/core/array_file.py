"""Files of numpy's arrays, read safely: nothing in them runs, and every damage is one kind of error."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray


class DamagedArrayError(Exception):
    """A file that is no array of numpy, or is damaged or cut short."""


def read_array(path: Path) -> NDArray[Any]:
    """Returns the array of a `.npy` file as a read-only memory map.

    Raises:
        OSError: the file is absent or cannot be opened.
        DamagedArrayError: it holds something else, is damaged or cut short.
    """
    import numpy as np

    with path.open("rb"):  # what stops the system is not the file's fault
        pass
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # noqa: BLE001 - numpy raises errors of any kind on a damaged header
        raise DamagedArrayError(str(error)) from None
    if not isinstance(array, np.ndarray):
        array.close()
        raise DamagedArrayError("it is an archive of arrays")
    return array


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Returns the arrays of a `.npz` file by name; every one has a checksum.

    Raises:
        OSError: the file is absent or cannot be opened.
        DamagedArrayError: it holds something else, or is damaged or cut short.
    """
    import numpy as np

    with path.open("rb") as file:
        try:
            with np.load(file, allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}
        except Exception as error:  # noqa: BLE001 - numpy raises errors of any kind on a damaged header
            raise DamagedArrayError(str(error)) from None
