"""Several processes that take one optimizer step together: each has batches of its own, and gradients are averaged.

Small nets leave a second core idle: their operations are too short to be shared out among threads. A process for each
core keeps all of them busy, at the price of one sum over the gradients a step.
"""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch
import torch.distributed
from torch import Tensor, nn

from wavenet_app.core.errors import UserError

MOST_PROCESSES = 4  # more batches a step than that would want a recipe of their own
PATIENCE = timedelta(minutes=30)  # the longest that one process waits for another, who may be writing or previewing
_FAREWELL_SECONDS = 10.0


class ProcessGroup:
    """This process's place among those that train together.

    Attributes:
        rank: 0 for the leader, who decides, tells and writes.
        size: number of processes.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size

    @property
    def leads(self) -> bool:
        """Whether this process is the leader."""
        return self.rank == 0

    def average_gradients(self, model: nn.Module) -> None:
        """Replaces each gradient of the model by its mean over all processes.

        They are summed as one vector in the order of the parameters, so that the same gradients give the same bits
        at whatever step a run began.
        """
        if self.size == 1:
            return
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        together = torch.cat([gradient.flatten() for gradient in gradients])
        torch.distributed.all_reduce(together)
        together /= self.size
        pieces = together.split([gradient.numel() for gradient in gradients])
        for gradient, piece in zip(gradients, pieces, strict=True):
            gradient.copy_(piece.view_as(gradient))

    def leaders(self, values: Sequence[float]) -> list[float]:
        """Returns what the leader passed in, on every process."""
        return self._exchanged(values, lambda tensor: torch.distributed.broadcast(tensor, 0))

    def sums(self, values: Sequence[float]) -> list[float]:
        """Returns the sum of each value over all processes."""
        return self._exchanged(values, torch.distributed.all_reduce)

    def _exchanged(self, values: Sequence[float], exchange: Callable[[Tensor], object]) -> list[float]:
        if self.size == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64)
        exchange(tensor)
        return tensor.tolist()


def default_processes(device: str) -> int:
    """Returns how many processes train on a device: one for each of PyTorch's threads up to four, one on a GPU."""
    return min(MOST_PROCESSES, torch.get_num_threads()) if device == "cpu" else 1


@contextmanager
def process_group(size: int, follow: Callable[[ProcessGroup], object]) -> Iterator[ProcessGroup]:
    """Starts `size` - 1 followers beside this process, who leads; ends them on leaving.

    The threads of PyTorch are shared out among the processes; on leaving, this one has its own again.

    Args:
        size: processes in all; 1 starts none.
        follow: what each follower does, with its own copy of all that the callable holds; can be pickled.

    Raises:
        UserError: a follower failed or was ended from outside; it says how.
    """
    if size == 1:
        yield ProcessGroup()
        return
    threads = torch.get_num_threads()
    share = max(1, threads // size)
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        # pickled here, for what a process is handed by itself would share the leader's tensors, not copy them
        copy = pickle.dumps(follow)
        followers = [
            context.Process(target=_follower, args=(copy, Path(folder), rank, size, share), daemon=True)
            for rank in range(1, size)
        ]
        try:
            for follower in followers:
                follower.start()
            torch.set_num_threads(share)
            _join(Path(folder), 0, size)
            yield ProcessGroup(0, size)
            for follower in followers:
                follower.join(_FAREWELL_SECONDS)
        except RuntimeError as error:
            raise _explained(error, followers, Path(folder)) from error
        finally:
            torch.set_num_threads(threads)
            if torch.distributed.is_initialized():
                torch.distributed.destroy_process_group()
            for follower in followers:
                if follower.is_alive():
                    follower.kill()


def _follower(copy: bytes, folder: Path, rank: int, size: int, threads: int) -> None:
    # Ctrl-C reaches every process of a terminal; when to stop is for the leader to say
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    torch.set_num_threads(threads)
    try:
        _join(folder, rank, size)
        pickle.loads(copy)(ProcessGroup(rank, size))  # noqa: S301 - made by the leader a moment ago
    except Exception as error:  # noqa: BLE001 - the leader tells the user
        if folder.exists():
            (folder / f"failure-{rank}").write_text(f"{type(error).__name__}: {error}", encoding="utf-8")
        sys.exit(1)
    torch.distributed.destroy_process_group()


def _join(folder: Path, rank: int, size: int) -> None:
    store = torch.distributed.FileStore(str(folder / "meeting"), size)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=size, timeout=PATIENCE)


def _explained(error: RuntimeError, followers: Sequence[BaseProcess], folder: Path) -> Exception:
    """Returns what to raise for an error of the leader: the follower's own one, if that is where it began."""
    for follower in followers:
        # whoever is about to fail needs a moment to say so
        follower.join(1.0)
    told = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("failure-*"))]
    ended = [follower.exitcode for follower in followers if follower.exitcode not in (None, 0)]
    if not ended:
        return error
    reason = told[0] if told else f"it ended with exit code {ended[0]}"
    return UserError(
        f"another process of this training failed ({reason}); the checkpoints are whole: go on with --resume, "
        "or take a single process with --set training.processes=1"
    )
