"""An engine tried out on this machine: first whether it sounds right, then how fast it is."""

from __future__ import annotations

import time
from dataclasses import dataclass

from fast_gen.engines.condition import stand_in
from fast_gen.engines.contract import Engine
from fast_gen.engines.sampling import SamplingSettings, uniforms
from fast_gen.engines.self_check import self_check

TIMED_SECONDS = 0.1
"""A shorter look would take a hiccup of the machine for its speed."""


@dataclass(frozen=True)
class Trial:
    """The result for one engine.

    Attributes:
        samples_per_second: of all clips together; None if the engine is at fault.
        fault: what is wrong with its sound, or None.
        date: of the trial, as 2026-01-31.
    """

    samples_per_second: float | None
    fault: str | None
    date: str


def try_out(engine: Engine, reference: Engine, clips: int) -> Trial:
    """Returns how an engine does with a number of clips; the state of both is lost.

    Args:
        engine: the engine.
        reference: as in `self_check`; the same object as `engine` for one that needs no check.
        clips: how many at a time.

    Raises:
        UserError: it cannot compute.
    """
    fault = None if engine is reference else self_check(engine, reference, clips)
    speed = samples_per_second(engine, clips) if fault is None else None
    return Trial(speed, fault, today())


def today() -> str:
    """Returns the date, as 2026-01-31."""
    return time.strftime("%Y-%m-%d")


def samples_per_second(engine: Engine, clips: int, seconds: float = TIMED_SECONDS) -> float:
    """Returns the samples of all clips that an engine makes in a second, without what is compiled first.

    Its state is lost.
    """
    engine.reset(clips)
    condition = stand_in(engine.weights)
    engine.generate(uniforms(0, rows=clips, length=1), SamplingSettings(), condition)
    length = 1
    while True:
        numbers = uniforms(0, rows=clips, length=length)
        began = time.perf_counter()
        engine.generate(numbers, SamplingSettings(), condition)
        elapsed = time.perf_counter() - began
        if elapsed >= seconds:
            engine.reset(1)
            return clips * length / elapsed
        length *= 2 if elapsed > seconds / 4 else 4
