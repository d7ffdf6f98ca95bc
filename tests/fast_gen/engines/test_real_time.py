"""The precision that playing takes: the first that keeps up, else the fastest."""

import pytest
from random_nets import SHAPES, random_net

from fast_gen.engines import real_time
from fast_gen.engines.contract import PRECISIONS
from fast_gen.engines.cpu.engine import NumbaCpu
from fast_gen.engines.real_time import engine_in_real_time, measured_speed
from fast_gen.engines.reference import TorchQueue
from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.core.errors import UserError


@pytest.fixture(scope="module")
def weights() -> GeneratorWeights:
    return GeneratorWeights.of(random_net(SHAPES["one layer"]))


@pytest.mark.parametrize(
    ("speeds", "taken", "measured", "words"),
    [
        ((1.2, 9, 9), "float32", 1, None),
        ((1.0, 1.3, 9), "bfloat16", 2, "the first that keeps up (x real time: float32 1.00, bfloat16 1.30)"),
        ((0.3, 0.5, 1.2), "int8", 3, "the first that keeps up"),
        ((0.3, 0.6, 0.5), "bfloat16", 3, "the fastest, though it does not keep up"),
        ((0.3, 0.2, 0.1), "float32", 3, None),
    ],
)
def test_the_first_precision_that_keeps_up_is_taken(
    weights: GeneratorWeights,
    monkeypatch: pytest.MonkeyPatch,
    speeds: tuple[float, ...],
    taken: str,
    measured: int,
    words: str | None,
) -> None:
    asked: list[str] = []

    def speed(engine: NumbaCpu, sample_rate: int) -> float:
        asked.append(engine.precision)
        return dict(zip(PRECISIONS, speeds, strict=True))[engine.precision]

    monkeypatch.setattr(real_time, "measured_speed", speed)
    said: list[str] = []
    choice, engine = engine_in_real_time("cpu", weights, 1, 16_000, said.append)
    assert (choice.precision, engine.precision) == (taken, taken)
    assert asked == list(PRECISIONS[:measured])
    about = [line for line in said if line.startswith("playing in")]
    assert len(about) == (0 if words is None else 1)
    assert words is None or words in about[0]


def test_an_engine_of_one_precision_is_taken_as_it_is(
    weights: GeneratorWeights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(real_time, "measured_speed", lambda *_: 0.1)
    said: list[str] = []
    choice, engine = engine_in_real_time("torch", weights, 1, 16_000, said.append)
    assert isinstance(engine, TorchQueue)
    assert (choice.precision, said) == ("float32", [])
    with pytest.raises(UserError, match="takes one thread"):
        engine_in_real_time("torch", weights, 2, 16_000, said.append)


@pytest.mark.parametrize(("rate", "tick", "samples"), [(1_000, 2.0, 32), (16_000, 2.0, 32), (1_000, 1e-4, 128)])
def test_speed_is_of_sound_at_its_rate(
    weights: GeneratorWeights, monkeypatch: pytest.MonkeyPatch, rate: int, tick: float, samples: int
) -> None:
    # what is measured begins at the first look at the clock and ends at the next one
    looks = iter([0.0, tick, 5.0, 5.0 + tick, 9.0, 11.0])
    monkeypatch.setattr(real_time.time, "perf_counter", lambda: next(looks))
    assert measured_speed(TorchQueue(weights), rate) == pytest.approx(samples / rate / 2)
