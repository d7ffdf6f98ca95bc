"""Writes what comes from the code: settings and schemas in docs/reference, and the manual pages in share/man.

python benchmarks/docs/reference.py           # writes them; `make reference` runs this
python benchmarks/docs/reference.py --check   # exits with 1 if a page is not what the code says
"""

from __future__ import annotations

import json
import re
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import commands_page
import json_page
import man_pages
from json_outputs import OUTPUTS
from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from fast_gen.bulk.manifest import ManifestLine
from fast_gen.evaluation.report import EvalReport
from segmentation import config as images
from wavenet_app import config as audio
from wavenet_app.core.loop.schedules import SCHEDULES
from wavenet_app.core.settings import Settings
from wavenet_app.inspection.report import Report

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path("docs") / "reference"

SCHEMAS: dict[str, tuple[str, Any]] = {
    "eval": ("`wavegen eval --json`", EvalReport),
    "inspect": ("`wavegen inspect --json`", Report),
    "manifest": ("a line of `manifest.jsonl`", ManifestLine),
    "config": ("`config.json` of an audio run", audio.RunConfig),
    "segmentation-config": ("`config.json` of an image run", images.SegmentationConfig),
    **{name: (f"`{command} --json`", printed) for name, (command, printed) in OUTPUTS.items()},
}
"""File under schemas/ -> what it describes, and the type that the program writes."""

_VERSIONS = {"type": "object", "additionalProperties": {"type": "string"}, "description": "versions, by name"}
BESIDE: dict[str, dict[str, Any]] = {
    "eval": {"verdict": {"type": "array", "items": {"type": "string"}, "description": "the result in plain words"}},
    "config": {"software": _VERSIONS},
    "segmentation-config": {"software": _VERSIONS},
}
"""File under schemas/ -> what the program writes beside the fields of the type."""
WITHOUT_NAN = {"eval", "inspect"}
"""Files under schemas/ whose numbers are null where they do not exist."""

_FIELDS_OF_UNITS = {
    "samples": "hop_length n_fft window hop dilations order",
    "Hz": "fmin fmax sample_rate",
    "dB": "trim_decibels",
    "minutes": "minutes",
    "s": "validate_seconds checkpoint_seconds",
    "pixels": "crop_size output_stride",
    "steps": "warmup_steps max_steps",
    "feature pixels": "atrous_rates",
    "channels": "residual_channels dilation_channels skip_channels global_channels local_channels aspp_channels",
    "bands": "n_mels",
    "codes": "quantization_channels",
    "per step and process": "batch_size",
    "taps": "kernel_size",
    "steps per frame": "upsampling",
    "images": "validation_images",
    "processes": "processes workers",
}
UNITS = {field: unit for unit, fields in _FIELDS_OF_UNITS.items() for field in fields.split()}
"""Field -> its unit; fields without one are names, shares or plain numbers."""

RANGES = {
    "dilations": f"1 to {audio.GREATEST_DILATION:,} each, at most {audio.DEEPEST:,} of them",
    "quantization_channels": "a power of two from 2 to 1,024",
    "atrous_rates": f"1 to {images.GREATEST_RATE:,} each, at most {images.MOST_RATES} of them",
    "crop_size": f"{images.SMALLEST_CROP} to {images.LARGEST_CROP:,} each",
    "scale_range": "> 0, the smaller first",
    "schedule": ", ".join(f"`{name}`" for name in SCHEDULES),
}
"""Field -> its range, where a validator and not the field itself has it."""

HEAD = {
    "settings-audio": """# Settings of audio runs

`wavegen train` takes every setting on this page as `--set SECTION.FIELD=VALUE`, or from a TOML file:

    wavegen train speech/ --set training.batch_size=2 --set model.skip_channels=256

```toml title="settings.toml, for --config settings.toml"
[training]
batch_size = 2

[model]
skip_channels = 256
```

Settings apply in this order: defaults, `--preset`, `--config`, `--set`, and options of their own such as `--minutes`.
A name that does not exist and a value out of range are errors. A run stores its settings in its checkpoint and in
`config.json`.
""",
    "settings-images": """# Settings of image runs

`wavegen seg-train` takes every setting on this page as `--set SECTION.FIELD=VALUE`, or from a TOML file with
`--config`:

    wavegen seg-train photos/ --set model.output_stride=8 --set training.batch_size=8

Settings apply in this order: defaults, `--preset`, `--config`, `--set`, and options of their own such as `--minutes`.
A name that does not exist and a value out of range are errors.
""",
}


