"""A training state put back into a model, its average and its optimizer, if it fits them."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from wavenet_app.core.content import other_shapes
from wavenet_app.core.errors import UserError

_REMEDY = "begin a new run without --resume"
_DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
_MOST_STEPS = 2**53

Kept = Mapping[str, tuple[int, ...] | None]
"""What an optimizer keeps of a parameter: name -> shape, or None for nothing."""


@runtime_checkable
class KnowsItsState(Protocol):
    """An optimizer that keeps tensors of other shapes than the parameter's."""

    def state_shapes(self, parameter: nn.Parameter) -> Kept:
        """Returns what the optimizer keeps of a parameter."""


def load_weights(model: nn.Module, weights: Mapping[str, Any]) -> None:
    """Gives a model the weights of a checkpoint.

    Raises:
        UserError: they are not those of this model.
    """
    problem = other_shapes(weights, {name: tuple(own.shape) for name, own in model.state_dict().items()})
    if problem is not None:
        raise UserError(f"the checkpoint's weights are not those of this model ({problem}); {_REMEDY}")
    model.load_state_dict(dict(weights))


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Gives an optimizer the state of a checkpoint.

    Raises:
        UserError: it is not that of this optimizer.
    """
    problem = _problem(optimizer, state)
    if problem is not None:
        raise UserError(f"the checkpoint's optimizer is not that of this run ({problem}); {_REMEDY}")
    # switches such as "fused" are those of this device, not of the one that the run began on
    groups = [
        {**given, **{name: value for name, value in own.items() if isinstance(value, bool | None)}}
        for given, own in zip(state["param_groups"], optimizer.state_dict()["param_groups"], strict=True)
    ]
    optimizer.load_state_dict({**state, "param_groups": groups})


def _problem(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> str | None:
    own = optimizer.state_dict()["param_groups"]
    groups = state["param_groups"]
    if len(groups) != len(own):
        return f"{len(groups)} groups of parameters, not {len(own)}"
    for mine, given in zip(own, groups, strict=True):
        numbers = given.get("params")
        # tensors in a damaged file would not compare
        if not isinstance(numbers, list) or any(type(one) is not int for one in numbers) or numbers != mine["params"]:
            return "other parameters"
        name = next((name for name in mine if name not in given or not _alike(mine[name], given[name])), None)
        if name is not None:
            return f"{name} is missing or of another kind"
        try:
            _probe(optimizer, given)
        except ValueError as error:
            return str(error)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    expected_of = _kept_shapes(optimizer)
    for number, values in state["state"].items():
        if not 0 <= number < len(parameters):
            return f"parameter {number} does not exist"
        expected = expected_of(parameters[number])
        if set(values) != set(expected):
            return f"the state of parameter {number} does not hold {', '.join(sorted(expected))}"
        for name, value in values.items():
            shape = expected[name]
            if value is None and shape is None:
                continue
            if not _is_plain(value) or value.dtype not in _DTYPES or tuple(value.shape) != shape:
                return f"{name} of parameter {number} is no tensor of the shape {shape or ()}"
            if not value.dim() and not 0 <= float(value) <= _MOST_STEPS:
                return f"{name} of parameter {number} is no count of steps"
    return None


def _is_plain(value: Any) -> bool:
    """Returns whether a value is a tensor that holds all its numbers."""
    return isinstance(value, torch.Tensor) and value.layout == torch.strided and not value.is_meta


def _kept_shapes(optimizer: torch.optim.Optimizer) -> Callable[[nn.Parameter], Kept]:
    """Returns a function from a parameter to the shapes of the tensors that the optimizer keeps for it.

    PyTorch's own keep numbers and tensors of the parameter's shape; one step on a vector shows which.
    """
    if isinstance(optimizer, KnowsItsState):
        return optimizer.state_shapes
    probe = _probe(optimizer, optimizer.defaults)
    (number,) = probe.param_groups[0]["params"]
    number.grad = torch.zeros(1)
    probe.step()
    dimensions = {name: None if value is None else value.dim() for name, value in probe.state[number].items()}

    def kept(parameter: nn.Parameter) -> Kept:
        shapes = {None: None, 0: (), 1: tuple(parameter.shape)}
        return {name: shapes[count] for name, count in dimensions.items()}

    return kept


def _probe(optimizer: torch.optim.Optimizer, settings: Mapping[str, Any]) -> torch.optim.Optimizer:
    """Returns an optimizer of a short vector with other numbers as its settings, which it checks itself."""
    taken = inspect.signature(type(optimizer)).parameters
    switches = {name: value for name, value in optimizer.defaults.items() if isinstance(value, bool | None)}
    chosen = {**settings, **switches}
    known = {name: chosen[name] for name in optimizer.defaults if name in taken}
    return type(optimizer)([nn.Parameter(torch.zeros(1))], **known)


def _alike(mine: Any, given: Any) -> bool:
    """Returns whether a hyperparameter can stand for another: a number, some numbers, or a switch."""
    if isinstance(mine, bool | None):
        return isinstance(given, bool | None)
    if isinstance(mine, int | float):
        return isinstance(given, int | float) and not isinstance(given, bool) and math.isfinite(given)
    if isinstance(mine, list | tuple):
        if not isinstance(given, Sequence) or len(given) != len(mine):
            return False
        return all(_alike(one, other) for one, other in zip(mine, given, strict=True))
    return type(mine) is type(given)
