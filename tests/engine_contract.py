"""The contract of all engines. A test file subclasses `EngineContract` and creates its engine."""

import itertools
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from quiet_codes import runs_before
from random_nets import CONDITIONED, SHAPES, Codes, full_network, random_codes, random_conditioning, random_net

from fast_gen.engines.condition import ChunkCondition, projected
from fast_gen.engines.contract import Engine
from fast_gen.engines.sampling import SamplingSettings, pick_by_head, uniforms
from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.coding import MuLawCoding
from wavenet_app.config import ModelConfig
from wavenet_app.heads import DEFAULT_HEAD, Head

SETTINGS = {
    "greedy": SamplingSettings(temperature=0),
    "plain": SamplingSettings(),
    "cool": SamplingSettings(temperature=0.7),
    "top-k": SamplingSettings(temperature=1.2, top_k=5),
    "top-p": SamplingSettings(top_p=0.8),
    "top-k and top-p": SamplingSettings(top_k=12, top_p=0.9),
    "min-p": SamplingSettings(temperature=1.1, min_p=0.02),
    "quiet": SamplingSettings(temperature=0.7, quiet_temperature=1.6, quiet_samples=2),
}


def assert_picked_by(
    logits: torch.Tensor,
    codes: Codes,
    numbers: NDArray[np.float32],
    settings: SamplingSettings,
    tolerance: float,
    head: Head = DEFAULT_HEAD,
    history: Codes | None = None,
) -> None:
    """Every code is the pick from the full network's outputs, after the codes of a history.

    Where logits that differ by rounding can decide otherwise, the pick must follow from a number within `tolerance` of
    the one used, or from a logit within `tolerance` of the greatest; and such steps must be very rare.
    """
    flat, made = logits.flatten(0, 1), torch.from_numpy(codes.astype(np.int64)).flatten()
    used = torch.from_numpy(numbers).double().flatten()
    coding = MuLawCoding(logits.shape[-1]) if head.ranks_codes else head.coding
    runs = runs_before(codes, coding, history).flatten()

    def pick(numbers: torch.Tensor) -> torch.Tensor:
        return pick_by_head(head, flat, numbers, settings, runs)

    if not head.ranks_codes:
        # means are accurate to a millionth, so rounding occasionally decides between two neighbours
        distance = (pick(used) - made).abs()
        assert float((distance > 0).double().mean()) < 0.05
        differing = distance > 1
    else:
        differing = pick(used) != made
    assert int(differing.sum()) <= 1 + len(made) // 1000
    if settings.temperature == 0 and not head.ranks_codes:
        assert not differing.any()
        return
    if settings.temperature == 0:
        loss = flat.amax(-1) - flat.gather(-1, made[:, None])[:, 0]
        assert float(loss.max()) <= tolerance
        return
    # close to a tail, or to the border of two components, a small change of the number moves a 16-bit sample far
    offsets = [tolerance] if head.ranks_codes else [tolerance * 10.0**-power for power in range(7)]
    near = torch.stack([pick((used + sign * offset).clamp(0, 1 - 1e-12)) for offset in offsets for sign in (1, -1)])
    for found in torch.nonzero(differing)[:, 0].tolist():
        if head.ranks_codes:
            assert made[found] in near[:, found]
        else:
            assert near[:, found].min() - 1 <= made[found] <= near[:, found].max() + 1


class EngineContract:
    """The promises of `fast_gen.engines.contract.Engine`. Subclasses are named Test..., so that pytest collects them.

    Attributes:
        steps: length of the long runs; a slow (interpreted) engine may set less.
        tolerance: greatest difference of a logit from `WaveNet.forward`, the logits being of order 10.
        mean_tolerance: root of the mean square of all those differences.
        same_picks: whether it picks what the full network would pick; if not, what its own `score` says.
        exact_rows: whether a clip is the same, to the bit, alone and in a batch.
        head: what is laid over each shape, for a head other than mu-law.
    """

    head: ClassVar[dict[str, Any]] = {}
    steps = 1_300
    tolerance = 1e-4
    mean_tolerance = 1e-5
    same_picks = True
    exact_rows = True

    def make_engine(self, weights: GeneratorWeights) -> Engine:
        raise NotImplementedError

    def config(self, shape: str) -> ModelConfig:
        return SHAPES[shape].model_copy(update=self.head)

    def ready(self, shape: str, rows: int, seed: int = 0) -> tuple[torch.nn.Module, Engine]:
        net = random_net(self.config(shape), seed)
        engine = self.make_engine(GeneratorWeights.of(net))
        engine.reset(rows)
        return net, engine

    @pytest.mark.parametrize("shape", SHAPES)
    def test_score_equals_the_full_network(self, shape: str) -> None:
        net, engine = self.ready(shape, 2)
        codes = random_codes(net.config, 2, 300)
        difference = engine.score(codes) - full_network(net, codes).numpy()
        assert np.abs(difference).max() < self.tolerance
        assert np.sqrt(np.square(difference).mean()) < self.mean_tolerance

    def logits_behind(self, net: torch.nn.Module, engine: Engine, codes: Codes) -> torch.Tensor:
        """Returns the logits that the codes since a reset were picked from, after checking them."""
        logits = full_network(net, codes)
        if self.same_picks:
            return logits
        engine.reset(len(codes))
        own = torch.from_numpy(engine.score(codes))
        assert float((own - logits).abs().max()) < self.tolerance
        assert float((own - logits).square().mean().sqrt()) < self.mean_tolerance
        return own

    @pytest.mark.parametrize("settings", SETTINGS)
    def test_long_decoding_equals_the_full_network(self, settings: str) -> None:
        ranks = self.config("two cycles").output_head.ranks_codes
        if not ranks and (SETTINGS[settings].ranks or SETTINGS[settings].min_p):
            pytest.skip("ranks are for codes")
        net, engine = self.ready("two cycles", 1)
        assert self.steps > 10 * engine.weights.receptive_field
        self.decode_and_check(net, engine, SETTINGS[settings], self.steps)

    @pytest.mark.parametrize("shape", SHAPES)
    def test_decoding_of_any_shape_equals_the_full_network(self, shape: str) -> None:
        net, engine = self.ready(shape, 2, seed=1)
        self.decode_and_check(net, engine, SETTINGS["plain"], 400)

    def decode_and_check(self, net: torch.nn.Module, engine: Engine, settings: SamplingSettings, steps: int) -> None:
        numbers = uniforms(3, rows=engine.batch_size, length=steps)
        codes = engine.generate(numbers, settings)
        assert codes.shape == numbers.shape
        assert codes.dtype == np.int16
        if settings.quiet_temperature is not None and net.head.ranks_codes:
            assert 0.01 < (runs_before(codes, net.config.coding) >= settings.quiet_samples).float().mean() < 0.9
        assert len(np.unique(codes)) > (
            8 if not net.head.ranks_codes else min(8, net.config.quantization_channels // 2)
        )
        logits = self.logits_behind(net, engine, codes)
        assert_picked_by(logits, codes, numbers, settings, self.tolerance, net.head)

    @pytest.mark.parametrize("settings", ["greedy", "plain"])
    @pytest.mark.parametrize("shape", ["two cycles", "three taps"])
    def test_growing_the_codes_one_full_forward_at_a_time(self, shape: str, settings: str) -> None:
        if not self.same_picks or not self.config(shape).output_head.ranks_codes:
            pytest.skip("its precision is not the full network's, or rounding decides")
        net, engine = self.ready(shape, 1)
        numbers = uniforms(5, rows=1, length=50)
        history = torch.tensor([[net.config.coding.silence]])
        for time in range(50):
            with torch.no_grad():
                logits = net(history)[:, -1]
            code = pick_by_head(net.head, logits, torch.from_numpy(numbers[:, time]), SETTINGS[settings])
            history = torch.cat([history, code[:, None]], dim=1)
        np.testing.assert_array_equal(engine.generate(numbers, SETTINGS[settings]), history[:, 1:].numpy())

    @pytest.mark.parametrize("shape", ["two cycles", "three taps"])
    def test_chunks_equal_the_whole(self, shape: str) -> None:
        _, engine = self.ready(shape, 2)
        numbers = uniforms(1, rows=2, length=330)
        whole = engine.generate(numbers, SETTINGS["plain"])
        engine.reset(2)
        borders = [0, 1, 2, 9, 9, 200, 330]
        chunks = [
            engine.generate(numbers[:, borders[i] : borders[i + 1]], SETTINGS["plain"]) for i in range(len(borders) - 1)
        ]
        assert chunks[3].shape == (2, 0)
        np.testing.assert_array_equal(np.concatenate(chunks, axis=1), whole)

    @pytest.mark.parametrize("shape", ["two cycles", "odd widths", "three taps"])
    @pytest.mark.parametrize("alike", [True, False])
    def test_a_row_alone_equals_the_row_in_a_batch(self, shape: str, alike: bool) -> None:
        net, engine = self.ready(shape, 5)
        known = random_codes(net.config, 5, 90)
        if alike:
            known = np.repeat(known[:1], 5, axis=0)
        numbers = uniforms(2, rows=5, length=150)
        following = random_codes(net.config, 5, 20, seed=1)
        engine.prime(known)
        batch = engine.generate(numbers, SETTINGS["plain"])
        logits = engine.score(following)
        assert not np.array_equal(batch[0], batch[1])
        for row in range(5):
            engine.reset(1)
            engine.prime(known[row : row + 1])
            alone = engine.generate(uniforms(2, rows=1, first_row=row, length=150), SETTINGS["plain"])
            alone_logits = engine.score(following[row : row + 1])
            if self.exact_rows:
                np.testing.assert_array_equal(alone[0], batch[row])
                np.testing.assert_array_equal(alone_logits[0], logits[row])
            else:
                seen = np.concatenate([known[row], alone[0]])[None]
                assert_picked_by(
                    self.logits_behind(net, engine, seen)[:, 90:],
                    alone,
                    numbers[row : row + 1],
                    SETTINGS["plain"],
                    self.tolerance,
                    net.head,
                )

    @pytest.mark.parametrize("shape", SHAPES)
    @pytest.mark.parametrize("lengths", [(1,), (3,), (61,), (400,), (5, 1, 40), (0, 2)])
    def test_prime_equals_stepping(self, shape: str, lengths: tuple[int, ...]) -> None:
        net, engine = self.ready(shape, 2)
        known = random_codes(net.config, 2, sum(lengths))
        following = random_codes(net.config, 2, 90, seed=1)
        engine.score(known)
        stepped = engine.score(following)
        engine.reset(2)
        start = 0
        for length in lengths:
            engine.prime(known[:, start : start + length])
            start += length
        np.testing.assert_allclose(engine.score(following), stepped, atol=self.tolerance, rtol=0)

    def test_all_calls_continue_one_history(self) -> None:
        net, engine = self.ready("three taps", 2)
        known = random_codes(net.config, 2, 75)
        numbers = uniforms(4, rows=2, length=60)
        engine.score(known[:, :20])
        first = engine.generate(numbers[:, :30], SETTINGS["plain"])
        engine.prime(known[:, 20:55])
        scored = engine.score(known[:, 55:])
        last = engine.generate(numbers[:, 30:], SETTINGS["plain"])
        everything = np.concatenate([known[:, :20], first, known[:, 20:], last], axis=1)
        logits = self.logits_behind(net, engine, everything)
        head = net.head
        assert_picked_by(logits[:, 20:50], first, numbers[:, :30], SETTINGS["plain"], self.tolerance, head)
        np.testing.assert_allclose(scored, logits[:, 85:105], atol=self.tolerance, rtol=0)
        assert_picked_by(logits[:, 105:], last, numbers[:, 30:], SETTINGS["plain"], self.tolerance, head)

    @pytest.mark.parametrize("first", ["score", "prime"])
    def test_a_common_prime_does_not_make_clips_alike(self, first: str) -> None:
        net, engine = self.ready("two cycles", 2)
        before, after = random_codes(net.config, 2, 40), random_codes(net.config, 2, 60, seed=1)
        common = np.repeat(random_codes(net.config, 1, 5, seed=2), 2, axis=0)
        getattr(engine, first)(before)
        engine.prime(common)
        logits = full_network(net, np.concatenate([before, common, after], axis=1))[:, 45:]
        np.testing.assert_allclose(engine.score(after), logits, atol=self.tolerance, rtol=0)

    @pytest.mark.parametrize("shape", ["two cycles", "three taps"])
    @pytest.mark.parametrize("first", ["score", "prime"])
    def test_known_codes_count_as_quiet_or_loud(self, shape: str, first: str) -> None:
        """How far back the last loud code lies decides on the temperature, also out of the sight of the net."""
        settings = SamplingSettings(temperature=0.4, quiet_temperature=2.0, quiet_samples=90)
        net, engine = self.ready(shape, 2)
        silence = net.config.coding.silence
        known = random_codes(net.config, 2, 130)
        known[0, -95:] = silence
        known[1, -85:] = silence
        numbers = uniforms(6, rows=2, length=40)
        for chunk in np.split(known, [3, 60], axis=1):
            getattr(engine, first)(chunk)
        made = engine.generate(numbers, settings)
        engine.generate(numbers[:, :0], settings)
        runs = runs_before(made, net.config.coding, known)
        assert runs[0, 0] >= 90 > runs[1, 0] > 0
        logits = self.logits_behind(net, engine, np.concatenate([known, made], axis=1))[:, 130:]
        assert_picked_by(logits, made, numbers, settings, self.tolerance, net.head, known)

    def test_reset_forgets_everything(self) -> None:
        net, engine = self.ready("two cycles", 1)
        codes = random_codes(net.config, 1, 80)
        fresh = engine.score(codes)
        engine.reset(1)
        np.testing.assert_array_equal(engine.score(codes), fresh)

    def test_a_new_engine_is_reset_to_one_row(self) -> None:
        net = random_net(self.config("odd widths"))
        engine = self.make_engine(GeneratorWeights.of(net))
        assert engine.batch_size == 1
        codes = random_codes(net.config, 1, 10)
        assert np.abs(engine.score(codes) - full_network(net, codes).numpy()).max() < self.tolerance

    @pytest.mark.parametrize("wrong", ["rows", "axes", "too large", "too low", "float"])
    def test_wrong_codes_are_refused(self, wrong: str) -> None:
        net, engine = self.ready("two cycles", 2)
        coding = net.config.coding
        codes = {
            "rows": np.zeros((1, 3), int),
            "axes": np.zeros(3, int),
            "too large": np.full((2, 3), coding.lowest + coding.size),
            "too low": np.full((2, 3), coding.lowest - 1),
            "float": np.zeros((2, 3)),
        }[wrong]
        for call in (engine.prime, engine.score):
            with pytest.raises(ValueError, match="codes must"):
                call(codes)

    @pytest.mark.parametrize(
        "numbers", [np.zeros((1, 3)), np.ones((2, 3)), np.full((2, 3), -0.1), np.full((2, 3), np.nan)]
    )
    def test_wrong_uniforms_are_refused(self, numbers: NDArray[np.float64]) -> None:
        _, engine = self.ready("two cycles", 2)
        with pytest.raises(ValueError, match="uniforms must"):
            engine.generate(numbers.astype(np.float32), SETTINGS["plain"])


class ConditionContract:
    """The promises of `fast_gen.engines.contract.Engine` for models conditioned on speakers or mel frames.

    Attributes:
        tolerance: as in `EngineContract`, and so are `exact_rows` and `head`.
    """

    head: ClassVar[dict[str, Any]] = {}
    tolerance = 1e-4
    exact_rows = True

    def make_engine(self, weights: GeneratorWeights) -> Engine:
        raise NotImplementedError

    def ready(self, kind: str, shape: str, rows: int) -> tuple[torch.nn.Module, Engine]:
        net = random_net(SHAPES[shape].model_copy(update={**CONDITIONED[kind], **self.head}))
        engine = self.make_engine(GeneratorWeights.of(net))
        engine.reset(rows)
        return net, engine

    @pytest.mark.parametrize("kind", CONDITIONED)
    @pytest.mark.parametrize("shape", ["two cycles", "odd widths", "three taps", "one layer"])
    def test_score_equals_the_full_network(self, kind: str, shape: str) -> None:
        net, engine = self.ready(kind, shape, 2)
        codes, conditioning = random_codes(net.config, 2, 130), random_conditioning(net.config, 2, 130)
        phase = 7 if net.config.mel else 0
        found = engine.score(codes, projected(net, conditioning, phase))
        reference = full_network(net, codes, conditioning, phase).numpy()
        assert np.abs(found - reference).max() < self.tolerance
        other = full_network(net, codes, random_conditioning(net.config, 2, 130, seed=1), phase).numpy()
        assert np.abs(other - reference).max() > (100 if net.head.ranks_codes else 10) * self.tolerance, (
            "the condition matters"
        )

    @pytest.mark.parametrize("kind", CONDITIONED)
    @pytest.mark.parametrize("settings", ["greedy", "plain"])
    def test_decoding_equals_the_full_network(self, kind: str, settings: str) -> None:
        net, engine = self.ready(kind, "two cycles", 2)
        conditioning, numbers = random_conditioning(net.config, 2, 300), uniforms(3, rows=2, length=300)
        codes = engine.generate(numbers, SETTINGS[settings], projected(net, conditioning))
        logits = full_network(net, codes, conditioning)
        assert_picked_by(logits, codes, numbers, SETTINGS[settings], self.tolerance, net.head)

    @pytest.mark.parametrize("kind", CONDITIONED)
    @pytest.mark.parametrize("shape", ["two cycles", "three taps"])
    def test_chunks_equal_the_whole(self, kind: str, shape: str) -> None:
        net, engine = self.ready(kind, shape, 2)
        condition = projected(net, random_conditioning(net.config, 2, 200), 5 if net.config.mel else 0)
        assert condition is not None
        numbers = uniforms(1, rows=2, length=200)
        whole = engine.generate(numbers, SETTINGS["plain"], condition)
        engine.reset(2)
        borders = [0, 1, 2, 9, 9, 130, 200]
        chunks = []
        for start, stop in itertools.pairwise(borders):
            part = condition.part(start, stop - start)
            chunks.append(engine.generate(numbers[:, start:stop], SETTINGS["plain"], part))
        np.testing.assert_array_equal(np.concatenate(chunks, axis=1), whole)

    @pytest.mark.parametrize("kind", CONDITIONED)
    @pytest.mark.parametrize("shape", ["two cycles", "odd widths", "three taps"])
    @pytest.mark.parametrize("length", [1, 40, 260])
    @pytest.mark.parametrize("alike", [True, False])
    def test_prime_equals_stepping(self, kind: str, shape: str, length: int, alike: bool) -> None:
        net, engine = self.ready(kind, shape, 2)
        condition = projected(net, random_conditioning(net.config, 2, length + 60), 3 if net.config.mel else 0)
        assert condition is not None
        known, following = random_codes(net.config, 2, length), random_codes(net.config, 2, 60, seed=1)
        if alike:  # codes alone do not make rows alike
            known[1], following[1] = known[0], following[0]
        first, then = condition.part(0, length), condition.part(length, 60)
        engine.score(known, first)
        stepped = engine.score(following, then)
        assert not np.allclose(stepped[0], stepped[1])
        engine.reset(2)
        engine.prime(known, first)
        np.testing.assert_allclose(engine.score(following, then), stepped, atol=self.tolerance, rtol=0)

    @pytest.mark.parametrize("kind", CONDITIONED)
    def test_a_row_alone_equals_the_row_in_a_batch(self, kind: str) -> None:
        net, engine = self.ready(kind, "odd widths", 3)
        condition = projected(net, random_conditioning(net.config, 3, 90))
        assert condition is not None
        batch = engine.generate(uniforms(2, rows=3, length=90), SETTINGS["plain"], condition)
        for row in range(3):
            engine.reset(1)
            own = ChunkCondition(condition.values[row : row + 1], condition.hold)
            numbers = uniforms(2, rows=1, first_row=row, length=90)
            alone = engine.generate(numbers, SETTINGS["plain"], own)
            if self.exact_rows:
                np.testing.assert_array_equal(alone[0], batch[row])

    def test_one_row_of_conditions_is_for_all_clips(self) -> None:
        net, engine = self.ready("mel", "two cycles", 3)
        condition = projected(net, random_conditioning(net.config, 1, 50))
        assert condition is not None
        codes = random_codes(net.config, 3, 50)
        found = engine.score(codes, condition)
        engine.reset(3)
        repeated = ChunkCondition(condition.values.repeat(3, axis=0), condition.hold)
        np.testing.assert_array_equal(engine.score(codes, repeated), found)

    def test_mismatched_conditions_are_refused(self) -> None:
        net, engine = self.ready("mel", "two cycles", 2)
        condition = projected(net, random_conditioning(net.config, 2, 40))
        assert condition is not None
        codes, numbers = random_codes(net.config, 2, 40), uniforms(0, rows=2, length=40)
        values, hold = condition.values, condition.hold
        for wrong, message in (
            (None, "needs a condition"),
            (ChunkCondition(values[:, :9], hold), "covers 36 of 40"),
            (ChunkCondition(values[:, :10], hold, 1), "covers 39 of 40"),
            (ChunkCondition(values[..., 1:], hold), "must have the shape"),
            (ChunkCondition(values.repeat(2, axis=0), hold), "must have the shape"),
            (ChunkCondition(values, 0), "hold must be at least 1"),
        ):
            with pytest.raises(ValueError, match=message):
                engine.score(codes, wrong)
            with pytest.raises(ValueError, match=message):
                engine.prime(codes, wrong)
            with pytest.raises(ValueError, match=message):
                engine.generate(numbers, SETTINGS["plain"], wrong)
        plain = self.make_engine(GeneratorWeights.of(random_net(SHAPES["two cycles"].model_copy(update=self.head))))
        with pytest.raises(ValueError, match="built without a condition"):
            plain.score(codes[:1], condition)
