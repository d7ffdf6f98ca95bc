"""Which precision keeps up with the sample rate on this machine, found out by generating a little."""

from __future__ import annotations

import time
from collections.abc import Callable

from fast_gen.engines.choice import EngineChoice
from fast_gen.engines.condition import stand_in
from fast_gen.engines.contract import PRECISIONS, Engine
from fast_gen.engines.sampling import SamplingSettings, uniforms
from fast_gen.engines.start import ONE_CLIP, Job, start_engine
from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.core.errors import UserError

MARGIN = 0.9  # share of the measured speed to count on, since the machine also does other things

_SECONDS = 0.1  # a shorter look would take a hiccup of the machine for its speed


def measured_speed(engine: Engine, sample_rate: int) -> float:
    """Returns how many seconds of sound an engine makes of one clip in a second; its state is lost.

    What is compiled first is not counted.
    """
    engine.reset(1)
    condition = stand_in(engine.weights)
    engine.generate(uniforms(0, rows=1, length=1), SamplingSettings(), condition)
    length = 32
    while True:
        numbers = uniforms(0, rows=1, length=length)
        began = time.perf_counter()
        engine.generate(numbers, SamplingSettings(), condition)
        seconds = time.perf_counter() - began
        if seconds >= _SECONDS:
            return length / sample_rate / seconds
        length *= 2


def engine_in_real_time(
    name: str,
    weights: GeneratorWeights,
    threads: int,
    sample_rate: int,
    say: Callable[[str], None],
    job: Job = ONE_CLIP,
) -> tuple[EngineChoice, Engine]:
    """Returns an engine of the first precision that keeps up with the sample rate; of the fastest, if none does.

    Args:
        name: as in `choose_engine`, and so are `weights` and `threads`.
        weights: the model.
        threads: of the CPU.
        sample_rate: in Hz.
        say: receives a line that says what will be waited for, and why it is not float32 if it is not.
        job: what the engine is for.

    Raises:
        UserError: no engine can run so even in float32.
    """

    def on_choice(choice: EngineChoice) -> None:
        if choice.preparation is not None:
            say(choice.preparation)

    speeds: dict[str, float] = {}
    found: dict[str, tuple[EngineChoice, Engine]] = {}
    for precision in PRECISIONS:
        try:
            found[precision] = start_engine(name, weights, "auto", precision, threads, on_choice, job)
        except UserError:
            if precision == PRECISIONS[0]:
                raise
            continue
        speeds[precision] = measured_speed(found[precision][1], sample_rate)
        if speeds[precision] * MARGIN >= 1:
            break
    taken = max(speeds, key=lambda precision: speeds[precision])
    if taken != PRECISIONS[0]:
        listed = ", ".join(f"{precision} {speed:.2f}" for precision, speed in speeds.items())
        why = "the first that keeps up" if speeds[taken] * MARGIN >= 1 else "the fastest, though it does not keep up"
        say(f"playing in {taken}, {why} (x real time: {listed}); --precision float32 plays the exact samples")
    return found[taken]
