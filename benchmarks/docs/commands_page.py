"""The page docs/reference/commands.md: every command and option, from the command line's own help."""

from __future__ import annotations

import re
from typing import Any

import typer
from typer.cli import get_docs_for_click

from cli import app

_HEADING = re.compile(r"^##+ `wavegen ([a-z -]+)`$")
_LISTED = re.compile(r"^\* `([a-z][a-z-]*)`: ")


def text() -> str:
    """Returns the page."""
    group: Any = typer.main.get_command(app)
    found = get_docs_for_click(obj=group, ctx=typer.Context(group), name="wavegen", title="Commands").strip()
    lines, section = [], ""
    for line in found.splitlines():
        if heading := _HEADING.match(line):
            section = f"{heading[1]} "
        listed = _LISTED.match(line)
        # Two groups may have commands of one name, so a command is known by its group and its name.
        lines.append(f"* `{listed[1]}`: {_summary(group, section + listed[1])}" if listed else line)
    return "\n".join(lines) + "\n"


def _summary(group: Any, path: str) -> str:
    """Returns the first paragraph of a command's help; typer's own list cuts it after a few words.

    Args:
        group: the program.
        path: the names of the command, such as "data info".
    """
    command = group
    for name in path.split():
        command = command.commands[name]
    return re.sub(r"\s+", " ", (command.help or "").split("\n\n")[0])
