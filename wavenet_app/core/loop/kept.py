"""What to say of a training that an interrupt ends: what is kept, what is not measured, and the next command."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from wavenet_app.core.loop.plan import FitPlan
from wavenet_app.core.options import NOTHING_TRAINED
from wavenet_app.core.runs import LAST


@contextmanager
def explained(explanation: Callable[[], str]) -> Iterator[None]:
    """Gives a KeyboardInterrupt a text for the user, unless it has one.

    Args:
        explanation: returns the text; called at the interrupt.
    """
    try:
        yield
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(str(stop) or explanation()) from None


@contextmanager
def kept_explained(plan: FitPlan, command: str) -> Iterator[None]:
    """Gives a KeyboardInterrupt during the steps the last checkpoint and the command that trains on.

    A folder that only took the run's name is removed.

    Args:
        plan: of the run.
        command: that trains, such as "train".
    """

    def kept() -> str:
        last = plan.run_dir / LAST
        if last.exists():
            return (
                f"stopped; {last} is kept; train on with: wavegen {command} --resume {shlex.quote(plan.run_dir.name)}"
            )
        with suppress(OSError):  # it holds something
            plan.run_dir.rmdir()
        return NOTHING_TRAINED

    with explained(kept):
        yield
