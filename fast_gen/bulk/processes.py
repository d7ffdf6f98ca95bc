"""Several processes that make files; this one hands out the tasks and gets the results."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.synchronize import Event
from typing import Any, TypeVar

from wavenet_app.core.errors import UserError
from wavenet_app.core.loop.interrupts import STOP_SIGNALS, ends_as_an_exit

Task = TypeVar("Task")
Result = TypeVar("Result")

IsStopped = Callable[[], bool]
"""Returns whether the work is to end early."""


def results_here(make: Callable[[Task], Result], next_task: Callable[[], Task | None]) -> Generator[Result]:
    """Yields the results of tasks that this process does.

    Args:
        make: does a task.
        next_task: returns another task at each call; None if there is none left.
    """
    while (task := next_task()) is not None:
        yield make(task)


def results_of_processes(
    ready: Callable[[IsStopped], Callable[[Task], Result]],
    processes: int,
    devices: list[str] | None,
    next_task: Callable[[], Task | None],
    on_late: Callable[[Result], None],
) -> Generator[Result]:
    """Yields the results of tasks that other processes do, as they are done; their order is not that of the tasks.

    On leaving, also early, it waits until each process has ended its task; a task that takes long should ask
    `IsStopped`. SIGTERM and SIGHUP are exits meanwhile; see `ends_as_an_exit`.

    Args:
        ready: called in each process before its first task; returns what does the tasks. Can be pickled.
        processes: how many.
        devices: GPU of each process, as in CUDA_VISIBLE_DEVICES; None leaves that as it is.
        next_task: called for each new task; returns None if there is none left.
        on_late: called for the results of tasks that end after the generator is closed early.

    Raises:
        UserError: a process ended, or what a task raises.
    """
    context = multiprocessing.get_context("spawn")
    places, stop = context.SimpleQueue(), context.Event()
    for place in range(processes):
        places.put(None if devices is None else devices[place % len(devices)])
    pool = ProcessPoolExecutor(processes, context, initializer=_start, initargs=(ready, places, stop))
    running: set[Future[Result]] = set()

    def submit() -> None:
        if (task := next_task()) is not None:
            running.add(pool.submit(_make, task))

    with ends_as_an_exit():
        try:
            for _ in range(processes):
                submit()
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    result = future.result()
                    submit()
                    yield result
        except BrokenProcessPool:
            raise UserError(
                "a process that generates has ended; what is complete is in the manifest, and the same command resumes"
            ) from None
        finally:
            stop.set()
            for future in running:
                future.cancel()
            late = [future for future in wait(running).done if not future.cancelled() and future.exception() is None]
            pool.shutdown(cancel_futures=True)
            for future in late:
                on_late(future.result())


_ready: Callable[[IsStopped], Callable[[Any], Any]] | None = None
_stop: Event | None = None
_do: Callable[[Any], Any] | None = None


def _start(
    ready: Callable[[IsStopped], Callable[[Any], Any]], places: multiprocessing.SimpleQueue[str | None], stop: Event
) -> None:
    global _ready, _stop
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # the first process decides when to stop
    threading.Thread(target=_end_with_parent, daemon=True).start()
    device = places.get()
    if device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = device
    _ready, _stop = ready, stop


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _make(task: Any) -> Any:
    global _do
    if _do is None:  # here and not in `_start`, so that an error has its own words
        assert _ready is not None
        assert _stop is not None
        _do = _ready(_stop.is_set)
    return _do(task)
