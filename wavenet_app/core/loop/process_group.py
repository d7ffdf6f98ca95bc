"""Several ranks (processes) that take one optimizer step together, each on its own batches, with averaged gradients.

Small nets leave a second core idle: their operations are too short to divide among threads. A rank for each core keeps
all of them busy, at the price of one sum over the gradients a step.
"""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch
import torch.distributed
from torch import Tensor, nn

from wavenet_app.core.errors import UserError
from wavenet_app.core.loop.interrupts import STOP_SIGNALS

PATIENCE = timedelta(minutes=30)  # the longest that one rank waits for another, which may be writing or previewing
_JOIN_SECONDS = 10.0


class ProcessGroup:
    """This process's place among the ranks that train together.

    Attributes:
        rank: 0 to size - 1; rank 0 decides, reports and writes.
        size: number of ranks.
        device_index: GPU of this process; None for Lightning's choice.
    """

    def __init__(self, rank: int = 0, size: int = 1, device_index: int | None = None) -> None:
        self.rank, self.size, self.device_index = rank, size, device_index

    @property
    def is_rank_zero(self) -> bool:
        """Whether this process decides, reports and writes."""
        return self.rank == 0

    def own_sum(self, loss: Tensor, weight: Tensor) -> Tensor:
        """Returns what this rank differentiates: the total loss of its batch, or the mean if it is the only rank.

        Totals add up to the total over all ranks, also where a layer, such as synchronised batch norm, exchanges
        gradients itself; means of batches that hold different numbers of samples do not.

        Args:
            loss: mean loss of this rank's batch, shape ().
            weight: how much the batch holds, such as its number of samples, shape (); 0 for a batch that holds nothing.
        """
        return loss if self.size == 1 else loss * weight

    def average_gradients(self, model: nn.Module, loss: Tensor, weight: Tensor) -> Tensor:
        """Replaces each gradient of the model, of `own_sum`, by that of the mean loss over the batches of all ranks.

        Everything is summed as one vector in the order of the parameters, so that the same gradients give the same
        bits at whatever step a run began.

        Args:
            model: after the backward pass.
            loss: mean loss of this rank's batch, shape ().
            weight: how much the batch holds, such as its number of samples, shape (); 0 for a batch that holds nothing.

        Returns:
            The mean loss over the batches of all ranks, shape ().
        """
        if self.size == 1:
            return loss
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        weight = weight.to(loss)
        totals = [*(gradient.flatten() for gradient in gradients), (loss * weight).view(1), weight.view(1)]
        together = torch.cat(totals)
        torch.distributed.all_reduce(together)
        together /= together[-1].clamp(min=torch.finfo(together.dtype).tiny)
        *pieces, mean, _ = together.split([*(gradient.numel() for gradient in gradients), 1, 1])
        for gradient, piece in zip(gradients, pieces, strict=True):
            gradient.copy_(piece.view_as(gradient))
        return mean.view(())

    def broadcast(self, values: Sequence[float]) -> list[float]:
        """Returns the values of rank 0, on every rank."""
        return self._exchanged(values, lambda tensor: torch.distributed.broadcast(tensor, 0))

    def sum(self, values: Sequence[float]) -> list[float]:
        """Returns the sum of each value over all ranks."""
        return self._exchanged(values, torch.distributed.all_reduce)

    def _exchanged(self, values: Sequence[float], exchange: Callable[[Tensor], object]) -> list[float]:
        if self.size == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64)
        exchange(tensor)
        return tensor.tolist()


StartRanks = Callable[[int, Callable[[ProcessGroup], object]], AbstractContextManager[ProcessGroup]]
"""Has ranks 1 and up run what it is given, and yields the place of this process, which is rank 0."""


@contextmanager
def process_group(
    size: int, other_ranks: Callable[[ProcessGroup], object], gpus: Sequence[int] | None = None
) -> Iterator[ProcessGroup]:
    """Starts ranks 1 to `size` - 1 beside this process, which is rank 0; ends them on leaving.

    The threads of PyTorch are divided among the ranks; on leaving, this process has all of its threads again.

    Args:
        size: ranks in all; 1 starts no process.
        other_ranks: what each started rank runs, on its own copy of all that the callable holds; can be pickled.
        gpus: number of the GPU of each rank; None on a CPU, and for Lightning's choice.

    Raises:
        UserError: another rank failed or was killed; the message says how.
    """
    own_gpus = [None] * size if gpus is None else list(gpus)
    if size == 1:
        yield ProcessGroup(device_index=own_gpus[0])
        return
    threads = torch.get_num_threads()
    share = max(1, threads // size)
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        # pickled here, because multiprocessing would share the tensors of this process instead of copying them
        copy = pickle.dumps(other_ranks)
        processes = [
            context.Process(target=_run_rank, args=(copy, Path(folder), rank, size, share, own_gpus[rank]), daemon=True)
            for rank in range(1, size)
        ]
        try:
            for process in processes:
                process.start()
            torch.set_num_threads(share)
            _join(Path(folder), 0, size, own_gpus[0])
            yield ProcessGroup(0, size, own_gpus[0])
            for process in processes:
                process.join(_JOIN_SECONDS)
        except RuntimeError as error:
            raise explained(error, processes, Path(folder)) from error
        finally:
            torch.set_num_threads(threads)
            if torch.distributed.is_initialized():
                torch.distributed.destroy_process_group()
            for process in processes:
                if process.is_alive():
                    process.kill()


def _run_rank(copy: bytes, folder: Path, rank: int, size: int, threads: int, gpu: int | None) -> None:
    # Ctrl-C reaches every process of a terminal, but rank 0 decides when to stop
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    torch.set_num_threads(threads)
    try:
        _join(folder, rank, size, gpu)
        pickle.loads(copy)(ProcessGroup(rank, size, gpu))  # noqa: S301 - written by rank 0 a moment ago
    except Exception as error:  # noqa: BLE001 - rank 0 reports it
        if folder.exists():
            # a UserError is rank 0's to raise as it is; see `explained`
            text = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            name = f"{'refusal' if isinstance(error, UserError) else 'failure'}-{rank}"
            (folder / name).write_text(text, encoding="utf-8")
        sys.exit(1)
    torch.distributed.destroy_process_group()


def _join(folder: Path, rank: int, size: int, gpu: int | None) -> None:
    if gpu is not None:
        torch.cuda.set_device(gpu)  # what "cuda" means in this process
    store = torch.distributed.FileStore(str(folder / "meeting"), size)
    backend = backend_of("cpu" if gpu is None else "cuda")
    torch.distributed.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=PATIENCE)


def backend_of(device: str) -> str:
    """Returns which libraries exchange tensors: NCCL those of GPUs, gloo all others."""
    return "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo"


def explained(error: RuntimeError, processes: Sequence[BaseProcess], folder: Path) -> Exception:
    """Returns what to raise for an error of rank 0: the error of another rank, if that came first."""
    # a rank that fails closes its connections before it has ended, so rank 0 may notice before the reason is written
    wait([process.sentinel for process in processes], _JOIN_SECONDS)
    for process in processes:
        process.join(1.0)
    refusals = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("refusal-*"))]
    if refusals:
        return UserError(refusals[0])
    reasons = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("failure-*"))]
    ended = [process.exitcode for process in processes if process.exitcode not in (None, 0)]
    if not ended:
        return error
    reason = reasons[0] if reasons else f"it ended with exit code {ended[0]}"
    return UserError(
        f"another rank of this training failed ({reason}); the checkpoints are whole: continue with --resume, "
        "or train in one process with --set training.processes=1"
    )
