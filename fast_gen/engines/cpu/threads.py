"""Jobs that run at the same time, in threads that end with the call; and counters by which two wait for each other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

LEADER, HELPER, STOP = 0, 8, 16
"""Places in the counters: what the leading thread and its helper have done; not 0 once one of them gives up."""


def first_flags() -> NDArray[np.int64]:
    """Returns counters at zero, by which the two threads of `fast_gen.engines.cpu.flags` wait for each other."""
    return np.zeros(24, np.int64)


def run_together(jobs: Sequence[Callable[[], None]], give_up: Callable[[], None] | None = None) -> None:
    """Runs the first job in this thread and each other one in a thread of its own, until all have ended.

    Args:
        jobs: must end by themselves once `give_up` was called.
        give_up: called when the first job has ended, however it did, and when another one fails.

    Raises:
        BaseException: what the first job, or else another, raised; all have ended by then.
    """
    errors: list[BaseException] = []

    def stop() -> None:
        if give_up is not None:
            give_up()

    def guarded(job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:  # noqa: BLE001 - it is raised again where all threads have ended
            errors.append(error)
            stop()

    threads = [threading.Thread(target=guarded, args=(job,), daemon=True) for job in jobs[1:]]
    interrupted: KeyboardInterrupt | None = None
    try:
        for thread in threads:
            thread.start()
        jobs[0]()
    finally:
        stop()
        for thread in threads:
            while thread.is_alive():
                try:
                    thread.join()
                except KeyboardInterrupt as error:
                    interrupted = error
    if interrupted is not None:
        raise interrupted
    if errors:
        raise errors[0]
