"""The manual pages of the command line, from its own help: share/man/man1/wavegen*.1, which `make reference` writes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from cli import app

FOLDER = Path("share") / "man" / "man1"
ROOT = Path(__file__).resolve().parents[2]
_HIDDEN = {"install_completion", "show_completion"}  # they depend on the shell


def pages() -> dict[Path, str]:
    """Returns each manual page, relative to the repository, and its text."""
    group: Any = typer.main.get_command(app)
    found = dict(_commands("wavegen", group))
    names = sorted(found)
    return {FOLDER / f"{_page(name)}.1": _manual(name, command, names) for name, command in found.items()}


def _commands(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield name, command
    for below, inner in getattr(command, "commands", {}).items():
        yield from _commands(f"{name} {below}", inner)


def _page(name: str) -> str:
    return name.replace(" ", "-")


def _manual(name: str, command: Any, names: list[str]) -> str:
    """Returns a manual page in roff."""
    paragraphs = [re.sub(r"\s+", " ", part).strip() for part in (command.help or "").split("\n\n")]
    lines = [
        f'.TH "{_page(name).upper()}" "1" "" "wavegen" "wavegen manual"',
        ".SH NAME",
        f"{_text(_page(name))} \\- {_text(paragraphs[0].rstrip('.'))}",
        ".SH SYNOPSIS",
        f".B {_text(name)}",
        _text(_synopsis(command)),
        ".SH DESCRIPTION",
    ]
    for paragraph in paragraphs:
        lines += [_text(paragraph), ".PP"]
    arguments = [option for option in command.params if option.param_type_name == "argument"]
    options = [option for option in command.params if option.param_type_name == "option" and option.name not in _HIDDEN]
    for title, entries in (("ARGUMENTS", arguments), ("OPTIONS", options)):
        if entries:
            lines.append(f".SH {title}")
        for entry in entries:
            lines += [".TP", _spelling(entry), _text(_help(entry))]
    lines += [".TP", "\\fB\\-h\\fR, \\fB\\-\\-help\\fR", "Show the options and exit."]
    if hasattr(command, "commands"):
        lines.append(".SH COMMANDS")
        for below, inner in command.commands.items():
            lines += [
                ".TP",
                f"\\fB{_text(_page(f'{name} {below}'))}\\fR(1)",
                _text((inner.help or "").split("\n\n")[0].replace("\n", " ")),
            ]
    if name == "wavegen":
        lines += _environment()
    else:
        others = [other for other in names if other == "wavegen" or other.startswith(f"{name} ")]
        lines += [".SH SEE ALSO", ", ".join(f"\\fB{_text(_page(other))}\\fR(1)" for other in others)]
    return "\n".join(lines) + "\n"


def _synopsis(command: Any) -> str:
    parts = ["[OPTIONS]"]
    for option in command.params:
        if option.param_type_name == "argument":
            shown = _metavar(option) + ("..." if option.nargs == -1 else "")
            parts.append(shown if option.required else f"[{shown}]")
    return " ".join([*parts, *(["COMMAND [ARGS]..."] if hasattr(command, "commands") else [])])


def _metavar(option: Any) -> str:
    return str(option.metavar or option.name.upper())


def _spelling(option: Any) -> str:
    """Returns an argument or option as it is typed, in bold, with its value in italics."""
    if option.param_type_name == "argument":
        return f"\\fI{_text(_metavar(option))}\\fR"
    flags = sorted((*option.opts, *option.secondary_opts), key=lambda flag: flag.startswith("--"))
    shown = ", ".join(f"\\fB{_text(flag)}\\fR" for flag in flags)
    if option.is_flag:
        return shown
    return f"{shown} \\fI{_text(_metavar(option))}\\fR"


def _help(option: Any) -> str:
    text = re.sub(r"\s+", " ", option.help or "").strip()
    default = option.default
    plain = isinstance(default, int | float | str) and not isinstance(default, bool)
    return f"{text} Default: {default}." if plain and "default:" not in text and default != "" else text


def _environment() -> list[str]:
    """Returns the variables and exit codes, from their page of the documentation."""
    page = (ROOT / "docs" / "reference" / "environment.md").read_text(encoding="utf-8")
    lines = []
    for title, heading in (("ENVIRONMENT", "## Variables"), ("EXIT STATUS", "## Exit codes")):
        lines.append(f".SH {title}")
        section = page.partition(heading)[2].partition("\n## ")[0]
        for name, meaning in re.findall(r"^\| (`?\w+`?) \| (.*) \|$", section, flags=re.MULTILINE):
            if name not in ("Variable", "Code"):
                lines += [".TP", f"\\fB{_text(name.strip('`'))}\\fR", _text(meaning.replace("`", ""))]
    return lines


def _text(text: str) -> str:
    """Returns plain text as roff: nothing in it is a request, and a hyphen can be searched for and copied."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped
