"""`auto` decides by trials: fake engines are fast, slow, wrong, unsteady, failing, or take long to compile."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from random_nets import CONDITIONED, GAUSSIAN, LOGISTICS, PREDICTION, SHAPES, random_net

from fast_gen.engines import choice as engine_choice
from fast_gen.engines import fastest, trial, trial_cache
from fast_gen.engines.choice import EngineChoice, choose_engine
from fast_gen.engines.condition import ChunkCondition
from fast_gen.engines.cpu.engine import NumbaCpu
from fast_gen.engines.gpu import device
from fast_gen.engines.reference import TorchQueue
from fast_gen.engines.sampling import SamplingSettings
from fast_gen.engines.self_check import PICKED_CODES, self_check
from fast_gen.engines.start import Job, start_engine
from fast_gen.engines.trial_cache import TrialCache, counted, trial_key
from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.core.errors import UserError

SPEEDS = {"Exact": 1_000.0, "Fast": 50_000.0, "Slow": 200.0, "Compiling": 80_000.0, "Wrong": 9e6, "Failing": 9e6}
CLOCK: list[float] = [0.0]
"""The time that fakes take, in seconds; advanced by what they generate."""


class Exact(TorchQueue):
    """The CPU engine, whose speed is stated."""

    devices = ("cpu",)
    precisions = ("float32", "bfloat16")

    def _load(self) -> None:
        self.device, wanted = "cpu", self.device
        super()._load()
        self.claimed = wanted

    def generate(self, numbers: NDArray[np.float32], *others: object) -> NDArray[np.int16]:
        CLOCK[0] += numbers.size / SPEEDS[type(self).__name__]
        if numbers.shape[1] > PICKED_CODES:  # which is only timed
            return np.zeros(numbers.shape, np.int16)
        return super().generate(numbers, *others)


class Fast(Exact):
    devices = ("cuda",)

    @classmethod
    def _missing_hardware(cls, *_: object) -> None:
        return None


class Slow(Fast):
    pass


class Compiling(Fast):
    """Faster still, but has to be compiled."""

    @classmethod
    def preparation(cls, *_: object) -> str:
        return "compiling for a minute"


class Wrong(Fast):
    """Fast, with scores that are off after some codes."""

    def score(self, codes: NDArray[np.integer], *others: object) -> NDArray[np.float32]:
        found = super().score(codes, *others)
        found[-1, -1, 0] += 1.0
        return found


class Unsteady(Wrong):
    """Its last bits change from run to run."""

    runs = 0

    def score(self, codes: NDArray[np.integer], *others: object) -> NDArray[np.float32]:
        type(self).runs += 1
        found = Fast.score(self, codes, *others)
        return found + np.float32(1e-5 * (type(self).runs % 7))


class Mispicking(Fast):
    """Right scores, wrong codes."""

    def generate(self, numbers: NDArray[np.float32], *others: object) -> NDArray[np.int16]:
        return super().generate(np.zeros_like(numbers) if numbers.shape[1] > 1 else numbers, *others)


class Broken(Wrong):
    """Scores that are not numbers."""

    def score(self, codes: NDArray[np.integer], *others: object) -> NDArray[np.float32]:
        return Fast.score(self, codes, *others) * np.float32(np.nan)


class Failing(Fast):
    def score(self, codes: NDArray[np.integer], *others: object) -> NDArray[np.float32]:
        raise UserError("the GPU is full; take --engine cpu")


SPEEDS |= dict.fromkeys(("Unsteady", "Mispicking", "Broken"), 9e6)


@pytest.fixture(scope="module")
def weights() -> GeneratorWeights:
    return GeneratorWeights.of(random_net(SHAPES["one layer"]))


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A function that makes some of the fakes all engines there are."""
    monkeypatch.setattr(device, "missing_gpu", lambda: None)
    monkeypatch.setattr(trial.time, "perf_counter", lambda: CLOCK[0])

    def install(*names: str) -> None:
        found = {name.lower(): f"{__name__}:{name}" for name in names}
        monkeypatch.setattr(engine_choice, "ENGINES", found)
        monkeypatch.setattr(fastest, "ENGINES", found)

    return install


def start(
    weights: GeneratorWeights, clips: int = 1, samples: int | None = None, trials: TrialCache | None = None
) -> tuple[EngineChoice, list[str]]:
    said: list[str] = []
    choice, engine = start_engine(
        "auto", weights, on_choice=lambda one: said.append(one.reason), job=Job(clips, samples, trials)
    )
    assert type(engine).__name__.lower() == choice.name
    assert said[-1] == choice.reason
    return choice, said