def pages() -> dict[Path, str]:
    """Returns each generated file, relative to the repository, and its text."""
    found = {
        FOLDER / "settings-audio.md": settings_page("settings-audio", audio.RunConfig, audio.PRESETS),
        FOLDER / "settings-images.md": settings_page("settings-images", images.SegmentationConfig, images.PRESETS),
    }
    for name, (what, schema) in SCHEMAS.items():
        content = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": what.replace("`", "")}
        content |= {
            key: value
            for key, value in TypeAdapter(schema).json_schema(mode="serialization").items()
            if key not in ("title", "description")
        }
        if name in WITHOUT_NAN:
            content = _number_or_null(content)
        if name in BESIDE:
            content["properties"] |= BESIDE[name]
        found[FOLDER / "schemas" / f"{name}.json"] = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    found[FOLDER / "json.md"] = json_page.text()
    found[FOLDER / "commands.md"] = commands_page.text()
    return found | man_pages.pages()


def _number_or_null(schema: Any) -> Any:
    """Returns a schema whose numbers may be null."""
    if isinstance(schema, list):
        return [_number_or_null(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _number_or_null(value) for key, value in schema.items()}
    if found.get("type") == "number":
        found["anyOf"] = [{"type": found.pop("type")}, {"type": "null"}]
    return found


def settings_page(name: str, config: type[Settings], presets: Mapping[str, Any]) -> str:
    """Returns the page of all settings of a kind of run, section by section, and its presets."""
    parts = [HEAD[name], presets_table(presets)]
    for section, field in config.model_fields.items():
        model = _nested(field.annotation)
        if model is None:
            parts.append(f"## `{section}`\n\nThe {field.description}. Set it with `--name`.\n")
        else:
            parts += _sections(section, model)
    return "\n".join(parts)


def _sections(path: str, model: type[BaseModel]) -> Iterator[str]:
    nested = {
        field: inner for field, info in model.model_fields.items() if (inner := _nested(info.annotation)) is not None
    }
    summary = (model.__doc__ or "").strip().splitlines()[0]
    summary = re.sub(r" see `[^`]*`\.?$", "", summary).rstrip(";.") + "."
    rows = [
        f"| `{path}.{field}` | {default_of(info)} | {UNITS.get(field, '')} | {RANGES.get(field) or _range(info)} "
        f"| {_meaning(info)} |"
        for field, info in model.model_fields.items()
    ]
    yield (
        "\n".join(
            [
                f"## `{path}`",
                "",
                summary,
                "",
                "| setting | default | unit | range | meaning |",
                "|---|---|---|---|---|",
                *rows,
            ]
        )
        + "\n"
    )
    for field, inner in nested.items():
        yield from _sections(f"{path}.{field}", inner)


def presets_table(presets: Mapping[str, Any]) -> str:
    """Returns a table of what each preset sets; empty cells are the defaults."""
    values = {name: dict(_flat(changes)) for name, changes in presets.items()}
    keys = sorted({key for changes in values.values() for key in changes})
    lines = ["## Presets", "", f"| setting | {' | '.join(f'`{name}`' for name in values)} |"]
    lines.append("|---" * (len(values) + 1) + "|")
    for key in keys:
        cells = (_shown(changes[key]) if key in changes else "" for changes in values.values())
        lines.append(f"| `{key}` | {' | '.join(cells)} |")
    note = "An empty cell is the default."
    if "model.prediction" in keys:
        note += " `model.prediction = {}` is linear prediction with all of its defaults."
    return "\n".join([*lines, "", note, ""])


def default_of(info: FieldInfo) -> str:
    """Returns the default of a field in a cell of a table."""
    if isinstance(info.default, BaseModel):
        return ""
    return "unset" if info.default is None else _shown(info.default)


def _shown(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return _cycles(list(value)) or ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str | dict):
        return f"`{json.dumps(value)}`"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _cycles(values: list[int]) -> str:
    """Returns doubling dilations that repeat in a few words; empty for other values."""
    length = values.index(max(values)) + 1 if values else 0
    repeats = len(values) // length if length else 0
    if repeats < 2 or values != [2**power for power in range(length)] * repeats:
        return ""
    return f"1, 2, 4 ... {values[length - 1]}, {repeats} times"


def _range(info: FieldInfo) -> str:
    """Returns the limits or the choices of a field in a cell of a table."""
    choices = _choices(info.annotation)
    if choices:
        return ", ".join(f"`{choice}`" for choice in choices)
    limits = {"ge": "≥ {}", "gt": "> {}", "le": "≤ {}", "lt": "< {}"}
    found = [
        text.format(_number(getattr(limit, name)))
        for limit in info.metadata
        for name, text in limits.items()
        if getattr(limit, name, None) is not None
    ]
    return ", ".join(found)


def _number(value: float) -> str:
    if isinstance(value, int) and value >= 2**14 and value & (value - 1) == 0:
        return f"2^{value.bit_length() - 1}"
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _meaning(info: FieldInfo) -> str:
    return (info.description or "").replace("|", "\\|")


def _choices(annotation: Any) -> list[Any]:
    if typing.get_origin(annotation) is typing.Literal:
        return list(typing.get_args(annotation))
    return [choice for part in _parts(annotation) for choice in _choices(part)]


def _nested(annotation: Any) -> type[BaseModel] | None:
    """Returns the settings that a field holds, if it holds settings."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in _parts(annotation) if (found := _nested(part)) is not None), None)


def _parts(annotation: Any) -> tuple[Any, ...]:
    joined = typing.get_origin(annotation) in (types.UnionType, typing.Union, typing.Annotated)
    return typing.get_args(annotation) if joined else ()


def _flat(changes: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in changes.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def main() -> int:
    """Writes the pages, or with --check says which are out of date."""
    stale = 0
    for path, text in pages().items():
        file = ROOT / path
        if file.is_file() and file.read_text(encoding="utf-8") == text:
            continue
        stale += 1
        if "--check" in sys.argv[1:]:
            print(f"{path} is out of date; run: make reference")
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        print(path)
    return int("--check" in sys.argv[1:] and stale > 0)


if __name__ == "__main__":
    sys.exit(main())
