"""The list of data sets and the page of one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from rich.console import Console

from wavenet_app.core.published import in_bytes
from wavenet_app.downloads.data_set import DataSet
from wavenet_app.downloads.records import files_and_bytes
from wavenet_app.downloads.verify import Verdict

_SHOWN_PROBLEMS = 10
_NUMBERS = (2, 3, 4)  # columns of the list that are aligned to the right
_SHOWN_FILES = 20_000
"""Files that are counted for the list; more would make it slow, and `data verify` counts them all."""


def listed(one: DataSet, root: Path) -> dict[str, Any]:
    """Returns what the list says of a data set, as plain values."""
    present = one.present(root)
    needed = one.chosen(())
    files = size = 0
    whole = True
    for archive in present:
        count = files_and_bytes(archive, root, _SHOWN_FILES)
        files, size, whole = files + count.files, size + count.bytes, whole and count.whole
    status = "present" if present and set(needed) <= set(present) else "partly" if present else "absent"
    if present and one.default_part:  # any subset or voice is complete
        status = "present"
    command = one.next_command if status == "present" else f"wavegen data get {one.name}"
    if one.registration and status != "present":
        command += " --from FOLDER"
    return {
        "name": one.name,
        "kind": "images" if one.short.images else "audio",
        "status": status,
        "folder": str(root / one.short.folder),
        "parts": [archive.part for archive in present if archive.part],
        "items": one.items,
        "files": files,
        "files_counted_to_the_end": whole,
        "bytes": size,
        "expected_bytes": sum(archive.unpacked for archive in present or needed),
        "download_bytes": sum(archive.size for archive in needed),
        "licence": one.short.use,
        "next": command,
    }


def print_list(rows: list[dict[str, Any]], console: Console) -> None:
    """Prints a line for each data set; the terminal wraps long ones, so that a command can be copied."""
    table = [("data set", "", "files", "on disk", "expected", "licence", "next")]
    for row in rows:
        more = "" if row["files_counted_to_the_end"] else "over "
        there = row["status"] != "absent"
        table.append(
            (
                row["name"],
                row["status"],
                f"{more}{row['files']:,}" if there else "",
                more + in_bytes(row["bytes"]) if there else "",
                in_bytes(row["expected_bytes"]),
                row["licence"],
                row["next"],
            )
        )
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        cells = (
            cell.rjust(width) if index in _NUMBERS else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        console.print("  ".join(cells).rstrip(), soft_wrap=True)


def page(one: DataSet, root: Path) -> str:
    """Returns what `wavegen data info` prints of a data set."""
    archives = "\n".join(_archive_line(archive) for archive in _shown(one))
    layout = "\n".join(f"  {line}" for line in one.layout)
    get = f"wavegen data get {one.name}" + (" --from FOLDER" if one.registration else "")
    options = {"voc": "--with-sbd", "libritts": "--subset NAME", "cmu-arctic": "--voice NAME"}.get(one.name)
    return "\n".join(
        [
            one.title,
            f"  {one.items}",
            f"  {one.page}",
            f"  Licence: {one.licence}",
            *([f"  {one.registration}"] if one.registration else []),
            "",
            f"Layout below {root / one.short.folder}{os.sep}",
            layout,
            "",
            "Archives",
            archives,
            *([f"  {options}: {', '.join(one.parts)}"] if options else []),
            "",
            "Commands",
            f"  {get}",
            f"  wavegen data verify {one.name}",
            f"  {one.next_command}",
        ]
    )


def _shown(one: DataSet) -> tuple[Any, ...]:
    return one.archives if len(one.archives) <= 3 else one.chosen(())


def _archive_line(archive: Any) -> str:
    about = "" if archive.exact else "about "
    return f"  {archive.name}: {about}{in_bytes(archive.size)}, {in_bytes(archive.unpacked)} unpacked" + (
        f", {archive.checksum.partition(':')[0]}" if archive.checksum else ", no published checksum"
    )


def print_verdicts(verdicts: list[Verdict], console: Console) -> None:
    """Prints what was found in each folder, and the first of the files that are wrong."""
    for one in verdicts:
        expected = f" of {one.expected:,}" if one.expected is not None else ""
        kinds = [(len(one.unpaired), "without a partner"), (len(one.broken), "unreadable")]
        wrong = "".join(f", {number:,} {kind}" for number, kind in kinds if number)
        mark = "ok" if one.good else "wrong"
        console.print(f"{mark}: {one.folder}: {one.found:,}{expected} *{one.ending}{wrong}", soft_wrap=True)
        problems = [f"{name} has no partner" for name in one.unpaired]
        problems += [f"{name} {reason}" for name, reason in one.broken]
        for problem in problems[:_SHOWN_PROBLEMS]:
            console.print(f"  {problem}", soft_wrap=True)
        if len(problems) > _SHOWN_PROBLEMS:
            console.print(f"  and {len(problems) - _SHOWN_PROBLEMS:,} more")
