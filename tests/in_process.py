"""Runs the command line in this process, like the installed script."""

import sys

import pytest

import cli


def exit_code(patch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Runs a command and returns its exit code."""
    patch.setattr(sys, "argv", ["wavegen", *map(str, arguments)])
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0
