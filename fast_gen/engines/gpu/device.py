"""Whether there is a GPU to compute on, and what goes wrong on one in words that a user can act on."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from subprocess import SubprocessError
from typing import Any, Concatenate, ParamSpec, TypeVar

import torch

from fast_gen.engines.contract import WAY_OUT
from wavenet_app.core.errors import UserError

NO_GPU = "torch sees no CUDA device"

_LONGEST = 200  # characters of somebody else's message

_FAILURES = (RuntimeError, OSError, ImportError, AssertionError, SubprocessError)
"""What torch, the driver, Triton and the C compiler that it starts raise; Triton has classes of its own besides."""

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def missing_gpu() -> str | None:
    """Returns why torch has no GPU to compute on, or None; nothing is computed on it to find out."""
    with warnings.catch_warnings(record=True) as caught:  # by which torch says what is wrong with the driver
        warnings.simplefilter("always")
        available = torch.cuda.is_available()
    if available:
        try:
            torch.cuda.get_device_capability()
        except _FAILURES as error:
            return f"the GPU does not answer ({_first_line(error)})"
        return None
    if torch.version.cuda is None:
        return f"{NO_GPU}, as it is built without CUDA"
    why = [str(warning.message).removeprefix("CUDA initialization: ") for warning in caught]
    return f"{NO_GPU} ({_shortened(why[0].split('. ')[0])})" if why else NO_GPU


@contextmanager
def gpu_in_words(engine: Any) -> Iterator[None]:
    """A block in which an engine computes; on the CPU it is no more than its content.

    Raises:
        UserError: the GPU is full, taken or broken, or what compiles for it fails.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        known = engine.device != "cpu" and (isinstance(error, _FAILURES) or _is_tritons(error))
        if not (known or isinstance(error, torch.cuda.OutOfMemoryError)):
            raise
        raise UserError(_in_words(error, getattr(engine, "batch_size", 1))) from error


def gpu_failures_in_words(
    method: Callable[Concatenate[Any, Arguments], Result],
) -> Callable[Concatenate[Any, Arguments], Result]:
    """Returns a method of an engine that says in words what goes wrong on its GPU; see `gpu_in_words`."""

    @wraps(method)
    def call(engine: Any, /, *arguments: Arguments.args, **named: Arguments.kwargs) -> Result:
        with gpu_in_words(engine):
            return method(engine, *arguments, **named)

    return call


def _is_tritons(error: Exception) -> bool:
    return type(error).__module__.startswith("triton.")


def _in_words(error: Exception, clips: int) -> str:
    said = str(error)
    if isinstance(error, torch.cuda.OutOfMemoryError) or "out of memory" in said or "ALLOC_FAILED" in said:
        if clips == 1:
            return f"the GPU has not enough memory for this model{_free()}; close what else runs on it, or {WAY_OUT}"
        return f"the GPU has not enough memory for {clips} clips at once{_free()}; generate fewer, or {WAY_OUT}"
    if "busy or unavailable" in said:
        return f"the GPU is taken by another program, which shares it with nobody; wait for that to end, or {WAY_OUT}"
    if "no kernel image" in said:
        return f"this torch has no code for {_name()}, which is too old or too new for it; {WAY_OUT}"
    if isinstance(error, SubprocessError):
        return f"triton cannot build what launches its kernels, as the C compiler fails; {WAY_OUT}"
    return f"the GPU cannot be used ({type(error).__name__}: {_first_line(error)}); {WAY_OUT}"


def _free() -> str:
    """Returns in brackets how much memory is free; nothing if the GPU does not say."""
    try:
        free = torch.cuda.mem_get_info()[0]
    except _FAILURES:
        return ""
    return f" ({free / 1e9:.1f} GB are free)"


def _name() -> str:
    try:
        return torch.cuda.get_device_name()
    except _FAILURES:
        return "the GPU"


def _first_line(error: Exception) -> str:
    """Returns what an error says, without the advice to developers and the source code that follow in other lines."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if _is_tritons(error) and lines:  # which gives the source code first
        return _shortened(lines[-1])
    return _shortened(lines[0]) if lines else "no reason given"


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