def test_a_long_job_takes_the_fastest_and_says_the_figures(weights, engines) -> None:
    engines("Exact", "Slow", "Compiling", "Fast")
    choice, said = start(weights, 4, 1_000_000)
    assert choice.name == "compiling"
    today = time.strftime("%Y-%m-%d")
    assert choice.reason == (
        "engine compiling on cuda (the reference, torch layer by layer, float32, 1 thread): the fastest for 4 clips, "
        f"timed on {today} (samples/s: compiling 80,000, fast 50,000, exact 1,000, slow 200)"
    )
    assert len(said) == 4  # three were named while they were tried


@pytest.mark.parametrize(
    ("samples", "taken", "untried"),
    [
        (5_000, "exact", "fast, compiling"),  # 5 s on the CPU: no engine of a GPU starts in that time
        (7_000, "fast", "compiling"),  # 7 s: worth a start of 3 s, not a compilation
        (59_000, "fast", "compiling"),  # on the CPU a minute, but a second with the fast one
        (3_100_000, "compiling", ""),  # a minute with the fast one
    ],
)
def test_engines_are_tried_only_for_jobs_that_pay_for_it(weights, engines, samples, taken, untried) -> None:
    engines("Exact", "Fast", "Compiling")
    choice, _ = start(weights, 1, samples)
    assert choice.name == taken
    assert choice.reason.endswith(f"; too short a job to try: {untried}" if untried else ")")


@pytest.mark.parametrize(
    ("fake", "words"),
    [
        ("Wrong", "its scores differ from those of the CPU by "),
        ("Broken", "its scores differ from those of the CPU by nan"),
        ("Unsteady", "its scores are not the same twice"),
        ("Mispicking", "of its codes follow from its scores"),
        ("Failing", "the GPU is full"),
    ],
)
def test_a_wrong_sound_is_never_taken_however_fast(weights, engines, tmp_path, fake, words) -> None:
    engines("Exact", fake, "Fast")
    trials = TrialCache(tmp_path)
    for clips in (1, 16):
        choice, _ = start(weights, clips, 10_000_000, trials)
        assert choice.name == "fast"
        assert f"passed over: {fake.lower()} on cuda: " in choice.reason
        assert words in choice.reason
    # later, without a trial: what is known to be wrong stays out, what failed is asked again
    choice, _ = start(weights, 16, None, trials)
    assert choice.name == "fast"
    # and where nothing is timed, it must sound right too
    choice, _ = start(weights, 16)
    assert choice.name == "fast"
    assert words in choice.reason


def test_untimed_the_cpu_has_few_clips_and_the_gpu_many(weights, engines) -> None:
    engines("Exact", "Fast", "Slow")
    assert [start(weights, clips)[0].name for clips in (1, 8, 9, 20)] == ["exact", "exact", "fast", "fast"]
    choice, _ = start(weights, 9)
    assert choice.reason.endswith(
        ": usually the fastest for more than 8 clips; not timed here yet, which wavegen bench does"
    )


def test_a_machine_without_a_gpu_times_nothing(weights, engines, monkeypatch, tmp_path) -> None:
    engines("Exact", "Fast")
    monkeypatch.setattr(device, "missing_gpu", lambda: "torch sees no CUDA device")
    choice, said = start(weights, 64, 10**9, TrialCache(tmp_path))
    assert choice.name == "exact"
    assert choice.reason.endswith("the fastest that can run here")
    assert len(said) == 1
    assert list(tmp_path.iterdir()) == []


def test_trials_are_kept_and_not_repeated(weights, engines, tmp_path, monkeypatch) -> None:
    engines("Exact", "Fast", "Wrong")
    trials = TrialCache(tmp_path)
    first, said = start(weights, 3, 10_000_000, trials)
    assert (first.name, len(said)) == ("fast", 3)
    monkeypatch.setattr("fast_gen.engines.fastest.try_out", None)  # which would fail
    again, said = start(weights, 4, 5, trials)  # 3 and 4 clips count as the same
    assert (again.name, len(said)) == ("fast", 1)
    assert "wrong on cuda: its scores differ" in again.reason
    unknown, _ = start(weights, 4, None, trials)  # as when playing
    assert unknown.name == "fast"
    assert start(weights, 5, None, trials)[0].name == "exact"  # another number of clips is another job


