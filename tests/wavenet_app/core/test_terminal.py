"""The bar of a run fits terminals of any width."""

import io

import pytest
from rich.console import Console

from wavenet_app.core.terminal import run_bar

TEXT = "step 2380  2.991 bits  validation 2.929 / LPC-24 3.21  3.5 s audio/s"


@pytest.mark.parametrize("width", [40, 80, 100, 200])
def test_a_narrow_bar_keeps_its_share_and_the_time_left_on_one_line(width):
    console = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)
    bar = run_bar(console)
    bar.add_task("training", total=1.0, completed=0.18, text=TEXT, left="24:26 left")
    with console.capture() as shown:
        console.print(bar.get_renderable())
    (line,) = shown.get().splitlines()
    assert len(line) <= width
    if width >= 80:
        assert "18%" in line
        assert "step 2380  2" in line
        assert line.rstrip().endswith("24:26 left")
    assert (TEXT in line) == (width >= 200)
