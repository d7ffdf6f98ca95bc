"""The base of all settings: frozen, with errors for misspelt names, and overridden section by section."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from wavenet_app.core.errors import UserError
from wavenet_app.core.shown import shown


class Settings(BaseModel):
    """Base of all settings: frozen, without unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def one_of(names: Collection[str]) -> AfterValidator:
    """Makes a text field accept only the names of a registry.

    >>> from typing import Annotated
    >>> class Dish(Settings):
    ...     fruit: Annotated[str, one_of({"apple": 1, "pear": 2})]
    >>> Dish(fruit="pear").fruit
    'pear'
    """

    def check(name: str) -> str:
        if name not in names:
            raise ValueError(f"choose one of {', '.join(names)}")
        return name

    return AfterValidator(check)


AnySettings = TypeVar("AnySettings", bound=Settings)


def override(config: AnySettings, changes: dict[str, Any]) -> AnySettings:
    """Returns the config with nested `changes` applied.

    Args:
        config: the settings to start from.
        changes: section -> field -> value, as a TOML file or `parse_assignments` gives them.

    Raises:
        UserError: a field does not exist or a value does not fit; the message names it.
    """
    return validated(type(config), _laid_over(config.model_dump(), changes))


def _laid_over(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(values)
    for name, value in changes.items():
        both = isinstance(value, dict) and isinstance(merged.get(name), dict)
        merged[name] = _laid_over(merged[name], value) if both else value
    return merged


def validated(schema: type[AnySettings], values: dict[str, Any]) -> AnySettings:
    """Returns plain nested values as settings of a kind.

    Raises:
        UserError: a field does not exist or a value does not fit; the message names it.
    """
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        raise UserError(_first_problem(schema, error)) from None


def parse_assignments(assignments: list[str]) -> dict[str, Any]:
    """Returns `section.field=value` texts as nested values; values are TOML, or else plain text.

    Raises:
        UserError: a text is not of that form.

    >>> parse_assignments(["model.skip_channels=256", "model.dilations=[1, 2]"])
    {'model': {'skip_channels': 256, 'dilations': [1, 2]}}
    """
    changes: dict[str, Any] = {}
    for assignment in assignments:
        key, separator, text = assignment.partition("=")
        *sections, field = key.strip().split(".")
        if not separator:
            raise UserError(f"--set takes section.field=value, not '{assignment}' (for example training.batch_size=4)")
        place = changes
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                raise UserError(f"--set {assignment}: {section} is given as a value too")
        place[field] = _toml_value(text.strip())
    return changes


def read_config_file(path: Path) -> dict[str, Any]:
    """Returns a TOML file's nested values, for `override`.

    Raises:
        UserError: the file cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the config file {path}: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path} is not valid TOML: {error}") from None


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _first_problem(schema: type[Settings], error: ValidationError) -> str:
    problem = error.errors()[0]
    path = ".".join(str(part) for part in problem["loc"] if not isinstance(part, int))
    if problem["type"] != "extra_forbidden":
        # an error about several fields has the whole section as its input, which would fill the line
        value = "" if isinstance(problem["input"], dict) else f" = {shown(problem['input'])}"
        return f"{path}{value}: {problem['msg'].removeprefix('Value error, ')}"
    *sections, field = path.split(".")
    section: Any = schema
    for name in sections:
        annotation = section.model_fields[name].annotation
        section = next(kind for kind in (*get_args(annotation), annotation) if isinstance(kind, type))
    close = difflib.get_close_matches(field, section.model_fields, n=1)
    prefix = ".".join([*sections, ""])
    hint = f"did you mean {prefix}{close[0]}?" if close else f"choose one of {', '.join(section.model_fields)}"
    return f"there is no setting called {path}; {hint}"
