"""Mistakes on the command line, each in one line with what to type instead."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import typer

from wavenet_app.core.text import closest

UsageError: Any = typer.BadParameter.__mro__[2]
"""What typer raises for a mistake on the command line; it has no public name of its own."""

_OTHER_COMMANDS = {
    "play": "sample --play",
    "generate": "sample",
    "synth": "sample",
    "synthesize": "sample",
    "stream": "sample --play --forever",
    "evaluate": "eval",
    "test": "eval",
    "score": "eval",
    "benchmark": "bench",
    "check": "inspect",
    "doctor": "inspect",
    "resume": "train --resume RUN",
    "vocoder": "vocode",
    "segment": "seg-predict",
    "predict": "seg-predict",
    "show": "info",
    "version": "--version",
    "help": "-h",
}
"""What other tools call a command, and what it is here."""

_OTHER_OPTIONS = {
    "--epochs": "--max-steps or --minutes",
    "--steps": "--max-steps",
    "--iterations": "--max-steps",
    "--lr": "--set training.learning_rate=...",
    "--learning-rate": "--set training.learning_rate=...",
    "--batch-size": "--set training.batch_size=...",
    "--output": "--out",
    "--num-samples": "--seconds",
    "--duration": "--seconds",
    "--length": "--seconds",
    "--checkpoint": "the checkpoint without an option",
    "--input": "the path without an option",
    "--data": "the path without an option",
    "--model": "--preset, or --set model....",
    "--gpu": "--engine cuda",
    "--num-clips": "--clips",
}
"""What other tools call an option, and what it is here."""

_PLAIN = {
    r": Input should be a valid integer, .*": ": it must be a whole number",
    r": Input should be a valid ([a-z]+), .*": r": it must be a \1",
    r": Input should be greater than or equal to (\S+)": r": it must be at least \1",
    r": Input should be less than or equal to (\S+)": r": it must be at most \1",
    r": Input should be ": ": it must be ",
}
"""What the library says of a value, and the same in plain words."""


def usage_line(error: Any, typed: Sequence[str], program: Any) -> str:
    """Returns a mistake on the command line as one line: what is wrong, and what to type instead.

    Args:
        error: a `UsageError`.
        typed: the arguments of the program.
        program: the group of all commands.
    """
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else _command_of(typed, program)[0]
    text = " ".join(error.format_message().split()).rstrip(".")
    option = getattr(error, "option_name", None)
    if option is not None and context is not None and "No such option" in text:
        known = [flag for parameter in context.command.params for flag in parameter.opts if flag.startswith("--")]
        text = f"there is no option {option}{_hint(option, known, _OTHER_OPTIONS)}"
    elif text.startswith("No such command") and context is not None:
        name = text.split("'")[1]
        text = f"there is no command '{name}'{_hint(name, context.command.commands, _OTHER_COMMANDS)}"
    else:
        text = text[:1].lower() + text[1:]
        for found, plain in _PLAIN.items():
            text = re.sub(found, plain, text)
    return f"{text}{'' if text.endswith('?') else '.'} See: {command} -h"


def missing_value(typed: Sequence[str], program: Any) -> str | None:
    """Returns a line if another option stands where the value of an option should be, else None.

    The parser would take `--resume --minutes 4` as a run that is called --minutes.

    Args:
        typed: the arguments of the program.
        program: the group of all commands.
    """
    name, command = _command_of(typed, program)
    options = {flag: parameter for parameter in command.params for flag in parameter.opts if flag.startswith("--")}
    for flag, value in pairwise(typed):
        if value in options and flag in options and not options[flag].is_flag:
            return f"{flag} needs a value before {value}. See: {name} -h"
    return None


def _command_of(typed: Sequence[str], program: Any) -> tuple[str, Any]:
    """Returns the name of the command that was typed, with its groups, and the command itself."""
    name, command = "wavegen", program
    for word in typed:
        if word not in getattr(command, "commands", {}):
            break
        name, command = f"{name} {word}", command.commands[word]
    return name, command


def _hint(name: str, known: Iterable[str], others: dict[str, str]) -> str:
    """Returns "; did you mean ...?", or nothing if no name is close."""
    close = others.get(name) or closest(name, known)
    return f"; did you mean {close}?" if close else ""
