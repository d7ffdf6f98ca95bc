"""What `wavegen receptive-field` looks like in the terminal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from rich.console import Console, Group, RenderableType
from rich.progress import track
from rich.table import Table
from rich.text import Text

from wavenet_app.core.options import make_console
from wavenet_app.core.receptive_field.report import SHARES, FieldReport

T = TypeVar("T")


def measuring(inputs: Iterable[T], total: int, what: str) -> Iterator[T]:
    """Yields the inputs under a bar on standard error; nothing is drawn where that is no terminal."""
    console = make_console(stderr=True)
    yield from track(inputs, what, total=total, console=console, transient=True, disable=not console.is_terminal)


def show(report: FieldReport, picture: Path, *, console: Console, as_json: bool) -> None:
    """Prints a report and where its picture is, as a table or as JSON."""
    if as_json:
        console.print_json(json.dumps({**report.to_dict(), "picture": str(picture)}))
    else:
        console.print(render(report, picture))


def render(report: FieldReport, picture: Path) -> RenderableType:
    """Returns the table of a report, with notes on how to read it."""
    table = Table(title=f"receptive field of {report.name}", title_justify="left")
    table.add_column("")
    for net in report.energies:
        table.add_column(net, justify="right")
    table.add_row("theoretical field", *[_extent(report)] * len(report.energies))
    table.add_row("of it touched at all", *[f"{report.touched_share:.1%}"] * len(report.energies))
    for number, share in enumerate(SHARES):
        cells = [_length(report, radii[number]) for radii in report.radii.values()]
        table.add_row(f"radius of {share:.0%} of the energy", *cells)
    lines = [f"energy of the gradient, mean over {report.inputs}"]
    if report.sees_everything:
        kinds = ", ".join(report.sees_everything)
        lines.append(
            f"besides, every output sees the whole input through {kinds}; the theoretical field does not count it"
        )
    if report.is_cut:
        size = " x ".join(map(str, report.touched.shape))
        lines.append(f"the field is greater than the {size} {report.unit} looked at; a greater --size shows more")
    lines.append(f"picture: {picture}")
    return Group(table, *(Text(line, no_wrap=line.startswith("picture")) for line in lines))


def _extent(report: FieldReport) -> str:
    extent = " x ".join(f"{size:,}" for size in report.field) + f" {report.unit}"
    return extent if report.sample_rate is None else f"{extent}, {report.milliseconds(report.field[0]):.1f} ms"


def _length(report: FieldReport, length: float | None) -> str:
    if length is None:
        return "no gradient"
    if report.sample_rate is None:
        return f"{length:,.1f} {report.unit}"
    return f"{length:,.0f} {report.unit}, {report.milliseconds(length):.1f} ms"
