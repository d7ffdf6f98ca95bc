"""Shows a corpus in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from wavenet_app.core.terminal import clock, number_of
from wavenet_app.corpus.corpus import Corpus

_LISTED_SPEAKERS = 20


def show_corpus(console: Console, corpus: Corpus) -> None:
    """Prints the size of the training and validation splits, and every skipped file with its reason."""
    seconds = [corpus.duration(clips) for clips in (corpus.training, corpus.validation)]
    console.print(
        f"{number_of(len(corpus.training), 'clip')} ({clock(seconds[0])}) to train on, {len(corpus.validation)} "
        f"({clock(seconds[1])}) held out; {corpus.sample_rate} Hz, gain x{corpus.gain:.2f}",
        highlight=False,
    )
    if corpus.speakers:
        listed = [f"{name} {clock(seconds)}" for name, seconds in corpus.training_seconds.items()]
        more = f", and {len(listed) - _LISTED_SPEAKERS} more" if len(listed) > _LISTED_SPEAKERS else ""
        console.print(
            f"{number_of(len(listed), 'speaker')} to train on: {', '.join(listed[:_LISTED_SPEAKERS])}{more}",
            highlight=False,
            markup=False,
        )
    if corpus.skipped:
        table = Table(title=f"{number_of(len(corpus.skipped), 'file')} skipped", title_justify="left")
        table.add_column("file", overflow="fold")
        table.add_column("why", overflow="fold")
        for skipped in corpus.skipped:
            table.add_row(skipped.name, skipped.reason)
        console.print(table)
