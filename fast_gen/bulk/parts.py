"""Which part of many files a command makes, and by how many processes on which GPUs."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fast_gen.bulk.shard import WHOLE, Shard
from wavenet_app.core.cores import usable_cores
from wavenet_app.core.errors import UserError


@dataclass(frozen=True)
class Parts:
    """What `--shard`, `--processes` and `--devices` say.

    Attributes:
        shard: the part of the files that this command makes.
        processes: how many; None for one a core, or one a GPU.
        devices: GPUs, one process each, as in CUDA_VISIBLE_DEVICES; None for the engine's own choice.
    """

    shard: Shard = WHOLE
    processes: int | None = None
    devices: tuple[str, ...] | None = None

    @classmethod
    def of(cls, shard: str | None, processes: int | None, devices: str | None) -> Parts:
        """Returns what the options say.

        Raises:
            UserError: one of them is invalid, or two contradict each other.
        """
        gpus = None
        if devices is not None:
            gpus = tuple(devices.split(","))
            if not all(re.fullmatch(r"[0-9]{1,4}", gpu) for gpu in gpus) or len(set(gpus)) < len(gpus):
                raise UserError(f"--devices must be numbers of GPUs, such as 0,1, not {devices!r}")
            if processes is not None and processes < len(gpus):
                raise UserError(f"--devices {devices} needs at least {len(gpus)} processes; leave --processes out")
        return cls(Shard.parsed(shard), processes, gpus)

    def count(self, engine_device: str, threads: int) -> int:
        """Returns how many processes there are.

        Args:
            engine_device: "cpu" or "cuda".
            threads: of the CPU, for each engine.
        """
        if self.processes is not None:
            return self.processes
        if self.devices is not None:
            return len(self.devices)
        if engine_device == "cuda":
            return 1
        return max(1, usable_cores() // threads)
