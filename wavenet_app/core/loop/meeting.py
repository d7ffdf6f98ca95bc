"""Ranks that a launcher has started find each other, check that they fit together, and train as rank 0 says."""

from __future__ import annotations

import json
import os
import pickle
import platform
import re
import signal
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial

import torch
import torch.distributed
from torch.distributed import DistError, PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from wavenet_app.core.device import training_device
from wavenet_app.core.errors import UserError
from wavenet_app.core.launch import Launch
from wavenet_app.core.loop.interrupts import STOP_SIGNALS
from wavenet_app.core.loop.joining import MissingRanksError, join_ranks
from wavenet_app.core.loop.process_group import PATIENCE, ProcessGroup, StartRanks, backend_of, process_group
from wavenet_app.core.loop.slurm_address import slurm_address
from wavenet_app.core.version import __version__

JOIN = timedelta(seconds=120)
"""The longest that ranks wait for each other at the start."""

PREPARATION = timedelta(days=1)
"""The longest that the others wait for rank 0 to decode the recordings."""

Facts = Mapping[str, str]
"""What has to be equal on all ranks, by its name for the user."""

_TASK = "task"


class Meeting:
    """Rank 0 among ranks that a launcher has started.

    Args:
        launch: the place of this process.
        device: "cpu", "cuda" or "mps".
        store: that all ranks share.
    """

    def __init__(self, launch: Launch, device: str, store: Store) -> None:
        self.launch, self._device, self._store = launch, device, store
        self._sent = False

    @contextmanager
    def ranks(self, size: int, other_ranks: Callable[[ProcessGroup], object]) -> Iterator[ProcessGroup]:
        """Gives the others what they run, and yields the place of this process; see `process_group`.

        Args:
            size: ranks in all, which the launcher has decided.
            other_ranks: what each other rank runs; can be pickled.

        Raises:
            UserError: another rank ended.
        """
        assert size == self.launch.size
        try:
            self._send(pickle.dumps(other_ranks))
            yield ProcessGroup(0, size, device_index(self.launch, self._device))
        except RuntimeError as error:
            raise UserError(
                f"another rank of this training ended ({_reason(error)}); it says why in its own output. The "
                "checkpoints are whole: continue with --resume"
            ) from error

    def let_go(self) -> None:
        """Ends the others, if they still wait for their task, and leaves the group."""
        if not self._sent:
            with suppress(DistError, RuntimeError):  # the others may have ended
                self._send(None)
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()

    def _send(self, task: bytes | None) -> None:
        self._sent = True
        self._store.set(_TASK, "")
        torch.distributed.broadcast_object_list([task], src=0)


@contextmanager
def leading(launch: Launch | None, device: str, gpus: Sequence[int] | None = None) -> Iterator[StartRanks]:
    """Yields how the ranks of a training are started: in processes of this one, or as a launcher has done.

    Args:
        launch: the place of this process, which is rank 0; None for a process on its own.
        device: "cpu", "cuda" or "mps".
        gpus: number of the GPU of each process of this one; None on a CPU, and for Lightning's choice.

    Raises:
        UserError: a rank is missing, or does not fit to this one.
    """
    if launch is None:
        if gpus is not None:
            torch.cuda.set_device(gpus[0])  # what "cuda" means in this process
        yield partial(process_group, gpus=gpus)
        return
    meeting = Meeting(launch, device, meet(launch, device))
    try:
        yield meeting.ranks
    finally:
        meeting.let_go()


def follow(launch: Launch) -> None:
    """Trains as rank 0 says, until it says that the training is over; prints nothing.

    Raises:
        UserError: the ranks do not fit together, or this one or another one failed; says which rank on which host.
    """
    device = training_device()
    here = f"rank {launch.rank} on {socket.gethostname()}"
    store = meet(launch, device)
    try:
        store.wait([_TASK], PREPARATION)
        received: list[bytes | None] = [None]
        torch.distributed.broadcast_object_list(received, src=0)
        if received[0] is None:
            return
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # they reach every process, but rank 0 decides when to stop
        train = pickle.loads(received[0])  # noqa: S301 - written by rank 0 a moment ago
        train(ProcessGroup(launch.rank, launch.size, device_index(launch, device)))
        torch.distributed.destroy_process_group()
    except UserError as error:
        raise UserError(f"{here}: {error}") from None
    except FileNotFoundError as error:
        raise UserError(
            f"{here} does not find {error.filename}; the recordings or images, and the data folder, must be on a file "
            "system that all machines share, under the same path"
        ) from error
    except (RuntimeError, OSError, EOFError, AttributeError, ImportError, pickle.UnpicklingError) as error:
        raise UserError(f"{here} ended, because it failed or another rank ended: {_reason(error)}") from error


