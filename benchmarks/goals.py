"""What the engines are to reach, held against what a benchmark has measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from told import SAMPLE_RATE

EXACT = ("float32",)
REDUCED = ("bfloat16", "int8")


class Row(NamedTuple):
    """What was measured of an engine.

    Attributes:
        preset: of the model.
        clips: at once.
        engine: its name.
        precision: of its weights.
        threads: of the CPU.
        rate: samples of all clips per second.
        ratio: how many times as many as what it is compared with makes.
    """

    preset: str
    clips: int
    engine: str
    precision: str
    threads: int
    rate: float
    ratio: float


class Goal(NamedTuple):
    """What is wanted of the best engine.

    Attributes:
        wanted: at least so much.
        what: key of `KINDS`, which says of what.
        preset: of the model.
        precisions: any of them.
        threads: of the CPU, at most.
        clips: at once; None for any number.
    """

    wanted: float
    what: str
    preset: str
    precisions: tuple[str, ...]
    threads: int = 1
    clips: int | None = 1


def _streams(row: Row) -> float:
    return row.clips if row.rate >= row.clips * SAMPLE_RATE else 0


KINDS: dict[str, Callable[[Row], float]] = {
    "samples/s": lambda row: row.rate,
    "times as fast": lambda row: row.ratio,
    "clips in real time": _streams,
}
"""What a goal is about -> how much of it a row has."""

CPU_GOALS = (
    Goal(32_000, "samples/s", "small", EXACT),
    Goal(4_900, "samples/s", "base", EXACT),
    Goal(8_500, "samples/s", "base", EXACT, threads=2),
    Goal(18_000, "samples/s", "base", REDUCED),
    Goal(28_000, "samples/s", "base", REDUCED, threads=2),
    Goal(20_000, "samples/s", "base", EXACT, threads=2, clips=16),
    Goal(40, "times as fast", "small", EXACT, threads=2),
    Goal(100, "times as fast", "small", REDUCED, threads=2),
    Goal(10, "times as fast", "base", EXACT, threads=2),
    Goal(40, "times as fast", "base", REDUCED, threads=2),
)
"""On two cores of a server, beside the textbook's generator; 18,000 samples/s are real time with some room."""

GPU_GOALS = (
    Goal(64_000, "samples/s", "small", REDUCED),
    Goal(32_000, "samples/s", "base", REDUCED),
    Goal(48_000, "samples/s", "base", REDUCED),
    Goal(100, "times as fast", "small", EXACT + REDUCED),
    Goal(100, "times as fast", "base", EXACT + REDUCED),
    Goal(1_000, "clips in real time", "base", EXACT + REDUCED, clips=None),
    Goal(4_000, "clips in real time", "base", EXACT + REDUCED, clips=None),
)
"""On a GPU of the H100's class, beside plain torch on it; of two with the same words the second is the moonshot."""


def verdict(goal: Goal, rows: Sequence[Row]) -> str:
    """Returns a table row: the goal, what is wanted, what the best engine has, which it is, and whether that is enough.

    >>> measured = [Row("base", 1, "cpu", "int8", 1, 20_000.0, 45.0), Row("base", 1, "cpu", "float32", 1, 9e3, 20.0)]
    >>> verdict(Goal(18_000, "samples/s", "base", REDUCED), measured)
    '| base, 1 clip, bfloat16 or int8, 1 thread: samples/s | 18,000 | 20,000 | cpu int8, 1 thread | reached |'
    """
    how_many = "many clips" if goal.clips is None else _counted(goal.clips, "clip")
    name = f"{goal.preset}, {how_many}, {' or '.join(goal.precisions)}, {_counted(goal.threads, 'thread')}: {goal.what}"
    fitting = [
        row
        for row in rows
        if row.preset == goal.preset
        and row.precision in goal.precisions
        and row.threads <= goal.threads
        and goal.clips in (None, row.clips)
    ]
    if not fitting:
        return f"| {name} | {goal.wanted:,} | - | - | not measured |"
    best = max(fitting, key=KINDS[goal.what])
    found = KINDS[goal.what](best)
    who = f"{best.engine} {best.precision}, {_counted(best.threads, 'thread')}"
    judged = "reached" if found >= goal.wanted else f"missed, {found / goal.wanted:.0%} of it"
    return f"| {name} | {goal.wanted:,} | {found:,.{0 if found >= 1_000 else 1}f} | {who} | {judged} |"


def print_verdicts(goals: Sequence[Goal], rows: Sequence[Row]) -> None:
    """Prints a table of goals."""
    print("\n| goal | wanted | found | by | |\n|---|---|---|---|---|")
    for goal in goals:
        print(verdict(goal, rows))


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number > 1 else ''}"
