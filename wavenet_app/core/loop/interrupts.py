"""SIGINT and SIGTERM as a request to stop after the current step."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def note_interrupts(on_interrupt: Callable[[str], None]) -> None:
    """Calls `on_interrupt` with the name of the first SIGINT or SIGTERM; a second one acts as usual.

    Does nothing outside the main thread, which is the only one that gets signals in Python.
    """

    def note(number: int, _frame: FrameType | None) -> None:
        on_interrupt(signal.Signals(number).name)
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            signal.signal(number, note)


@contextmanager
def handlers_restored() -> Iterator[None]:
    """Restores the caller's signal handlers on leaving."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
