"""What is wrong with a setting, in a plain line, from the errors that pydantic finds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from wavenet_app.core.shown import shown
from wavenet_app.core.text import closest, without_control_characters

_PLAIN = {
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "has too many digits",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be text",
    "string_unicode": "must be text in Unicode",
    "literal_error": "must be {expected}",
    "greater_than": "must be greater than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than": "must be less than {lt:g}",
    "less_than_equal": "must be at most {le:g}",
    "tuple_type": "must be a list, such as [1, 2]",
    "missing": "must have a value here too",
    "too_long": "must hold {max_length} values",
    "too_short": "must hold {min_length} values",
    "value_error": "{error}",
}
_SECTION = ("model_type", "model_attributes_type", "dict_type")


def first_problem(schema: type[BaseModel], error: ValidationError) -> str:
    """Returns the first problem with some settings as a line: the setting, its value, and what it must be.

    Args:
        schema: the kind of settings.
        error: what pydantic found.
    """
    problem = error.errors()[0]
    names = [part for part in problem["loc"] if isinstance(part, str)]
    path = " ".join(without_control_characters(".".join(names)).split())
    if problem["type"] == "extra_forbidden":
        return f"there is no setting called {path}; {_hint(schema, names)}"
    # an error about several fields has the whole section as its input, which would fill the line
    value = "" if isinstance(problem["input"], dict) else f" = {shown(problem['input'])}"
    if problem["type"] in _SECTION:
        section = _section(schema, names)
        field = next(iter(section.model_fields)) if section else "NAME"
        return f"{path}{value}: this is a section; set one of its fields, such as {path}.{field}"
    plain = _PLAIN.get(problem["type"], "does not fit this setting")
    return f"{path}{value}: {plain.format(**problem.get('ctx', {}))}"


def _hint(schema: type[BaseModel], names: list[str]) -> str:
    """Returns "did you mean ...?" for a misspelt field, or a field of another section; else all fields there."""
    *sections, field = names
    everywhere = list(_leaves(schema))
    elsewhere = [path for path in everywhere if path.rpartition(".")[2] == field.lower()]
    section = _section(schema, sections) or schema
    prefix = ".".join([*sections, ""])
    here = closest(field, section.model_fields)
    near = closest(field, [path.rpartition(".")[2] for path in everywhere])
    if not elsewhere and here:
        elsewhere = [prefix + here]
    if not elsewhere and near:
        elsewhere = [path for path in everywhere if path.rpartition(".")[2] == near]
    if elsewhere:
        return "did you mean " + " or ".join(f"'{path}'" for path in elsewhere) + "?"
    return f"choose one of {', '.join(prefix + name for name in section.model_fields)}"


def _leaves(schema: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name in schema.model_fields:
        section = _section(schema, [name])
        if section is None:
            yield prefix + name
        else:
            yield from _leaves(section, f"{prefix}{name}.")


def _section(schema: type[BaseModel], names: list[str]) -> type[BaseModel] | None:
    """Returns the kind of a section; None if it is a field."""
    found = schema
    for name in names:
        field = found.model_fields.get(name)
        annotation: Any = None if field is None else field.annotation
        kinds = [kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type)]
        inner = next((kind for kind in kinds if issubclass(kind, BaseModel)), None)
        if inner is None:
            return None
        found = inner
    return found
