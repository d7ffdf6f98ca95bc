"""How many cores of the CPU this process may use."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """Returns how many cores of the CPU this process may use, which a scheduler can limit to fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