def test_an_engine_that_was_fast_and_fails_now_is_passed_over(weights, engines, tmp_path, monkeypatch) -> None:
    engines("Exact", "Fast")
    trials = TrialCache(tmp_path)
    start(weights, 1, 10_000_000, trials)

    def full(*_: object) -> None:
        raise UserError("the GPU is taken by another program; take --engine cpu")

    monkeypatch.setattr(Fast, "_load", full)
    choice, _ = start(weights, 1, None, trials)
    assert choice.name == "exact"
    assert "passed over: fast on cuda: the GPU is taken by another program" in choice.reason


@pytest.mark.parametrize("content", ["", "{", "[]", '{"trials": [["a", "cuda", {"x": 1}]]}', '{"trials": 3}'])
def test_a_damaged_file_of_trials_is_made_again(weights, engines, tmp_path, content) -> None:
    engines("Exact", "Fast")
    trials = TrialCache(tmp_path)
    key = trial_key(weights, "float32", 1, 1)
    (tmp_path / f"{key}.json").write_text(content)
    assert start(weights, 1, 10_000_000, trials)[0].name == "fast"
    assert len(json.loads((tmp_path / f"{key}.json").read_text())["trials"]) == 2


def test_a_folder_that_cannot_be_written_keeps_nothing(weights, engines, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    engines("Exact", "Fast")
    assert start(weights, 1, 10_000_000, TrialCache(tmp_path / "file"))[0].name == "fast"


def test_the_key_follows_all_that_a_trial_depends_on(weights, monkeypatch) -> None:
    keys = [
        trial_key(weights, "float32", 1, 3),
        trial_key(weights, "bfloat16", 1, 3),
        trial_key(weights, "float32", 2, 3),
        trial_key(weights, "float32", 1, 5),
    ]
    changes = [CONDITIONED["speakers"], CONDITIONED["mel"], GAUSSIAN, LOGISTICS, PREDICTION, {"dilations": (2,)}]
    for change in changes:
        net = random_net(SHAPES["one layer"].model_copy(update=change))
        keys.append(trial_key(GeneratorWeights.of(net), "float32", 1, 3))
    for part, value in (("_processor", lambda: "another"), ("_sources", lambda: "another")):
        with monkeypatch.context() as patch:
            patch.setattr(trial_cache, part, value)
            keys.append(trial_key(weights, "float32", 1, 3))
    assert len(set(keys)) == len(keys)
    other_values = GeneratorWeights.of(random_net(SHAPES["one layer"], seed=1))
    assert trial_key(other_values, "float32", 1, 4) == keys[0]
    assert [counted(clips) for clips in (1, 2, 3, 4, 255, 257)] == [1, 2, 4, 4, 256, 512]


def test_an_engine_asked_for_by_name_is_not_tried_out(weights, engines) -> None:
    engines("Exact", "Wrong", "Fast")
    choice, _ = start_engine("wrong", weights, job=Job(1, 10**9))
    assert choice.name == "wrong"
    assert choose_engine("wrong", weights).reason.endswith(": asked for")


@pytest.mark.parametrize("clips", [1, 3, 65])
@pytest.mark.parametrize("changes", [{}, CONDITIONED["speakers and mel"], GAUSSIAN, PREDICTION | LOGISTICS], ids=str)
def test_the_compiled_engine_passes_the_check(changes: dict[str, object], clips: int, tmp_path: Path) -> None:
    """Against the reference, with every head and condition, and in each precision."""
    weights = GeneratorWeights.of(random_net(SHAPES["odd widths"].model_copy(update=changes)))
    for precision in ("float32",) if changes else NumbaCpu.precisions:
        assert self_check(NumbaCpu(weights, "cpu", precision), TorchQueue(weights, "cpu"), clips) is None


class Deaf(TorchQueue):
    """Takes quiet parts for loud ones."""

    def generate(
        self, uniforms: NDArray[np.float32], settings: SamplingSettings, condition: ChunkCondition | None = None
    ) -> NDArray[np.int16]:
        return super().generate(uniforms, SamplingSettings(settings.temperature), condition)


def test_an_engine_that_does_not_hear_what_is_quiet_fails_the_check() -> None:
    weights = GeneratorWeights.of(random_net(SHAPES["odd widths"]))
    found = self_check(Deaf(weights, "cpu"), TorchQueue(weights, "cpu"), 65)
    assert found is not None
    assert "of its codes follow from its scores" in found


def test_the_speed_is_that_of_all_clips(weights, engines) -> None:
    engines("Exact")
    assert trial.samples_per_second(Exact(weights), 7) == pytest.approx(1_000)
