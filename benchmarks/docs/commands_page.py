"""The page docs/reference/commands.md: every command and option, from the command line's own help."""

from __future__ import annotations

import re
from typing import Any

import typer
from typer.cli import get_docs_for_click

from cli import app


def text() -> str:
    """Returns the page."""
    group: Any = typer.main.get_command(app)
    context = typer.Context(group)
    found = get_docs_for_click(obj=group, ctx=context, name="wavegen", title="Commands").strip() + "\n"
    summaries = dict(_summaries(group))

    def whole(line: re.Match[str]) -> str:
        return f"* `{line[1]}`: {summaries.get(line[1], line[2])}"

    return re.sub(r"^\* `([a-z-]+)`: (.*)$", whole, found, flags=re.MULTILINE)


def _summaries(group: Any) -> list[tuple[str, str]]:
    """Returns each command and its summary; typer's own list cuts them after a few words."""
    found = []
    for name, command in group.commands.items():
        found.append((name, re.sub(r"\s+", " ", (command.help or "").split("\n\n")[0])))
        if hasattr(command, "commands"):
            found += [one for one in _summaries(command) if one[0] not in group.commands]
    return found
