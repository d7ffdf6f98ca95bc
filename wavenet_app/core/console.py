"""The console of every command: it prints names and messages literally, whatever characters they contain."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Literal, cast

from rich.console import Console
from rich.text import Text

from wavenet_app.core.text import without_control_characters

if TYPE_CHECKING:
    from typing import IO

    from rich.console import HighlighterType, JustifyMethod, OverflowMethod
    from rich.style import Style


class PlainConsole(Console):
    """A console without markup, emoji codes and highlighting, which shows control characters as a replacement.

    File names, speakers and checkpoints come from outside: brackets in them are no styles, and an escape sequence must
    not reach the terminal.

    Args:
        file: where to print; None for standard output, or standard error if `stderr`.
        stderr: whether to print to standard error.
        width: columns; None for those of the terminal.
        quiet: whether to print nothing.
    """

    def __init__(
        self, *, file: IO[str] | None = None, stderr: bool = False, width: int | None = None, quiet: bool = False
    ) -> None:
        super().__init__(file=file, stderr=stderr, width=width, quiet=quiet, markup=False, emoji=False, highlight=False)

    def render_str(
        self,
        text: str,
        *,
        style: str | Style = "",
        justify: JustifyMethod | None = None,
        overflow: OverflowMethod | None = None,
        emoji: bool | None = None,
        markup: bool | None = None,
        highlight: bool | None = None,
        highlighter: HighlighterType | None = None,
    ) -> Text:
        """Returns what rich makes of a text, without its control characters."""
        return super().render_str(
            without_control_characters(text),
            style=style,
            justify=justify,
            overflow=overflow,
            emoji=emoji,
            markup=markup,
            highlight=highlight,
            highlighter=highlighter,
        )


class _Vanishing:
    """A text stream that takes everything, also after its terminal, pipe or disk has gone."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):  # ValueError: it is closed
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def output_may_vanish(console: Console) -> Iterator[None]:
    """Continues whatever is done within when nobody takes what the console prints any more, as in a training."""
    before = console.file
    console.file = cast("IO[str]", _Vanishing(before))
    try:
        yield
    finally:
        console.file = before


def print_labelled(console: Console, label: Literal["note", "warning", "skipped"], text: str) -> None:
    """Prints one line that starts with a label in colour."""
    console.print(Text.assemble((f"{label}:", "yellow"), " ", without_control_characters(text)), soft_wrap=True)
