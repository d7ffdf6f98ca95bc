"""Heads: probabilities of all samples add up to one, tails and gradients stay finite, and the sampler agrees."""

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fast_gen.engines.cpu.pick_sample import pick_sample as compiled_pick
from fast_gen.engines.sampling import SamplingSettings, check_head, pick, pick_by_head, uniforms
from wavenet_app.coding import LEAST_SCALE, STEP
from wavenet_app.config import ModelConfig
from wavenet_app.core.errors import UserError
from wavenet_app.heads import DEFAULT_HEAD, HEADS, CategoricalHead, GaussianHead, Head, LogisticsHead, mean_bits

ALL_SAMPLES = torch.arange(-(2**15), 2**15)
MEANS = st.floats(-1.2, 1.2)
LOG_SCALES = st.floats(-25, 6)


def probabilities(head: Head, outputs: torch.Tensor) -> torch.Tensor:
    """Probabilities of all 65,536 samples by one distribution (channels,)."""
    return 2.0 ** -head.bits(outputs.expand(1, 2**16, -1), ALL_SAMPLES[None])[0].double()


@st.composite
def mixtures(draw: st.DrawFn) -> torch.Tensor:
    count = draw(st.integers(1, 4))
    parts = [draw(st.lists(values, min_size=count, max_size=count)) for values in (st.floats(-9, 9), MEANS, LOG_SCALES)]
    return torch.tensor(parts).flatten()


gaussians = st.tuples(MEANS, LOG_SCALES).map(torch.tensor)


