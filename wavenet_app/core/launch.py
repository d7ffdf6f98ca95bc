"""The place of this process among others that a launcher has started, such as torchrun or SLURM's srun.

Found in the environment alone, so that a command can ask before it imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from wavenet_app.core.errors import UserError
from wavenet_app.core.text import whole_number

MOST_RANKS = 2**16


@dataclass(frozen=True)
class Launch:
    """One of the processes that train together.

    Attributes:
        rank: 0 to size - 1; rank 0 decides, reports and writes.
        local_rank: the same among those of this machine; also the number of its GPU.
        size: processes on all machines.
        launcher: "torchrun" or "slurm".
        restarts: how often the launcher has started all of them again.
        nodes: number of machines; None if the launcher does not say.
    """

    rank: int
    local_rank: int
    size: int
    launcher: str
    restarts: int = 0
    nodes: int | None = None


_TORCHRUN = {"rank": "RANK", "local_rank": "LOCAL_RANK", "size": "WORLD_SIZE"}
_SLURM = {"rank": "SLURM_PROCID", "local_rank": "SLURM_LOCALID", "size": "SLURM_NTASKS"}
_NODES = {"torchrun": "GROUP_WORLD_SIZE", "slurm": "SLURM_STEP_NUM_NODES"}


def found_launch(environment: Mapping[str, str]) -> Launch | None:
    """Returns the place that a launcher has given to this process; None without a launcher, or for a single process.

    A SLURM job that has several tasks counts only within `srun`, which numbers them as steps.

    Raises:
        UserError: the launcher's variables are incomplete or contradict each other.

    >>> found_launch({"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2"})
    Launch(rank=1, local_rank=1, size=2, launcher='torchrun', restarts=0, nodes=None)
    """
    if {"RANK", "WORLD_SIZE"} <= environment.keys():
        names, launcher = _TORCHRUN, "torchrun"
    elif {"SLURM_PROCID", "SLURM_STEP_ID"} <= environment.keys():
        names, launcher = _SLURM, "slurm"
    else:
        return None
    numbers = {}
    for field, name in names.items():
        number = whole_number(environment.get(name, ""), MOST_RANKS)
        if number is None:
            raise UserError(
                f"{launcher} gives each process {name}, a whole number, and here it is "
                f"{environment.get(name, 'not set')!r}; start the training with torchrun or srun, or unset "
                f"{', '.join(names.values())}"
            )
        numbers[field] = number
    if not numbers["local_rank"] <= numbers["rank"] < numbers["size"]:
        raise UserError(
            f"{launcher} gave this process {names['rank']}={numbers['rank']} of {names['size']}={numbers['size']} and "
            f"{names['local_rank']}={numbers['local_rank']}, which contradict each other"
        )
    restarts = whole_number(environment.get("TORCHELASTIC_RESTART_COUNT", "0"), MOST_RANKS) or 0
    nodes = whole_number(environment.get(_NODES[launcher], ""), MOST_RANKS)
    return Launch(**numbers, launcher=launcher, restarts=restarts, nodes=nodes) if numbers["size"] > 1 else None
