"""Contents of checkpoints as they should not be: anything in them replaced, left out or added."""

import math
import random
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch

from wavenet_app.core.errors import UserError

Result = TypeVar("Result")


def _quantized() -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.quantize_per_tensor(torch.zeros(2), 1.0, 0, torch.quint8)


def _cycle() -> list[Any]:
    items: list[Any] = []
    items.append(items)
    return items


def _dict_in_itself() -> dict[str, Any]:
    items: dict[str, Any] = {}
    items["model"] = items
    return items


JUNK = [
    None,
    True,
    -1,
    0,
    2**31,
    10**30,
    math.nan,
    -math.inf,
    "",
    "x\n" * 500,
    [],
    {},
    [[[[]]]],
    {"a": {"b": 1}},
    (1, 2),
    {1: 2},
    _cycle(),
    _dict_in_itself(),
    torch.zeros(()),
    torch.zeros(3, dtype=torch.complex64),
    torch.zeros(2, device="meta"),
    torch.eye(2).to_sparse(),
    torch.zeros(1).expand(2**40, 80),
    torch.tensor([math.nan]),
    torch.arange(4),
    _quantized(),
]
"""What nobody expects in a file."""


def mutated(content: dict[str, Any], seed: int) -> dict[str, Any]:
    """Returns a content with one to three places that are junk, missing, or new."""
    choose = random.Random(seed)
    for _ in range(choose.randint(1, 3)):
        content = _mutated_once(choose, content, whole=True)
    return content


def _mutated_once(choose: random.Random, value: Any, *, whole: bool = False) -> Any:
    """Goes down a random path, copying what is on it, and spoils its end."""
    if isinstance(value, dict) and value and (whole or choose.random() < 0.8):
        name = choose.choice(sorted(value, key=str))
        action = choose.choice(["down"] * 6 + ["drop", "rename", "add"])
        copy = dict(value)
        if action == "down":
            copy[name] = _mutated_once(choose, value[name])
        elif action == "add":
            copy[choose.choice(["new", 5])] = choose.choice(JUNK)
        else:
            del copy[name]
            if action == "rename":
                copy[f"{name}x"] = value[name]
        return copy
    if isinstance(value, list) and value and choose.random() < 0.5:
        place = choose.randrange(len(value))
        return [*value[:place], _mutated_once(choose, value[place]), *value[place + 1 :]]
    if isinstance(value, torch.Tensor) and value.dim() and value.layout == torch.strided and choose.random() < 0.5:
        return choose.choice([value[..., :0], value[0], value[None], value[:1], value[..., 0]])
    return choose.choice(JUNK)


def used(use: Callable[[Path], Result], path: Path) -> Result | None:
    """Returns what a use makes of a file, None if it is refused in one short line that names the file."""
    try:
        return use(path)
    except UserError as error:
        text = str(error)
    assert str(path) in text
    assert len(text.splitlines()) == 1
    assert len(text) < 500 + 2 * len(str(path))
    return None
