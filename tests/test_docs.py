"""The documentation names what exists: every command and option, in both directions."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image
from tiny_run import TINY
from tiny_segmentation import TINY_DEEPLAB

from cli import app

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def documented() -> dict[str, set[str]]:
    """Returns the options of each command in docs/reference/commands.md, without --help."""
    text = (ROOT / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
    sections = re.split(r"^###? `wavegen ([a-z -]+)`$", text, flags=re.MULTILINE)[1:]
    return {
        name: set(re.findall(r"(?<!\S)--[a-z-]+", " ".join(re.findall(r"^\* `([^`]*)`", body, flags=re.MULTILINE))))
        - {"--help"}
        for name, body in zip(sections[::2], sections[1::2], strict=True)
    }


def every_command() -> dict[str, Any]:
    """Returns the commands by name, those of groups too, as `data get`."""
    found = dict(COMMANDS)
    for name, command in COMMANDS.items():
        found |= {f"{name} {below}": one for below, one in getattr(command, "commands", {}).items()}
    return found


def test_the_page_of_commands_lists_every_command_and_option():
    actual = {
        name: {
            flag
            for option in command.params
            for flag in (*option.opts, *option.secondary_opts)
            if flag.startswith("--")
        }
        for name, command in every_command().items()
    }
    assert documented() == actual, "docs/reference/commands.md is out of date; run: make reference"


def test_each_list_of_commands_has_the_summaries_of_their_own_help():
    """Two groups have a command of one name, `info`, with summaries of their own."""
    text = (ROOT / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
    head, *sections = re.split(r"^## `wavegen ([a-z-]+)`$", text, flags=re.MULTILINE)
    listed: dict[str, str] = {}
    for group, body in zip(["", *sections[::2]], [head, *sections[1::2]], strict=True):
        list_of_commands = body.partition("**Commands**:")[2].partition("\n#")[0]
        for name, summary in re.findall(r"^\* `([a-z-]+)`: (.*)$", list_of_commands, flags=re.MULTILINE):
            listed[f"{group} {name}".strip()] = summary
    assert listed == {name: " ".join(one.help.split("\n\n")[0].split()) for name, one in every_command().items()}


def test_the_manual_pages_name_every_command_and_option():
    """Rendered, so that a page which groff cannot read is noticed too."""
    groff = shutil.which("groff")
    if groff is None:
        pytest.skip("groff, which renders manual pages, is missing")
    folder = ROOT / "share" / "man" / "man1"
    commands = every_command()
    named = {f"wavegen-{name.replace(' ', '-')}.1" for name in commands} | {"wavegen.1"}
    assert named == {path.name for path in folder.iterdir()}, "share/man is out of date; run: make reference"
    for name, command in commands.items():
        page = folder / f"wavegen-{name.replace(' ', '-')}.1"
        done = subprocess.run([groff, "-man", "-ww", "-Tascii", page], capture_output=True, text=True, check=True)
        assert done.stderr == ""
        text = re.sub(r"\x1b\[[0-9;]*m|.\x08", "", done.stdout)
        wanted = {
            flag for option in command.params for flag in (*option.opts, *option.secondary_opts) if flag[0] == "-"
        }
        assert wanted <= set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", text)), name


def test_the_readme_names_existing_commands_and_all_of_them():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"wavegen ([a-z][a-z-]*)\b", text))
    assert set(COMMANDS) - {"demo"} <= named
    assert text.count("\n") < 120


def test_the_python_of_the_readme_runs(wavegen, tone_folder, tmp_path):
    """With a small net, three steps and a tenth of a second in the place of the lengths that stand there."""
    quick = ["--max-steps", 1, "--logger", "none"]
    assert wavegen("train", tone_folder, "--name", "speech-small", *quick, *TINY).code == 0
    assert wavegen("seg-train", "--name", "camvid", *quick, *TINY_DEEPLAB).code == 0
    tone_folder.rename(tmp_path / "recordings")
    Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(tmp_path / "street.jpg")
    settings = tuple(option.removeprefix("--set=") for option in TINY)
    blocks = re.findall(
        r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    assert len(blocks) == 3
    found: dict[str, object] = {}
    for block in blocks:
        quicker = block.replace("minutes=5", f"max_steps=3, settings={settings}").replace("seconds=60", "seconds=0.1")
        exec(quicker, found)  # noqa: S102 - the text of this repository
    assert found["audio"].shape == (16_000,)
    assert found["run"].checkpoint.is_file()
    assert found["mask"].shape == (30, 40)
