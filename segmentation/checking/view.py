"""What `wavegen seg-check` looks like in the terminal."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from segmentation.checking.check import CheckReport, SplitReport
from segmentation.datasets.dataset import FileNote
from segmentation.datasets.labels import BACKGROUND_NAMES
from wavenet_app.core.terminal import number_of

_EXAMPLES = 3
_UNREADABLE = ("cannot be read", "cannot be used")


def render(report: CheckReport, argument: str | None, sheet: Path | None) -> RenderableType:
    """Returns tables of splits, class shares and files, with warnings and problems.

    Args:
        report: the report.
        argument: data set argument of the command; None for the built-in data set.
        sheet: where the sheet of overlays was written; None if there is none.
    """
    parts: list[RenderableType] = [_splits(report), _classes(report)]
    for title, attribute in (("skipped", "skipped"), ("broken", "broken"), ("suspicious", "suspicious")):
        found = [(split.split, getattr(split, attribute)) for split in report.splits]
        table = _files(title, found)
        if table is not None:
            parts.append(table)
    parts += remarks(report.splits)
    parts += [Text(f"note: {warning}", style="yellow") for warning in report.warnings]
    parts += [Text(f"problem: {problem}", style="bold red") for problem in report.problems]
    if sheet is not None:
        parts.append(Text(f"overlays: {sheet}", overflow="fold"))
        unpainted = (
            " (background stays unpainted)" if any(name.lower() in BACKGROUND_NAMES for name in report.classes) else ""
        )
        parts.append(f"check that the colours cover the right objects{unpainted}")
    if not report.problems:
        dataset = f" {shlex.quote(argument)}" if argument else ""
        parts.append(Text(f"fit to train on: wavegen seg-train{dataset}", style="green"))
    return Group(*parts)


def remarks(splits: Sequence[SplitReport]) -> list[str]:
    """Returns the remarks on the splits, one that all of them share once, others after the name of their split."""
    shared = [remark for remark in splits[0].remarks if all(remark in split.remarks for split in splits)]
    own = [f"{split.split}: {remark}" for split in splits for remark in split.remarks if remark not in shared]
    return [*shared, *own]


def _splits(report: CheckReport) -> Table:
    classes = number_of(len(report.classes), "class")
    table = Table(title=f"{report.name} ({report.format}), {classes}", title_justify="left")
    for heading in ("split", "images", "read", "skipped", "broken", "suspicious", "size", "ignored"):
        table.add_column(heading, justify="left" if heading == "split" else "right", overflow="fold")
    for split in report.splits:
        everything = split.ignored + int(split.pixels.sum())
        table.add_row(
            split.split,
            f"{split.images:,}",
            f"{split.checked:,}",
            f"{len(split.skipped):,}",
            f"{len(split.broken):,}",
            f"{len(split.suspicious):,}",
            _sizes(split),
            f"{split.ignored / max(1, everything):.1%}",
        )
    return table


def _classes(report: CheckReport) -> Table:
    """Returns the share of every class that occurs anywhere; the absent ones are in the warnings."""
    table = Table(title="share of the pixels that count", title_justify="left")
    table.add_column("id", justify="right")
    table.add_column("class")
    for split in report.splits:
        table.add_column(split.split, justify="right")
    for class_id, name in enumerate(report.classes):
        if any(split.pixels[class_id] for split in report.splits):
            table.add_row(str(class_id), name, *(_share(split, class_id) for split in report.splits))
    return table


def _files(title: str, notes: Sequence[tuple[str, tuple[FileNote, ...]]]) -> Table | None:
    """Returns how many files of each split have which problem; None if there are none.

    Files that cannot be read are all listed, since each has to be replaced, and of other problems a few examples.
    """
    grouped: dict[tuple[str, str], list[FileNote]] = defaultdict(list)
    for split, found in notes:
        for note in found:
            grouped[split, note.problem].append(note)
    if not grouped:
        return None
    table = Table(title=f"{title} files", title_justify="left")
    table.add_column("split")
    table.add_column("files", justify="right")
    table.add_column("why")
    table.add_column(f"which (unreadable ones, and at most {_EXAMPLES} of others; --json lists all)")
    for (split, problem), files in grouped.items():
        most = len(files) if problem.endswith(_UNREADABLE) else _EXAMPLES
        examples = "\n".join(f"{note.path}" + (f": {note.detail}" if note.detail else "") for note in files[:most])
        table.add_row(split, f"{len(files):,}", problem, examples)
    return table


def _share(split: SplitReport, class_id: int) -> str:
    share = float(split.shares[class_id])
    return "-" if share == 0 else f"{share:.2%}" if share >= 0.0001 else f"{share:.4%}"


def _sizes(split: SplitReport) -> str:
    """Returns the width and height of the smallest image, and below it those of the largest if it is larger."""
    sizes = dict.fromkeys(size for size in (split.smallest, split.largest) if size is not None)
    return "\n".join(f"{width}x{height}" for width, height in sizes) or "-"
