"""The bar of a download or of unpacking: bytes, speed and the time that is left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn


class MoveBytes(Protocol):
    """Moves a bar to `done` of `total` bytes."""

    def __call__(self, done: int, total: int, /) -> None:
        """Shows `done` of `total` bytes."""


@contextmanager
def transfer_bar(console: Console, text: str) -> Iterator[MoveBytes]:
    """Shows a bar while it is entered, if the console is a terminal; yields what moves it."""
    columns = (
        TextColumn(text, markup=False),
        BarColumn(bar_width=24),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(text, total=None)

        def move(done: int, total: int, /) -> None:
            progress.update(task, completed=done, total=total)

        yield move
