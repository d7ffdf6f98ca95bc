"""Several processes that make batches of clips; this one hands out the numbers and gets the manifest's lines."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from rich.console import Console

from fast_gen.bulk.worker import BulkJob, DoneBatch, Worker, ready_worker
from wavenet_app.core.errors import UserError
from wavenet_app.core.loop.interrupts import STOP_SIGNALS

NextBatch = Callable[[], range | None]
"""Returns the numbers of the next batch; None if there is none left."""


def batches_here(worker: Worker, next_batch: NextBatch) -> Generator[DoneBatch]:
    """Yields batches that this process makes."""
    while (numbers := next_batch()) is not None:
        yield worker.make(numbers)


def batches_of_processes(
    job: BulkJob, processes: int, devices: list[str] | None, next_batch: NextBatch
) -> Generator[DoneBatch]:
    """Yields batches that other processes make, as they are done; their order is not that of the numbers.

    On leaving, also early, each process finishes the batch that it is making.

    Args:
        job: what all clips have in common.
        processes: how many.
        devices: GPU of each process, as in CUDA_VISIBLE_DEVICES; None leaves that as it is.
        next_batch: called for each new batch.

    Raises:
        UserError: a process ended, or what `Worker.make` raises.
    """
    context = multiprocessing.get_context("spawn")
    places = context.SimpleQueue()
    for place in range(processes):
        places.put(None if devices is None else devices[place % len(devices)])
    pool = ProcessPoolExecutor(processes, context, initializer=_start, initargs=(job, places))
    running: set[Future[DoneBatch]] = set()

    def submit() -> None:
        if (numbers := next_batch()) is not None:
            running.add(pool.submit(_make, numbers))

    try:
        for _ in range(processes):
            submit()
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                batch = future.result()
                submit()
                yield batch
    except BrokenProcessPool:
        raise UserError(
            "a process that generates has ended; the clips so far are in the manifest, and the same command resumes"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


_worker: Worker | None = None
_job: BulkJob | None = None


def _start(job: BulkJob, places: multiprocessing.SimpleQueue[str | None]) -> None:
    global _job
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # the first process decides when to stop
    threading.Thread(target=_end_with_parent, daemon=True).start()
    device = places.get()
    if device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = device
    _job = job


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _make(numbers: range) -> DoneBatch:
    global _worker
    if _worker is None:  # here and not in `_start`, so that an error has its own words
        assert _job is not None
        _worker = ready_worker(_job, Console(quiet=True))
    return _worker.make(numbers)
