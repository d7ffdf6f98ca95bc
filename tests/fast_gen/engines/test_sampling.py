"""Uniform numbers that depend on seed, row and time alone, and the pick against its definition in plain Python."""

import math
import random
from pathlib import Path
from typing import get_args

import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fast_gen.engines.pick_weights import COEFFICIENTS, UNIT, pick_scale
from fast_gen.engines.quiet import MOST_QUIET, quiet_reach, quiet_runs
from fast_gen.engines.sampling import (
    LOUD_TEMPERATURE,
    QUIET_TEMPERATURE,
    VOCODING_TEMPERATURE,
    SamplingSettings,
    integer_weights,
    next_quiet_runs,
    pick,
    pick_by_head,
    pick_gaussian,
    pick_logistics,
    splitmix64,
    uniforms,
    usual_settings,
)
from fast_gen.options import EvalTemperature, QuietTemperature, Temperature, VocodingTemperature
from wavenet_app.coding import STEP, MuLawCoding
from wavenet_app.config import MelConfig, ModelConfig
from wavenet_app.core.errors import UserError
from wavenet_app.heads import CategoricalHead, GaussianHead, LogisticsHead

SEEDS = st.integers(min_value=-(2**70), max_value=2**70)


def test_splitmix64_gives_the_published_sequence() -> None:
    found = splitmix64(np.array([1234567], dtype=np.uint64), np.arange(4, dtype=np.uint64))
    assert found.tolist() == [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]


@given(SEEDS, st.integers(0, 10**12), st.lists(st.integers(0, 20), min_size=1, max_size=5))
def test_chunks_equal_the_whole(seed: int, start: int, lengths: list[int]) -> None:
    whole = uniforms(seed, rows=2, start=start, length=sum(lengths))
    starts = [start + sum(lengths[:number]) for number in range(len(lengths))]
    chunks = [uniforms(seed, rows=2, start=begin, length=size) for begin, size in zip(starts, lengths, strict=True)]
    np.testing.assert_array_equal(np.concatenate(chunks, axis=1), whole)


@given(SEEDS, st.integers(1, 6), st.integers(0, 1000))
def test_a_row_does_not_depend_on_the_batch(seed: int, rows: int, first_row: int) -> None:
    batch = uniforms(seed, rows=rows, first_row=first_row, length=9)
    for row in range(rows):
        np.testing.assert_array_equal(uniforms(seed, rows=1, first_row=first_row + row, length=9)[0], batch[row])


@given(SEEDS)
def test_rows_and_seeds_differ(seed: int) -> None:
    numbers = uniforms(seed, rows=3, length=64)
    assert len(np.unique(numbers)) > 180
    assert not np.array_equal(numbers, uniforms(seed + 1, rows=3, length=64))


@pytest.mark.parametrize("seed", [0, 1, 2**63])
def test_numbers_are_uniform_uncorrelated_and_below_one(seed: int) -> None:
    numbers = uniforms(seed, rows=50, length=20_000)
    assert numbers.dtype == np.float32
    assert numbers.min() >= 0
    assert numbers.max() < 1
    counts = np.histogram(numbers, bins=100, range=(0, 1))[0]
    chi_squared = ((counts - counts.mean()) ** 2 / counts.mean()).sum()
    assert 50 < chi_squared < 160  # 99 degrees of freedom: about 99 +- 14
    centred = numbers - 0.5
    for one, other in ((centred[:, 1:], centred[:, :-1]), (centred[1:], centred[:-1])):
        assert abs((one * other).mean() * 12) < 0.005


def test_the_greatest_number_is_below_one() -> None:
    assert np.float32(2**24 - 1) * np.float32(2.0**-24) < 1


