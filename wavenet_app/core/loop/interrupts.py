"""SIGINT and SIGTERM as a request to come to a clean end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def note_interrupts(on_interrupt: Callable[[str], None]) -> None:
    """Has the first SIGINT or SIGTERM told by its name; a second one acts as it always did.

    Outside the main thread, where Python takes no signals, nothing is changed.
    """

    def note(number: int, _frame: FrameType | None) -> None:
        on_interrupt(signal.Signals(number).name)
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

    if threading.current_thread() is threading.main_thread():
        for number in _SIGNALS:
            signal.signal(number, note)


@contextmanager
def handlers_restored() -> Iterator[None]:
    """Puts back the caller's signal handlers on leaving, whatever has been set within."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
