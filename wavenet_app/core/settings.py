"""The base of all settings: frozen, with errors for misspelt names, and overridden section by section."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from wavenet_app.core.errors import UserError
from wavenet_app.core.setting_problems import first_problem
from wavenet_app.core.text import decoded_text

# the time that Python takes for a dotted key grows with the square of its parts
_DEEP_KEY = re.compile(r"""(?<![\w"'.-])(?:[\w"'-]++\s*+\.\s*+){100}""")
_OF_ONE_RUN = ("name", "software")


class Settings(BaseModel):
    """Base of all settings: frozen, without unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


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
        raise UserError(first_problem(schema, error)) from None


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
    """Returns the nested values of a TOML file, or of the config.json of a run, for `override`.

    The name of that run and the versions of its software are left out: the new run has its own.

    Raises:
        UserError: the file cannot be read, or is neither TOML nor, if its name ends in .json, JSON.
    """
    try:
        text = decoded_text(path.read_bytes())
    except (OSError, UnicodeDecodeError) as error:
        reason = (error.strerror or str(error)) if isinstance(error, OSError) else "it is not text in UTF-8 or UTF-16"
        raise UserError(f"cannot read the config file {path}: {reason}") from None
    if path.suffix.lower() == ".json":
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:  # an integer of thousands of digits, lists in lists without end
            raise UserError(f"{path} is not valid JSON: {_parse_problem(error)}") from None
        if not isinstance(values, dict):
            raise UserError(f"{path} holds no settings; give the config.json of a run, or a TOML file")
        return {name: value for name, value in values.items() if name not in _OF_ONE_RUN}
    try:
        return _parsed(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid TOML: {_parse_problem(error)}") from None


def _parsed(text: str) -> dict[str, Any]:
    """Returns the values of TOML; raises ValueError or RecursionError where it is none, or is nested too deeply."""
    if _DEEP_KEY.search(text):
        raise RecursionError
    return tomllib.loads(text)


def _parse_problem(error: Exception) -> str:
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)


def _toml_value(text: str) -> Any:
    try:
        return _parsed(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text
