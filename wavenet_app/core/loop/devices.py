"""The devices of a training on this machine: how many processes, and which GPU each one takes."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import torch

from wavenet_app.core.device_list import MOST_DEVICES, parsed_devices
from wavenet_app.core.errors import UserError
from wavenet_app.core.launch import Launch
from wavenet_app.core.runs import TrainingOptions

AnyOptions = TypeVar("AnyOptions", bound=TrainingOptions)

MOST_PROCESSES = 4  # more batches a step than that need settings of their own


def default_processes(device: str) -> int:
    """Returns how many ranks train on a device: one for each of PyTorch's threads up to four, one on a GPU."""
    return min(MOST_PROCESSES, torch.get_num_threads()) if device == "cpu" else 1


def on_devices(
    options: AnyOptions, device: str, launch: Launch | None = None
) -> tuple[AnyOptions, tuple[int, ...] | None]:
    """Returns the options with the number of processes that --devices stands for, and the GPU of each process.

    The GPUs are None on a CPU, and where nobody has chosen any.

    Args:
        options: of the user.
        device: "cpu", "cuda" or "mps".
        launch: the place of this process; with a launcher, nothing is left to decide.

    Raises:
        UserError: the machine lacks the devices, or the options contradict each other.
    """
    if launch is not None or options.devices is None:
        return options, None
    asked, gpus = parsed_devices(options.devices), None
    if device == "cuda":
        gpus = asked.gpus or tuple(range(asked.count or min(MOST_DEVICES, torch.cuda.device_count())))
        count = len(gpus)
        present = torch.cuda.device_count()
        if max(gpus) >= present:
            raise UserError(
                f"--devices {options.devices} needs GPU {max(gpus)} (counted from 0), but this machine has "
                f"{present} that can be used"
            )
    else:
        if asked.gpus is not None:
            raise UserError(
                f"--devices {options.devices} names CUDA GPUs, and this machine has none that can be used; "
                "--devices 2 trains in two processes on the CPU"
            )
        count = asked.count or default_processes(device)
        if device == "mps" and count > 1:
            raise UserError(
                f"--devices {options.devices} needs {count} devices, and this machine has one; leave it out"
            )
    options = options.with_ranks(count, f"--devices {options.devices} means {count} processes")
    return replace(options, placed=True), gpus


def refuse_processes(device: str, processes: int, *, placed: bool) -> None:
    """Refuses several processes on one GPU, and more than a machine can be expected to run.

    Args:
        device: "cpu", "cuda" or "mps".
        processes: of the training.
        placed: whether a launcher or --devices has given each one its place.

    Raises:
        UserError: they would share one GPU, or are too many.
    """
    if placed:
        return
    if device != "cpu" and processes > 1:
        raise UserError(
            f"training.processes={processes} would share one GPU; take --devices {processes} for a GPU each, or "
            "--set training.processes=1"
        )
    if processes > MOST_DEVICES:
        raise UserError(
            f"training.processes={processes} is more than the {MOST_DEVICES} that one machine runs; take "
            "--set training.processes=2, or a launcher such as torchrun for several machines"
        )
