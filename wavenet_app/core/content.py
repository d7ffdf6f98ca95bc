"""What a checkpoint must hold, checked once when it is read; each kind of model extends `Content`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from wavenet_app.core.errors import UserError
from wavenet_app.core.settings import Settings
from wavenet_app.core.shown import shown

Shapes = Mapping[str, tuple[int, ...]]
"""Name of a tensor -> its shape."""


def _tensor(value: Any) -> Any:
    import torch

    if not isinstance(value, torch.Tensor) or value.is_complex():
        raise ValueError("must be a tensor of real numbers")
    return value


def _plain(value: Any) -> Any:
    """Returns a value if it consists of what JSON can say: pydantic would compare tensors with what it expects."""
    left, seen = [value], set()
    while left:
        item = left.pop()
        if isinstance(item, dict | list | tuple):
            if id(item) in seen:
                continue
            seen.add(id(item))
            left += [*item, *item.values()] if isinstance(item, dict) else item
        elif not isinstance(item, str | int | float | None):
            raise ValueError(f"holds a {type(item).__name__} where a plain value is expected")
    return value


Weights = dict[str, Annotated[Any, AfterValidator(_tensor)]]
Plain = BeforeValidator(_plain)
"""Marks a field of settings, which may hold plain values only."""

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Part(BaseModel):
    """Base of every part of a content: values have their type already; other fields may stand beside."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)


class HistoryLine(Part):
    """A row of metrics.csv."""

    model_config = ConfigDict(extra="forbid")

    step: Annotated[int, Field(ge=0)]
    seconds: Seconds
    train: float
    validation: float
    learning_rate: float


def _of_float_size(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for group in groups:
        for name, value in group.items():
            if isinstance(value, int) and abs(value) > _GREATEST_OPTION:
                raise ValueError(f"{name} must be at most 2**53")
    return groups


_GREATEST_OPTION = 2**53  # torch computes with the options of an optimizer as floats


class OptimizerState(Part):
    """What `state_dict` of an optimizer returns."""

    state: dict[int, dict[str, Any]]
    param_groups: Annotated[list[dict[str, Any]], AfterValidator(_of_float_size)]


class TrainingState(Part):
    """What an exact resume needs."""

    weights: Weights
    optimizer: OptimizerState
    step: Annotated[int, Field(ge=0)]
    seconds: Seconds
    loss: float
    best: float


class Content(Part):
    """What checkpoints of all kinds hold."""

    format: str
    version: int
    software: dict[str, str | None] | None = None
    history: list[HistoryLine] = []
    training: TrainingState | None = None

    def normalised(self, content: dict[str, Any]) -> dict[str, Any]:
        """Returns the content that this was made of, with defaults for absent fields and complete settings."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        absent = {name: value for name, value in fields.items() if name not in content and value is not None}
        settings = {
            name: value.model_dump(mode="json") for name, value in fields.items() if isinstance(value, Settings)
        }
        return {**content, **absent, **settings}


def checked(path: Path, schema: type[Content], content: dict[Any, Any]) -> dict[str, Any]:
    """Returns a content that fits its schema, with defaults for what is absent.

    Raises:
        UserError: something in it does not fit; the message names the file and the field.
    """
    try:
        return schema.model_validate(content).normalised(content)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        name = ".".join(str(part) for part in problem["loc"] if not isinstance(part, int))
        whole = isinstance(problem["input"], dict) or problem["type"] == "missing"
        value = "" if whole or not name else f" = {shown(problem['input'])}"
        reason = problem["msg"].removeprefix("Value error, ")
        raise UserError(f"{path} does not hold what it should: {name}{value}{': ' if name else ''}{reason}") from None


def other_shapes(weights: Mapping[str, Any], expected: Shapes) -> str | None:
    """Returns in which way tensors differ from the expected names and shapes, None if they do not."""
    for name, shape in expected.items():
        if name not in weights:
            return f"{name} is missing"
        if tuple(weights[name].shape) != shape:
            return f"{name} has the shape {shown(tuple(weights[name].shape))}, not {shown(shape)}"
    unknown = next((name for name in weights if name not in expected), None)
    return None if unknown is None else f"{shown(unknown)} is unknown"
