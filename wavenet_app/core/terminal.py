"""What every display in the terminal shares: durations, counts, notes and bars."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from wavenet_app.core.console import print_labelled

T = TypeVar("T")


class MoveBar(Protocol):
    """Moves a bar to `done` of `total`; the name of the item is not shown."""

    def __call__(self, done: int, total: int, item: str = "", /) -> None:
        """Shows `done` of `total`."""


def clock(seconds: float) -> str:
    """Returns a duration in seconds as minutes and seconds, and hours where there are any.

    Example:
        >>> clock(61), clock(3725.4)
        ('1:01', '1:02:05')
    """
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def number_of(count: int, noun: str) -> str:
    """Returns a count with its noun, whose plural ends in s, or in es after s.

    Example:
        >>> number_of(1, "file"), number_of(2000, "file"), number_of(2, "class")
        ('1 file', '2,000 files', '2 classes')
    """
    plural = "es" if noun.endswith("s") else "s"
    return f"{count:,} {noun}{'' if count == 1 else plural}"


class _CutColumn(TextColumn):
    """Text that is cut where the terminal is narrow, in its table the only column that may shrink."""

    def render(self, task: Task) -> Text:
        """Returns the text of a task, on one line of any width."""
        text = super().render(task)
        text.no_wrap, text.overflow = True, "ellipsis"
        return text


def run_bar(console: Console) -> Progress:
    """Returns the bar of a run, hidden if the console is no terminal; its tasks have fields `text` and `left`."""
    return Progress(
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        _CutColumn("{task.fields[text]}", markup=False, table_column=Column(no_wrap=False)),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}", markup=False),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


@contextmanager
def progress_bar(console: Console, text: str) -> Iterator[MoveBar]:
    """Shows a bar with a count while it is entered, if the console is a terminal; yields what moves it."""
    columns = (TextColumn(text, markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(text, total=None)

        def move(done: int, total: int, _item: str = "", /) -> None:
            progress.update(task, completed=done, total=total)

        yield move


def print_notes(console: Console, notes: Sequence[str]) -> None:
    """Prints what the user should know, a line each."""
    for note in notes:
        print_labelled(console, "note", note)


def thinned(rows: Sequence[T], most: int) -> Sequence[T]:
    """Returns at most `most` rows, evenly spread, the last one included.

    >>> thinned([1, 2, 3, 4, 5], 3)
    [1, 3, 5]
    """
    stride = max(1, -(-len(rows) // most))
    return rows[::-1][::stride][::-1]
