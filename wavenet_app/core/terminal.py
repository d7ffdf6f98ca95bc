"""What every display in the terminal shares: durations, counts, and the bar of a run."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn


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
    """Returns a count with its noun, whose plural ends in s.

    Example:
        >>> number_of(1, "file"), number_of(2000, "file")
        ('1 file', '2,000 files')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def run_bar(console: Console) -> Progress:
    """Returns the bar of a run, unseen where the console is no terminal; its tasks have fields `text` and `left`."""
    return Progress(
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TextColumn("{task.fields[text]}"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
