"""Numbers that a caller in Python passes: checked, with an error that names the argument."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import numpy as np

from wavenet_app.core.errors import UserError


def checked_number(name: str, value: Any, *, least: float | None = None, most: float | None = None) -> float:
    """Returns a finite number within limits.

    Args:
        name: of the argument.
        value: what the caller passed.
        least: limit, included; None for none.
        most: limit, included; None for none.

    Raises:
        UserError: it is no such number.

    >>> checked_number("seconds", 2, least=0.01)
    2.0
    """
    try:
        number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
    except OverflowError:  # an integer beyond all floats
        number = math.inf
    if not math.isfinite(number) or (least is not None and number < least) or (most is not None and number > most):
        raise UserError(f"{name} must be a number{_limits(least, most)}, not {value!r}")
    return number


def checked_whole(name: str, value: Any, *, least: int | None = None, most: int | None = None) -> int:
    """Returns a whole number within limits; arguments and errors as for `checked_number`.

    >>> checked_whole("n", 3, least=1)
    3
    """
    if (
        isinstance(value, bool)
        or not isinstance(value, int | np.integer)
        or (least is not None and value < least)
        or (most is not None and value > most)
    ):
        raise UserError(f"{name} must be a whole number{_limits(least, most)}, not {value!r}")
    return int(value)


def _limits(least: float | None, most: float | None) -> str:
    if least is not None and most is not None:
        return f" from {least:g} to {most:g}"
    if most is not None:
        return f" of at most {most:g}"
    return "" if least is None else f" of at least {least:g}"
