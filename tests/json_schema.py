"""Checks a JSON value against a schema of docs/reference/schemas: the keywords that these use, and no others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SCHEMAS = Path(__file__).resolve().parents[1] / "docs" / "reference" / "schemas"

TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}
DESCRIBING = {"$schema", "$defs", "title", "description", "default", "format", "discriminator"}


def problems(value: Any, schema: dict[str, Any], root: dict[str, Any] | None = None, path: str = "$") -> list[str]:
    """Returns what is wrong with a value, each with its place; an AssertionError names a keyword that is not known.

    >>> problems({"a": "x"}, {"type": "object", "properties": {"a": {"type": "integer"}}})
    ['$.a: is not integer']
    """
    root = schema if root is None else root
    found = []
    for keyword, wanted in schema.items():
        if keyword == "$ref":
            inner = root
            for part in wanted.removeprefix("#/").split("/"):
                inner = inner[part]
            found += problems(value, inner, root, path)
        elif keyword in ("anyOf", "oneOf"):
            each = [problems(value, option, root, path) for option in wanted]
            if all(each):
                found.append(f"{path}: fits none of {len(each)}: {min(each, key=len)[0]}")
        elif keyword == "type":
            if not isinstance(value, TYPES[wanted]) or (isinstance(value, bool) and wanted != "boolean"):
                found.append(f"{path}: is not {wanted}")
        elif keyword == "const":
            found += [] if value == wanted else [f"{path}: is not {wanted}"]
        elif keyword == "enum":
            found += [] if value in wanted else [f"{path}: is not one of {wanted}"]
        elif keyword in ("properties", "required", "additionalProperties"):
            found += _of_object(value, keyword, schema, root, path) if isinstance(value, dict) else []
        elif keyword in ("items", "prefixItems", "minItems", "maxItems"):
            found += _of_array(value, keyword, wanted, root, path) if isinstance(value, list) else []
        elif keyword == "minLength":
            found += [] if not isinstance(value, str) or len(value) >= wanted else [f"{path}: is too short"]
        elif keyword in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
            found += _of_number(value, keyword, wanted, path)
        else:
            assert keyword in DESCRIBING, f"{path}: the keyword {keyword} is not known"
    return found


def _of_object(
    value: dict[str, Any], keyword: str, schema: dict[str, Any], root: dict[str, Any], path: str
) -> list[str]:
    wanted = schema[keyword]
    if keyword == "required":
        return [f"{path}: lacks {name}" for name in wanted if name not in value]
    if keyword == "properties":
        return [
            text
            for name in wanted
            if name in value
            for text in problems(value[name], wanted[name], root, f"{path}.{name}")
        ]
    others = [name for name in value if name not in schema.get("properties", {})]
    if wanted is False:
        return [f"{path}: has {name} beside" for name in others]
    if wanted is True:
        return []
    return [text for name in others for text in problems(value[name], wanted, root, f"{path}.{name}")]


def _of_array(value: list[Any], keyword: str, wanted: Any, root: dict[str, Any], path: str) -> list[str]:
    if keyword == "minItems":
        return [] if len(value) >= wanted else [f"{path}: has fewer than {wanted} entries"]
    if keyword == "maxItems":
        return [] if len(value) <= wanted else [f"{path}: has more than {wanted} entries"]
    schemas = wanted if keyword == "prefixItems" else [wanted] * len(value)
    return [
        text
        for index, (one, schema) in enumerate(zip(value, schemas, strict=False))
        for text in problems(one, schema, root, f"{path}[{index}]")
    ]


def _of_number(value: Any, keyword: str, limit: float, path: str) -> list[str]:
    if not isinstance(value, int | float):
        return []
    good = {
        "minimum": value >= limit,
        "maximum": value <= limit,
        "exclusiveMinimum": value > limit,
        "exclusiveMaximum": value < limit,
    }[keyword]
    return [] if good else [f"{path}: {value} breaks {keyword} {limit}"]


def checked(name: str, text: str) -> Any:
    """Returns what a command printed as JSON, after a comparison with its schema in docs/reference."""
    value = json.loads(text)
    schema = json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))
    found = problems(value, schema)
    assert not found, f"{name}: {found[:5]}"
    return value
