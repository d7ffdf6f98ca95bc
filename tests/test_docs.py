"""The documentation names what exists: every command and option, in both directions."""

import re
from pathlib import Path

import typer

from cli import app

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def documented() -> dict[str, set[str]]:
    """Returns the options of each command in docs/commands.md, without --help."""
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    sections = re.split(r"^## `wavegen ([a-z-]+)`$", text, flags=re.MULTILINE)[1:]
    return {
        name: set(re.findall(r"(?<!\S)--[a-z-]+", " ".join(re.findall(r"^\* `([^`]*)`", body, flags=re.MULTILINE))))
        - {"--help"}
        for name, body in zip(sections[::2], sections[1::2], strict=True)
    }


def test_the_page_of_commands_lists_every_command_and_option():
    actual = {
        name: {flag for option in command.params for flag in option.opts if flag.startswith("--")}
        for name, command in COMMANDS.items()
    }
    assert documented() == actual, "docs/commands.md is out of date; run: make commands"


def test_the_readme_names_existing_commands_and_all_of_them():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"wavegen ([a-z][a-z-]*)\b", text))
    assert set(COMMANDS) - {"demo"} <= named
    assert text.count("\n") < 150