def plain_weight(difference: np.float32, temperature: float) -> int:
    """The definition of a weight, for a float32 difference to the greatest logit, in Python's own integers."""
    scale = np.float32(min(max(2**24 / math.log(2) / temperature, 1e-30), 3e38))
    halvings = -math.trunc(max(float(difference * scale), -29 * 2**24))
    rest = halvings % 2**24 * 2**8
    total = COEFFICIENTS[6]
    for place in range(5, -1, -1):
        total = COEFFICIENTS[place] - total * rest // 2**32
    return int(total // 2 ** (halvings // 2**24 + 2))


def plain_pick(logits: list[float], uniform: float, settings: SamplingSettings) -> int:
    """The definition, one code at a time."""
    greatest = max(logits)
    if settings.temperature == 0:
        return logits.index(greatest)
    differences = [np.float32(logit) - np.float32(greatest) for logit in logits]
    weights = [plain_weight(difference, settings.temperature) for difference in differences]
    weights = [0 if weight < math.ceil(settings.min_p * UNIT) else weight for weight in weights]
    ranking = sorted(range(len(logits)), key=lambda code: (-weights[code], code))
    if settings.top_k:
        ranking = ranking[: settings.top_k]
    needed = max(1, round(settings.top_p * 2**24)) * sum(weights[code] for code in ranking)
    kept, reached = [], 0
    for code in ranking:
        if reached * 2**24 >= needed and (settings.top_k or settings.top_p < 1):
            break
        kept.append(code)
        reached += weights[code]
    target, reached = int(uniform * 2**24) * sum(weights[code] for code in kept) // 2**24, 0
    for code in sorted(kept):
        reached += weights[code]
        if reached > target:
            return code
    raise AssertionError("no code was picked")


def test_weights_are_right_and_never_rise_along_all_differences() -> None:
    """Over every fraction of the first two halvings, and a sample of the others."""
    near, far = (
        torch.arange(2**25),
        torch.randint(2**25, 30 * 2**24, (2**18,), generator=torch.Generator().manual_seed(0)),
    )
    for halvings in (near, far.sort().values):
        # such a logit is a float32 up to 2^24 alone, so a scale of 2 reaches the odd places beyond no more
        logits = -torch.cat([torch.zeros(1, dtype=torch.int64), halvings]).float()
        weights = integer_weights(logits, 1.0)[1:]
        exact = UNIT * torch.exp2(logits[1:].double() / 2**24)
        assert float((weights - exact).abs().max()) < 3
        assert bool((weights.diff() <= 0).all())
    assert integer_weights(torch.tensor([0.0, -29 * 2**24, -1e38, -math.inf, math.nan]), 1.0)[1:4].tolist() == [0] * 3


@pytest.mark.parametrize("codes", [2, 256, 1024])
def test_sums_stay_within_64_bits(codes: int) -> None:
    """Equal logits have the greatest sums."""
    for settings in (SamplingSettings(), SamplingSettings(top_p=0.9999999), SamplingSettings(top_k=codes)):
        numbers = torch.tensor([0.0, 0.5, 1 - 2.0**-24])
        assert pick(torch.zeros(3, codes), numbers, settings).tolist() == [0, codes // 2, codes - 1]


@hypothesis.settings(deadline=None)
@given(st.lists(st.floats(-9, 9, width=32), min_size=2, max_size=40), st.randoms(use_true_random=False))
def test_weights_do_not_depend_on_the_order_of_the_codes(logits: list[float], shuffler: random.Random) -> None:
    """Nor do the codes that may be picked, where no two are equal."""
    order = shuffler.sample(range(len(logits)), len(logits))
    rows = torch.tensor([logits, [logits[place] for place in order]])
    one, other = integer_weights(rows, pick_scale(0.8))
    assert torch.equal(one[order], other)
    assert one.sum() == other.sum()


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_logits_that_are_not_numbers_pick_a_code(broken: float) -> None:
    logits = torch.full((1, 5), broken)
    for settings in (SamplingSettings(), SamplingSettings(top_k=2, top_p=0.5, min_p=0.1)):
        assert 0 <= pick(logits, torch.tensor([0.5]), settings).item() < 5


# Few distinct values, so that ties are common.
LOGITS = st.lists(st.sampled_from([-3.0, -1.0, 0.0, 0.5, 2.0]), min_size=2, max_size=9)


@given(
    LOGITS,
    st.integers(0, 2**24 - 1),
    st.sampled_from([0.0, 0.01, 0.6, 1.0, 3.0]),
    st.integers(0, 12),
    st.sampled_from([1e-9, 0.3, 0.5, 0.77, 0.999, 1.0]),
    st.sampled_from([0.0, 1e-9, 0.1, 0.4, 1.0]),
)
def test_pick_follows_its_definition(
    logits: list[float], bits: int, heat: float, top_k: int, top_p: float, min_p: float
) -> None:
    settings = SamplingSettings(temperature=heat, top_k=top_k, top_p=top_p, min_p=min_p)
    uniform = bits * 2.0**-24
    found = pick(torch.tensor([logits]), torch.tensor([uniform]), settings)
    assert found.tolist() == [plain_pick(logits, uniform, settings)]


@pytest.mark.parametrize(("top_p", "last"), [(0.25, 0), (0.2500001, 1), (0.5, 1), (0.5000001, 2), (0.75, 2)])
def test_top_p_keeps_no_code_more_once_it_is_reached(top_p: float, last: int) -> None:
    greatest = torch.tensor([1 - 2.0**-24])
    assert pick(torch.zeros(1, 4), greatest, SamplingSettings(top_p=top_p)).item() == last


@pytest.mark.parametrize("min_p", [0.2499999, 0.2500001, 0.4999999, 0.5000001, 1.0])
def test_min_p_keeps_codes_that_are_likely_enough(min_p: float) -> None:
    """The second code is half as likely as the first, the third a quarter."""
    logits = torch.tensor([[0.0, -math.log(2), 2 * -math.log(2), -9.0]])
    last = pick(logits, torch.tensor([1 - 2.0**-24]), SamplingSettings(min_p=min_p)).item()
    assert last == {0.2499999: 2, 0.2500001: 1, 0.4999999: 1, 0.5000001: 0, 1.0: 0}[min_p]


@pytest.mark.parametrize(
    ("settings", "allowed"),
    [
        (SamplingSettings(temperature=0.8), 16),
        (SamplingSettings(top_k=5), 5),
        (SamplingSettings(top_p=0.9), None),
        (SamplingSettings(min_p=0.1), None),
    ],
    ids=str,
)
def test_pick_is_distributed_as_the_softmax(settings: SamplingSettings, allowed: int | None) -> None:
    """By chi-square; of the codes that are left out, none is picked."""
    generator, count = torch.Generator().manual_seed(1), 200_000
    logits = torch.randn(16, generator=generator) * 1.5
    shares = (logits.double() / settings.temperature).softmax(0)
    ranked, ranking = shares.sort(descending=True)
    kept = ranked >= settings.min_p * ranked[0]
    kept &= ranked.cumsum(0) - ranked < settings.top_p
    if settings.top_k:
        kept[settings.top_k :] = False
    assert int(kept.sum()) == (allowed or int(kept.sum())) > 3
    expected = torch.zeros(16, dtype=torch.float64)
    expected[ranking[kept]] = ranked[kept] / ranked[kept].sum() * count
    numbers = torch.from_numpy(uniforms(0, rows=1, length=count)[0])
    counts = torch.bincount(pick(logits.expand(count, -1), numbers, settings), minlength=16).double()
    assert bool((counts[expected == 0] == 0).all())
    there = expected > 0
    chi_squared = float(((counts - expected)[there].square() / expected[there]).sum())
    degrees = int(there.sum()) - 1
    assert chi_squared < degrees + 4 * math.sqrt(2 * degrees) + 4


def test_the_extreme_numbers_pick_the_first_and_the_last_code() -> None:
    logits = torch.zeros(2, 256)
    assert pick(logits, torch.tensor([0.0, 1 - 2.0**-24]), SamplingSettings()).tolist() == [0, 255]


def test_a_code_of_no_probability_is_never_picked() -> None:
    logits = torch.tensor([[-1e30, 0.0, -1e30]])
    for number in (0.0, 0.5, 1 - 2.0**-24):
        assert pick(logits, torch.tensor([number]), SamplingSettings()).item() == 1


MIXTURE = torch.tensor([[0.0, 0.0, 0.5, -0.5, -5.0, -5.0]])
"""Two logistics of equal weight, around 0.5 and -0.5."""


@pytest.mark.parametrize(
    ("place", "mean", "remainder"),
    [(0.25, 0.5, 0.5), (0.4, 0.5, 0.8), (0.5, -0.5, 2.0**-24), (0.75, -0.5, 0.5), (1 - 2.0**-24, -0.5, 1 - 2.0**-24)],
)
def test_a_uniform_picks_the_component_and_its_rest_the_place(place: float, mean: float, remainder: float) -> None:
    uniform = torch.tensor([math.floor(place * 2**24) * 2.0**-24])
    scale = math.exp(-5) + STEP / 16
    expected = mean + scale * math.log(remainder / (1 - remainder))
    for temperature in (1.0, 0.5):
        found = pick_logistics(MIXTURE, uniform, SamplingSettings(temperature)).item()
        assert found == pytest.approx((mean + temperature * (expected - mean)) / STEP, abs=1)


def test_a_gaussian_gives_its_quantile() -> None:
    uniform = torch.tensor([0.0], dtype=torch.float64)
    scale = math.exp(-3) + STEP / 16
    found = pick_gaussian(torch.tensor([[0.0, -3.0]]), uniform, SamplingSettings(0.5)).item()
    assert found == math.floor(-0.5 * scale * 5.419983 / STEP + 0.5)  # the quantile of 2^-25


@pytest.mark.parametrize(("mean", "sample"), [(2.0, 2**15 - 1), (-2.0, -(2**15)), (0.5 * STEP, 1), (-0.5 * STEP, 0)])
def test_samples_are_the_nearest_ones_within_their_range(mean: float, sample: int) -> None:
    outputs = torch.tensor([[mean, -7.0]])
    assert pick_gaussian(outputs, torch.tensor([0.5]), SamplingSettings(0.0)).item() == sample


def test_models_are_sampled_by_what_they_are_unless_a_temperature_is_given() -> None:
    vocoder = ModelConfig(mel=MelConfig().resolved(16_000))
    spoken = SamplingSettings(LOUD_TEMPERATURE, quiet_temperature=QUIET_TEMPERATURE)
    assert usual_settings(ModelConfig()) == spoken
    assert usual_settings(ModelConfig(), 0.9) == SamplingSettings(0.9, quiet_temperature=QUIET_TEMPERATURE)
    assert usual_settings(ModelConfig(), 1.2) == SamplingSettings(1.2)
    assert usual_settings(ModelConfig(), 0.0) == usual_settings(ModelConfig(), 0.0, 0.0) == SamplingSettings(0.0)
    assert usual_settings(ModelConfig(), 0.9, 0.9) == SamplingSettings(0.9)
    with pytest.raises(UserError, match="a vocoder has one temperature"):
        usual_settings(vocoder, None, 1.0)
    assert usual_settings(ModelConfig(), 0.9, 1.1) == SamplingSettings(0.9, quiet_temperature=1.1)
    assert usual_settings(ModelConfig(), None, 1.1) == SamplingSettings(LOUD_TEMPERATURE, quiet_temperature=1.1)
    assert usual_settings(ModelConfig(head="logistics")) == SamplingSettings(1.0)
    assert usual_settings(vocoder) == SamplingSettings(VOCODING_TEMPERATURE)
    assert usual_settings(vocoder, 0.0) == SamplingSettings(0.0)
    assert VOCODING_TEMPERATURE < 1


def test_the_help_and_the_studio_name_the_usual_temperatures() -> None:
    spoken, vocoded = f"{LOUD_TEMPERATURE:g}", f"{VOCODING_TEMPERATURE:g}"
    assert f"(default: {spoken}; 1 for 16-bit samples)" in get_args(Temperature)[1].help
    assert (
        f"(default: {QUIET_TEMPERATURE:g}, or --temperature if it is 0 or above 1)"
        in get_args(QuietTemperature)[1].help
    )
    assert f"(default: {spoken}; {vocoded} for a vocoder)" in get_args(EvalTemperature)[1].help
    assert f"(default: {vocoded})" in get_args(VocodingTemperature)[1].help
    page = Path(__file__).parents[3] / "studio" / "page" / "compare.js"
    assert f'value: name === "A" ? {LOUD_TEMPERATURE:g} : 1,' in page.read_text(encoding="utf-8")


@hypothesis.settings(deadline=None)
@given(
    st.lists(st.tuples(*[st.sampled_from([0, 77, 78, 128, 178, 179, 255])] * 2), max_size=9),
    st.integers(0, 9),
    st.sampled_from([0, 5, MOST_QUIET - 1, MOST_QUIET]),
)
def test_quiet_codes_are_counted_alike_in_parts_at_once_and_one_by_one(
    steps: list[tuple[int, int]], border: int, before: int
) -> None:
    coding = MuLawCoding(256)
    silence, reach = coding.silence, quiet_reach(coding)
    codes = np.array(steps, np.int64).reshape(-1, 2).T
    runs = np.full(len(codes), before)
    expected = runs.copy()
    for code in codes.T:
        expected = np.where(np.abs(code - 128) <= 50, np.minimum(expected + 1, MOST_QUIET), 0)
    np.testing.assert_array_equal(quiet_runs(runs, codes, silence, reach), expected)
    first = quiet_runs(runs, codes[:, :border], silence, reach)
    np.testing.assert_array_equal(quiet_runs(first, codes[:, border:], silence, reach), expected)
    stepped = torch.from_numpy(runs)
    for code in codes.T:
        stepped = next_quiet_runs(stepped, torch.from_numpy(code), silence, reach)
    np.testing.assert_array_equal(stepped, expected)


def test_each_row_takes_the_temperature_of_where_it_is() -> None:
    """Loud rows equal those at one temperature, quiet ones those at the other."""
    generator = torch.Generator().manual_seed(0)
    numbers, runs = torch.rand(64, generator=generator), torch.randint(0, 4, (64,), generator=generator)
    both = SamplingSettings(0.3, quiet_temperature=2.5, quiet_samples=2)
    heads = (CategoricalHead(32), LogisticsHead(3), GaussianHead())
    for head in heads:
        outputs = torch.randn(64, head.output_channels, generator=generator)
        found = pick_by_head(head, outputs, numbers, both, runs)
        loud, quiet = (pick_by_head(head, outputs, numbers, SamplingSettings(heat)) for heat in (0.3, 2.5))
        assert bool((loud != quiet).any())
        assert torch.equal(found, torch.where(runs >= 2, quiet, loud))
        assert torch.equal(pick_by_head(head, outputs, numbers, both), loud)


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": math.nan}, "temperature"),
        ({"temperature": math.inf}, "temperature"),
        ({"quiet_temperature": -0.1}, "quiet temperature"),
        ({"quiet_temperature": 0.0}, "set both to 0"),
        ({"temperature": 0.0, "quiet_temperature": 1.0}, "set both to 0"),
        ({"top_k": -1}, "top-k"),
        ({"top_p": 0.0}, "top-p"),
        ({"top_p": 1.1}, "top-p"),
        ({"top_p": math.nan}, "top-p"),
    ],
)
def test_settings_out_of_range_are_refused(values: dict[str, float], word: str) -> None:
    with pytest.raises(UserError, match=word):
        SamplingSettings(**values)