@given(mixtures())
@settings(max_examples=30, deadline=None)
def test_a_mixtures_probabilities_add_up_to_one(outputs: torch.Tensor) -> None:
    found = probabilities(LogisticsHead(len(outputs) // 3), outputs)
    assert float(found.sum()) == pytest.approx(1, abs=1e-5)
    assert bool((found >= 0).all())


@given(gaussians)
@settings(max_examples=30, deadline=None)
def test_a_gaussians_probabilities_add_up_to_one(outputs: torch.Tensor) -> None:
    found = probabilities(GaussianHead(), outputs)
    assert float(found.sum()) == pytest.approx(1, abs=1e-5)


def test_masses_are_those_between_the_edges() -> None:
    """Against the plain difference of the cumulative distribution, where that loses no digits."""
    mean, scale = 0.1, 0.02
    edges = (np.arange(-(2**15), 2**15 + 1) - 0.5) * STEP
    edges[[0, -1]] = -np.inf, np.inf
    known = (scale - LEAST_SCALE, math.log(scale - LEAST_SCALE))
    for head, outputs, cumulative in (
        (LogisticsHead(1), (0.0, mean, known[1]), lambda z: 1 / (1 + np.exp(-z))),
        (GaussianHead(), (mean, known[1]), lambda z: torch.special.ndtr(torch.from_numpy(z)).numpy()),
    ):
        expected = np.diff(cumulative((edges - mean) / scale))
        found = probabilities(head, torch.tensor(outputs, dtype=torch.float64)).numpy()
        np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("head", [LogisticsHead(1), GaussianHead()], ids=["logistics", "gaussian"])
def test_the_last_samples_have_the_whole_tails(head: Head) -> None:
    outputs = torch.tensor([3.0, -30.0]) if isinstance(head, GaussianHead) else torch.tensor([0.0, 3.0, -30.0])
    found = probabilities(head, outputs)
    assert float(found[-1]) == 1
    assert (
        float(probabilities(head, -outputs * torch.tensor([1.0, -1.0] if len(outputs) == 2 else [1.0, 1.0, -1.0]))[0])
        == 1
    )
    wide = torch.tensor([0.0, 3.0]) if len(outputs) == 2 else torch.tensor([0.0, 0.0, 3.0])
    found = probabilities(head, wide)
    assert float(found[0]) == pytest.approx(float(found[-1]), rel=1e-3)
    assert float(found[0]) > 0.4


@given(mixtures(), st.sampled_from([-(2**15), -1, 0, 7, 2**15 - 1]))
@settings(max_examples=40, deadline=None)
def test_bits_and_gradients_of_mixtures_are_finite(outputs: torch.Tensor, sample: int) -> None:
    check_finite(LogisticsHead(len(outputs) // 3), outputs, sample)


@given(gaussians, st.sampled_from([-(2**15), -1, 0, 7, 2**15 - 1]))
@settings(max_examples=40, deadline=None)
def test_bits_and_gradients_of_gaussians_are_finite(outputs: torch.Tensor, sample: int) -> None:
    check_finite(GaussianHead(), outputs, sample)


def check_finite(head: Head, outputs: torch.Tensor, sample: int) -> None:
    probe = outputs.clone().requires_grad_()
    bits = head.bits(probe.expand(1, 1, -1), torch.tensor([[sample]]))
    bits.sum().backward()
    assert probe.grad is not None
    assert bool(torch.isfinite(bits).all())
    assert bool(torch.isfinite(probe.grad).all())
    assert float(bits.detach()) >= -1e-6


@given(gaussians, st.integers(-300, 300))
@settings(max_examples=30, deadline=None)
def test_the_gradient_is_that_of_small_differences(outputs: torch.Tensor, sample: int) -> None:
    outputs = outputs.double().clamp(-0.5, 0.5) - torch.tensor([0.0, 5.0])
    targets = torch.tensor([[sample]])
    for head, channels in (
        (GaussianHead(), outputs),
        (LogisticsHead(2), torch.cat([outputs, outputs, -outputs.abs() - 3])),
    ):
        # bits come as float32, so the step must not be too small
        probe = channels.clone().requires_grad_()
        head.bits(probe.expand(1, 1, -1), targets).sum().backward()
        assert probe.grad is not None
        for place in range(len(channels)):
            step = torch.zeros_like(channels)
            step[place] = 1e-4
            up, down = (float(head.bits((channels + sign * step).expand(1, 1, -1), targets)) for sign in (1, -1))
            if max(up, down) < 100:
                assert (up - down) / 2e-4 == pytest.approx(float(probe.grad[place]), rel=0.05, abs=0.5)


@pytest.mark.parametrize(("logarithm", "scale"), [(-200.0, STEP / 16), (50.0, STEP / 16 + math.exp(3))])
def test_scales_stay_between_the_least_and_the_greatest(logarithm: float, scale: float) -> None:
    half = STEP / 2 / scale
    for head, outputs, probability in (
        (GaussianHead(), [0.0, logarithm], math.erf(half / math.sqrt(2))),
        (LogisticsHead(1), [0.0, 0.0, logarithm], math.tanh(half / 2)),
    ):
        bits = head.bits(torch.tensor(outputs).expand(1, 1, -1), torch.tensor([[0]]))
        assert float(bits) == pytest.approx(-math.log2(probability), rel=1e-5, abs=1e-9)


def test_heads_begin_as_wide_as_speech() -> None:
    mixture = LogisticsHead(3).initial_bias()
    assert mixture.tolist() == [0.0] * 6 + [-2.5, -4.5, -6.5]
    assert GaussianHead().initial_bias().tolist() == [0.0, -4.5]


def test_a_code_before_the_first_is_no_code_and_a_sample_before_it_is_silent() -> None:
    assert [head().nothing for head in HEADS.values()] == [256, 0, 0]


def test_a_certain_sample_costs_next_to_nothing() -> None:
    for head, outputs in ((GaussianHead(), [0.5, -40.0]), (LogisticsHead(1), [0.0, 0.5, -40.0])):
        bits = head.bits(torch.tensor(outputs).expand(1, 1, -1), torch.tensor([[2**14]]))
        assert float(bits) < 0.002


def test_the_bits_of_a_known_source_are_its_entropy() -> None:
    """Noise of deviation 0.01 has log2(0.01 sqrt(2 pi e) / step) bits."""
    deviation = 0.01
    samples = torch.from_numpy(np.random.default_rng(0).normal(0, deviation / STEP, 200_000).round()).long()[None]
    outputs = torch.tensor([0.0, math.log(deviation)])
    found = mean_bits(GaussianHead().bits(outputs.expand(1, 200_000, -1), samples), torch.ones_like(samples).bool())
    assert float(found) == pytest.approx(math.log2(deviation * math.sqrt(2 * math.pi * math.e) / STEP), abs=0.01)


def test_components_start_different_and_training_can_tell_them_apart() -> None:
    head = LogisticsHead(5)
    bias = head.initial_bias().requires_grad_()
    head.bits(bias.expand(1, 3, -1), torch.tensor([[-900, 5, 12_000]])).mean().backward()
    assert bias.grad is not None
    for part in bias.grad.chunk(3):
        assert len(part.unique()) == 5


@given(mixtures(), st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_a_histogram_of_samples_agrees_with_the_likelihood(outputs: torch.Tensor, seed: int) -> None:
    check_histogram(LogisticsHead(len(outputs) // 3), outputs, seed)


@given(gaussians, st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_a_histogram_of_gaussian_samples_agrees_with_the_likelihood(outputs: torch.Tensor, seed: int) -> None:
    check_histogram(GaussianHead(), outputs, seed)


def check_histogram(head: Head, outputs: torch.Tensor, seed: int) -> None:
    """The empirical distribution function lies within 5 standard errors of the exact one (Kolmogorov's distance)."""
    count = 20_000
    numbers = torch.from_numpy(uniforms(seed, rows=1, length=count)[0])
    samples = pick_by_head(head, outputs.expand(count, -1), numbers, SamplingSettings())
    exact = probabilities(head, outputs).cumsum(0)
    found = torch.bincount(samples + 2**15, minlength=2**16).cumsum(0) / count
    assert float((exact - found).abs().max()) < 2.5 / math.sqrt(count)


@given(
    st.sampled_from(["logistics", "gaussian"]),
    mixtures(),
    gaussians,
    st.sampled_from([0.0, 0.3, 1.0, 1.7]),
    st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_the_compiled_pick_is_the_reference_pick(
    kind: str, mixture: torch.Tensor, gaussian: torch.Tensor, temperature: float, seed: int
) -> None:
    outputs = mixture if kind == "logistics" else gaussian
    numbers = np.concatenate([uniforms(seed, rows=1, length=50)[0], np.float32([0, 1 - 2**-24])])
    head, chosen = HEADS[kind](), SamplingSettings(temperature)
    expected = pick_by_head(head, outputs.expand(52, -1), torch.from_numpy(numbers), chosen)
    how = temperature, np.float32(chosen.numbers.scale), np.zeros(len(outputs), np.int64)
    found = [compiled_pick(outputs.numpy(), kind == "logistics", number, *how) for number in numbers]
    assert np.abs(np.array(found) - expected.numpy()).max() <= 1  # where 1e-15 decides between two neighbours
    assert (np.array(found) != expected.numpy()).mean() < 0.1


def test_cold_is_the_mean_of_the_likeliest_component_and_hot_is_wider() -> None:
    mixture = torch.tensor([0.0, 2.0, 0.1, -0.25, -3.0, -3.0])
    numbers = torch.from_numpy(uniforms(0, rows=1, length=2_000)[0])

    def spread(temperature: float) -> float:
        return float(
            pick_by_head(LogisticsHead(2), mixture.expand(2_000, -1), numbers, SamplingSettings(temperature))
            .double()
            .std()
        )

    assert pick_by_head(LogisticsHead(2), mixture[None], numbers[:1], SamplingSettings(0.0)).tolist() == [-(2**13)]
    assert spread(0.0) == 0 < spread(0.1) < spread(1.0) < spread(2.0)


def test_no_uniform_leaves_the_tails_that_it_stands_for() -> None:
    ends = torch.tensor([0.0, 1 - 2.0**-24])
    logistic = pick_by_head(
        LogisticsHead(1), torch.tensor([0.0, 0.0, math.log(1e-3)]).expand(2, -1), ends, SamplingSettings()
    )
    expected = 1e-3 * 25 * math.log(2) / STEP
    assert logistic.tolist() == pytest.approx([-expected, expected], rel=0.01)
    gaussian = pick_by_head(GaussianHead(), torch.tensor([0.0, math.log(1e-3)]).expand(2, -1), ends, SamplingSettings())
    assert int(gaussian[1]) == pytest.approx(1e-3 * 5.42 / STEP, rel=0.02)


def test_mu_law_codes_are_picked_as_ever() -> None:
    logits, numbers = torch.randn(20, 16), torch.rand(20)
    for chosen in (SamplingSettings(), SamplingSettings(top_k=3), SamplingSettings(temperature=0)):
        assert torch.equal(pick_by_head(CategoricalHead(16), logits, numbers, chosen), pick(logits, numbers, chosen))


@pytest.mark.parametrize(
    "chosen", [SamplingSettings(top_k=3), SamplingSettings(top_p=0.9), SamplingSettings(min_p=0.1)]
)
def test_ranks_are_for_codes(chosen: SamplingSettings) -> None:
    check_head(chosen, CategoricalHead())
    for head in (LogisticsHead(), GaussianHead()):
        check_head(SamplingSettings(temperature=0.5), head)
        with pytest.raises(UserError, match="top-k, top-p and min-p compare mu-law codes"):
            check_head(chosen, head)


def test_a_models_settings_say_which_head_it_has() -> None:
    for shape, channels, coding in (
        ({}, 256, "256 mu-law codes"),
        ({"quantization_channels": 1024}, 1024, "1024 mu-law codes"),
        ({"head": "logistics"}, 30, "16-bit samples"),
        ({"head": "logistics", "mixtures": 3}, 9, "16-bit samples"),
        ({"head": "gaussian"}, 2, "16-bit samples"),
    ):
        config = ModelConfig(**shape)
        assert (config.output_channels, config.coding.name) == (channels, coding)
        assert config.output_head.initial_bias().shape == (channels,)


@pytest.mark.parametrize("bits", range(1, 11))
def test_any_power_of_two_of_codes_adds_up_to_one(bits: int) -> None:
    head = CategoricalHead(2**bits)
    logits = 5 * torch.randn(2**bits, generator=torch.Generator().manual_seed(bits))
    found = 2.0 ** -head.bits(logits.expand(1, 2**bits, -1), torch.arange(2**bits)[None]).double()
    assert float(found.sum()) == pytest.approx(1, abs=1e-4)


def test_settings_of_another_head_are_refused() -> None:
    for wrong, said in itertools.chain(
        [({"head": "gaussian", "mixtures": 3}, "mixtures = 3 is for the head logistics, not for gaussian")],
        [({"head": "logistics", "quantization_channels": 16}, "quantization_channels = 16 is for the head mu-law")],
    ):
        with pytest.raises(ValueError, match=said):
            ModelConfig(**wrong)


@pytest.mark.parametrize("name", HEADS)
def test_a_head_is_complete(name: str) -> None:
    head = HEADS[name]()
    assert head.name == name
    assert head.initial_bias().shape == (head.output_channels,)
    assert set(head.settings()) < set(ModelConfig.model_fields)
    assert ModelConfig(head=name).output_head == head
    picked = pick_by_head(head, head.initial_bias()[None], torch.tensor([0.5]), SamplingSettings())
    assert head.coding.lowest <= int(picked) < head.coding.lowest + head.coding.size


def test_the_numbers_of_the_rules_differ_and_the_first_head_is_the_default() -> None:
    assert len({head.rule for head in HEADS.values()}) == len(HEADS)
    assert next(iter(HEADS)) == DEFAULT_HEAD.name == ModelConfig().head


def test_the_newest_sample_is_added_to_the_means_alone() -> None:
    for head, means in ((CategoricalHead(4), []), (LogisticsHead(2), [2, 3]), (GaussianHead(), [0])):
        outputs = torch.ones(2, head.output_channels)
        head.add_newest(outputs, torch.tensor([2**14, -(2**14)]))
        expected = torch.ones(2, head.output_channels)
        expected[0, means] += 0.5
        expected[1, means] -= 0.5
        assert torch.equal(outputs, expected)


def test_heads_are_imported_without_torch_and_numpy() -> None:
    script = "import sys, wavenet_app.heads; print([name for name in ('torch', 'numpy') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "[]\n"
