"""SIGINT, SIGTERM and SIGHUP as a request to stop after the current step."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

STOP_SIGNALS = tuple(
    signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if name in signal.Signals.__members__
)
"""What ends a training: Ctrl-C, kill, and a terminal that is closed; Windows has no SIGHUP."""


ONE_PRESS = 0.5
"""Seconds in which SIGINT counts once: timeout, make and others pass on what the process gets from the terminal too."""


def note_interrupts(on_interrupt: Callable[[str], None]) -> None:
    """Calls `on_interrupt` with the name of the first of `STOP_SIGNALS`; a second SIGINT or SIGTERM acts as usual.

    The name of SIGINT is Ctrl-C, which is what users press. A SIGINT within `ONE_PRESS` of the first is the same one.
    A closed terminal sends several SIGHUP, of which the later ones are ignored; under nohup all are. Does nothing
    outside the main thread, which is the only one that gets signals in Python.
    """

    def note(number: int, _frame: FrameType | None) -> None:
        on_interrupt("Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name)
        usual: dict[int, Any] = {
            signal.SIGINT: _interrupt_after(time.monotonic() + ONE_PRESS),
            signal.SIGTERM: signal.SIG_DFL,
        }
        signal.signal(number, usual.get(number, signal.SIG_IGN))

    if threading.current_thread() is threading.main_thread():
        for number in STOP_SIGNALS:
            if number in (signal.SIGINT, signal.SIGTERM) or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, note)


def _interrupt_after(begin: float) -> Callable[[int, FrameType | None], None]:
    """Returns a handler that ignores signals before a time of `time.monotonic`, and interrupts from then on."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        if time.monotonic() >= begin:
            signal.default_int_handler(number, frame)

    return interrupt


@contextmanager
def handlers_restored() -> Iterator[None]:
    """Restores the caller's signal handlers on leaving."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def ends_as_an_exit() -> Iterator[None]:
    """Makes SIGTERM and SIGHUP exits with 128 + their number, so that the block closes what it has open.

    A second one ends the process at once; under nohup SIGHUP stays ignored.
    """

    def leave(number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        raise SystemExit(128 + number)

    with handlers_restored():
        if threading.current_thread() is threading.main_thread():
            for number in STOP_SIGNALS:
                if number != signal.SIGINT and signal.getsignal(number) == signal.SIG_DFL:
                    signal.signal(number, leave)
        yield


def leave_interrupts_to_the_parent(_worker: int = 0) -> None:
    """Ignores Ctrl-C, which reaches every process of a terminal, while the training needs batches until it stops."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