def meet(launch: Launch, device: str, join: timedelta = JOIN) -> Store:
    """Finds the other ranks, compares the versions of all, and makes the group that exchanges tensors.

    Args:
        launch: the place of this process.
        device: "cpu", "cuda" or "mps".
        join: the longest wait for the others.

    Returns:
        The store that all ranks share.

    Raises:
        UserError: a rank is missing after that time, or one has other versions or another device.
    """
    if device == "cuda":
        _take_gpu(launch)
    shared = _shared_store(launch, join)
    own = {"wavegen": __version__, "torch": torch.__version__, "Python": platform.python_version(), "device": device}
    try:
        store = join_ranks(shared, launch.rank, launch.size, join)
        store.set(f"facts-{launch.rank}", json.dumps({**own, "host": socket.gethostname()}))
        names = [f"facts-{rank}" for rank in range(launch.size)]
        store.wait(names, join)
        facts = [json.loads(store.get(name)) for name in names]
    except MissingRanksError as error:
        raise UserError(_missing(error.ranks, launch, join)) from None
    except DistError as error:
        raise UserError(f"lost the connection to rank 0: {_reason(error)}") from None
    problem = first_difference(facts)
    if problem is not None:
        raise UserError(problem)
    try:
        torch.distributed.init_process_group(
            backend_of(device),
            store=PrefixStore("group", store),
            rank=launch.rank,
            world_size=launch.size,
            timeout=PATIENCE,
        )
    except RuntimeError as error:  # DistError is one
        raise UserError(
            f"the ranks found each other, but cannot exchange tensors ({_reason(error)}); check that the machines "
            "reach each other on all ports, and name the network interface in GLOO_SOCKET_IFNAME or NCCL_SOCKET_IFNAME"
        ) from error
    return store


def first_difference(facts: Sequence[Facts]) -> str | None:
    """Returns in words what differs between rank 0 and the first rank that is different; None if all agree.

    >>> first_difference([{"torch": "2.11", "host": "a"}, {"torch": "2.13", "host": "b"}])
    'rank 0 on a has torch 2.11, and rank 1 on b has torch 2.13; install the same on all machines'
    """
    first = facts[0]
    for rank, other in enumerate(facts[1:], start=1):
        for name, value in first.items():
            if name != "host" and other.get(name) != value:
                return (
                    f"rank 0 on {first['host']} has {name} {value}, and rank {rank} on {other['host']} has {name} "
                    f"{other.get(name)}; install the same on all machines"
                )
    return None


def device_index(launch: Launch, device: str) -> int | None:
    """Returns the GPU of a rank; None without GPUs."""
    return launch.local_rank if device == "cuda" else None


def _take_gpu(launch: Launch) -> None:
    present = torch.cuda.device_count()
    if launch.local_rank >= present:
        raise UserError(
            f"this machine has {present} GPUs, but {launch.launcher} started process {launch.local_rank} on it "
            "(counted from 0); start as many processes on each machine as it has GPUs"
        )
    torch.cuda.set_device(launch.local_rank)


def _shared_store(launch: Launch, join: timedelta) -> Store:
    url = "env://" if launch.launcher == "torchrun" else slurm_address(os.environ)
    try:
        store, _, _ = next(rendezvous(url, launch.rank, launch.size, timeout=join))
    except (DistError, RuntimeError, ValueError, OSError) as error:
        raise UserError(
            f"rank {launch.rank} of {launch.size} cannot meet the others within {join.total_seconds():.0f} s "
            f"({_reason(error)}); check that all were started and that the address and port of rank 0 can be reached"
        ) from None
    assert isinstance(store, Store)
    return store


def _reason(error: Exception) -> str:
    """Returns the first sentence of an error of torch, without the line of its source and advice for programmers."""
    return re.sub(r"^\[[^]]*:\d+\] ", "", str(error).strip().partition("\n")[0].partition(". This ")[0])


def _missing(ranks: Sequence[int], launch: Launch, join: timedelta) -> str:
    listed = ", ".join(map(str, ranks[:8])) + (f" and {len(ranks) - 8} more" if len(ranks) > 8 else "")
    return (
        f"of {launch.size} ranks, {len(ranks)} did not start within {join.total_seconds():.0f} s ({listed}); "
        f"start all of them, or start fewer"
    )
