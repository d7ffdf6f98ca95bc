"""Names are printed literally: brackets are no styles, and escape sequences do not reach the terminal."""

import io
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from wavenet_app.core.console import PlainConsole, print_labelled

ROOT = Path(__file__).resolve().parents[3]
NASTY = "[bold red]x[/bold red] :smile: \x1b[31mred\x07"


def printed(*parts: object) -> str:
    file = io.StringIO()
    console = PlainConsole(file=file, width=200)
    for part in parts:
        console.print(part)
    return file.getvalue()


def test_markup_emoji_and_escape_sequences_in_a_name_are_shown_not_followed():
    table = Table("name", title=NASTY)
    table.add_row(NASTY)
    output = printed(NASTY, table)
    assert output.count("[bold red]x[/bold red] :smile:") == 3
    assert not {"\x1b", "\x07"} & set(output)


def test_the_label_of_a_note_stands_before_its_literal_text():
    file = io.StringIO()
    print_labelled(PlainConsole(file=file, width=20), "note", NASTY)
    assert file.getvalue() == "note: [bold red]x[/bold red] :smile: \ufffd[31mred\ufffd\n"


@given(st.text(st.characters(codec="utf-8"), max_size=30))
def test_any_text_can_be_printed_without_its_control_characters(text):
    assert not {chr(code) for code in (*range(9), *range(14, 32), *range(127, 160))} & set(printed(text))


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
@pytest.mark.parametrize("columns", ["20", "40"])
def test_no_terminal_is_too_poor(encoding, columns, tmp_path):
    """Names that the encoding lacks, few columns and a dumb terminal give an error line and no traceback."""
    environment = {"PYTHONIOENCODING": encoding, "COLUMNS": columns, "TERM": "dumb", "PATH": "/usr/bin:/bin"}
    for arguments in (["-h"], ["sample", "-h"], ["info", "Ünïcode-\udce9 ✓.pth"]):
        command = [sys.executable, "cli.py", *arguments]
        found = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)
        assert found.returncode == (2 if "info" in arguments else 0), found.stderr
        assert b"Traceback" not in found.stderr
