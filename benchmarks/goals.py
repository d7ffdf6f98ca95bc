"""Goals of the engines, compared with the results of a benchmark."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from conditioning import SAMPLE_RATE

EXACT = ("float32",)
REDUCED = ("bfloat16", "int8")


class Row(NamedTuple):
    """A result of an engine.

    Attributes:
        preset: preset of the model.
        clips: number of clips in the batch.
        engine: name of the engine.
        precision: precision of the weights.
        threads: number of CPU threads.
        rate: samples of all clips per second.
        ratio: rate relative to that of the generator it is compared with.
    """

    preset: str
    clips: int
    engine: str
    precision: str
    threads: int
    rate: float
    ratio: float


class Goal(NamedTuple):
    """A goal for the best engine.

    Attributes:
        wanted: minimum value.
        what: key of `KINDS`, the quantity.
        preset: preset of the model.
        precisions: allowed precisions.
        threads: maximum number of CPU threads.
        clips: number of clips in the batch; None for any number.
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
"""Quantity of a goal -> function that gives its value for a row."""

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
"""On two cores of a server, relative to the textbook generator; 18,000 samples/s are real time with a margin."""

GPU_GOALS = (
    Goal(64_000, "samples/s", "small", REDUCED),
    Goal(32_000, "samples/s", "base", REDUCED),
    Goal(48_000, "samples/s", "base", REDUCED),
    Goal(100, "times as fast", "small", EXACT + REDUCED),
    Goal(100, "times as fast", "base", EXACT + REDUCED),
    Goal(1_000, "clips in real time", "base", EXACT + REDUCED, clips=None),
    Goal(4_000, "clips in real time", "base", EXACT + REDUCED, clips=None),
)
"""On a GPU of the class of an H100, relative to plain torch; the second of two similar goals is the ambitious one."""


def verdict(goal: Goal, rows: Sequence[Row]) -> str:
    """Returns a table row: the goal, its minimum, the best result and its engine, and whether the goal is reached.

    >>> measured = [Row("base", 1, "cpu", "int8", 1, 20_000.0, 45.0), Row("base", 1, "cpu", "float32", 1, 9e3, 20.0)]
    >>> verdict(Goal(18_000, "samples/s", "base", REDUCED), measured)
    '| base, 1 clip, bfloat16 or int8, 1 thread: samples/s | 18,000 | 20,000 | cpu int8, 1 thread | reached |'
    """
    how_many = "many clips" if goal.clips is None else _counted(goal.clips, "clip")
    name = f"{goal.preset}, {how_many}, {' or '.join(goal.precisions)}, {_counted(goal.threads, 'thread')}: {goal.what}"
    matching = [
        row
        for row in rows
        if row.preset == goal.preset
        and row.precision in goal.precisions
        and row.threads <= goal.threads
        and goal.clips in (None, row.clips)
    ]
    if not matching:
        return f"| {name} | {goal.wanted:,} | - | - | not measured |"
    best = max(matching, key=KINDS[goal.what])
    found = KINDS[goal.what](best)
    who = f"{best.engine} {best.precision}, {_counted(best.threads, 'thread')}"
    outcome = "reached" if found >= goal.wanted else f"missed, {found / goal.wanted:.0%} of it"
    return f"| {name} | {goal.wanted:,} | {found:,.{0 if found >= 1_000 else 1}f} | {who} | {outcome} |"


def print_verdicts(goals: Sequence[Goal], rows: Sequence[Row]) -> None:
    """Prints a table of goals."""
    print("\n| goal | wanted | found | by | |\n|---|---|---|---|---|")
    for goal in goals:
        print(verdict(goal, rows))


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number > 1 else ''}"
