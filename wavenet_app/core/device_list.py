"""The devices that a user names, such as 2, 0,1 or auto; understood before torch is imported."""

from __future__ import annotations

from dataclasses import dataclass

from wavenet_app.core.errors import UserError
from wavenet_app.core.text import whole_number

MOST_DEVICES = 64


@dataclass(frozen=True)
class DeviceList:
    """What --devices says; both None for auto.

    Attributes:
        count: number of processes; None where GPUs are named or counted.
        gpus: number of each GPU, a process for each; None where they are not named.
    """

    count: int | None = None
    gpus: tuple[int, ...] | None = None


def parsed_devices(text: str) -> DeviceList:
    """Returns what --devices says.

    Raises:
        UserError: it is no number, list of numbers or auto.

    >>> [parsed_devices(text) for text in ("auto", "2", "0,3", "1,")]
    [DeviceList(count=None, gpus=None), DeviceList(count=2, gpus=None), DeviceList(count=None, gpus=(0, 3)), \
DeviceList(count=None, gpus=(1,))]
    """
    if text == "auto":
        return DeviceList()
    parts = text.removesuffix(",").split(",")
    numbers = [whole_number(part.strip(), 10 * MOST_DEVICES) for part in parts]
    known = [number for number in numbers if number is not None]
    if len(known) == len(numbers):
        if "," not in text and 1 <= known[0] <= MOST_DEVICES:
            return DeviceList(count=known[0])
        if "," in text and len(set(known)) == len(known) <= MOST_DEVICES:
            return DeviceList(gpus=tuple(known))
    raise UserError(
        f"--devices takes a number of processes from 1 to {MOST_DEVICES}, such as 2, different GPUs, such as 0,1 "
        f"(0, for the first alone), or auto, not {text!r}"
    )
