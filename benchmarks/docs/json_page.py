"""The page docs/reference/json.md: which command prints what, with the keys of each value."""

from __future__ import annotations

import typing
from typing import Any

from json_outputs import OUTPUTS

_HEAD = """# JSON output

These commands print one JSON value on standard output with `--json`. Progress and notes go to standard error. Numbers
that do not exist (the level of silence, the IoU of an absent class) are `null`. A test holds the real output of each
command against its schema.

| Command | Prints | Schema |
|---|---|---|
"""
_FIRST = [
    ("wavegen eval --json", "Verdict, bits, generated or vocoded clips", "eval"),
    ("wavegen inspect PATH --json", "Levels, defects, advice, every file", "inspect"),
]
_LAST = [("wavegen sample -n 10000 --out DIR", "A line of `DIR/manifest.jsonl` for each clip", "manifest")]
_AFTER = """
`config.json` of a run follows [config.json](schemas/config.json) or
[segmentation-config.json](schemas/segmentation-config.json), and has the versions of the software beside it.
"""


def text() -> str:
    """Returns the page."""
    rows = [
        *_FIRST,
        *((f"{command} --json", _summary(printed), name) for name, (command, printed) in OUTPUTS.items()),
        *_LAST,
    ]
    table = [f"| `{command}` | {what} | [{name}.json](schemas/{name}.json) |" for command, what, name in rows]
    parts = [_HEAD + "\n".join(table), _AFTER]
    for name, (command, printed) in OUTPUTS.items():
        parts += [f"## `{command}`{' of a DeepLab' if name == 'info-deeplab' else ''}", "", *_keys(printed), ""]
    return "\n".join(parts)


def _model(printed: Any) -> Any:
    return typing.get_args(printed)[0] if typing.get_origin(printed) is list else printed


def _summary(printed: Any) -> str:
    return str(_model(printed).__doc__).strip().rstrip(".")


def _keys(printed: Any) -> list[str]:
    """Returns a table of the keys of a value, or of the entries of a list."""
    rows = [f"| `{key}` | {_capital(info.description)} |" for key, info in _model(printed).model_fields.items()]
    listed = ["A list. Each entry has:", ""] if typing.get_origin(printed) is list else []
    return [*listed, "| Key | Meaning |", "|---|---|", *rows]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
