"""From a seed to uniform numbers, and from logits and a uniform number to the next code."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fast_gen.engines.pick_weights import (
    COEFFICIENTS,
    FRACTION_BITS,
    GUARD_BITS,
    LOWEST,
    SHARE_BITS,
    UNIFORM_BITS,
    PickNumbers,
    pick_least,
    pick_scale,
    pick_share,
    pick_temperature,
)
from fast_gen.engines.quiet import MOST_QUIET, NEVER_QUIET, QUIET_SAMPLES
from wavenet_app.coding import GREATEST_LOG_SCALE, LEAST_SCALE, STEP, SixteenBitCoding
from wavenet_app.core.errors import UserError
from wavenet_app.heads import Head, Rule

VOCODING_TEMPERATURE = 0.6
"""Default of vocoding; see docs/results/notebook.md."""

LOUD_TEMPERATURE, QUIET_TEMPERATURE = 0.97, 1.0
"""Defaults of a model of mu-law codes without mel frames, where it is loud and where it is quiet; see the same page."""

if TYPE_CHECKING:  # the compiled engine does without torch, whose import takes longer than all else before a sound
    from torch import Tensor

    from wavenet_app.config import ModelConfig

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIER1 = np.uint64(0xBF58476D1CE4E5B9)
_MULTIPLIER2 = np.uint64(0x94D049BB133111EB)
_WORD = 2**64 - 1

HALF_UNIFORM = 2.0**-25
"""Half the distance of two uniforms: makes each the middle of its range, so that zero stands for no endless tail."""

LEAST_REMAINDER = 2.0**-40
"""The least that may be left of a uniform, and 1 less it the most; a logistic then goes 28 scales from its mean."""


def splitmix64(seed: NDArray[np.uint64], index: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Returns output number `index`, from 0, of SplitMix64 generators; both arguments broadcast.

    Source: Steele, Lea and Flood 2014, "Fast Splittable Pseudorandom Number Generators", with the constants of
    Vigna's reference code. State number n is seed + (n + 1) x golden, so any output is computed without those before.
    """
    mixed = seed + (index + np.uint64(1)) * _GOLDEN
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _MULTIPLIER1
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _MULTIPLIER2
    return mixed ^ (mixed >> np.uint64(31))


def uniforms(seed: int, *, rows: int, first_row: int = 0, start: int = 0, length: int) -> NDArray[np.float32]:
    """Returns the uniform numbers that `rows` clips use over a stretch of time.

    Each is a function of (seed, row, time) alone, so chunks join up and a clip does not depend on those beside it:
    output `row` of the SplitMix64 generator with this seed is the seed of the row's own generator, and the upper 24
    bits of that one's output `time`, divided by 2^24, are the number. 24 bits are what float32 holds exactly.

    Args:
        seed: any integer; taken modulo 2^64.
        rows: number of clips.
        first_row: number of the first clip.
        start: first time step.
        length: number of time steps.

    Returns:
        float32 (rows, length), from 0 to 1 - 2^-24.

    >>> whole = uniforms(7, rows=2, length=5)
    >>> bool((whole[1:, 3:] == uniforms(7, rows=1, first_row=1, start=3, length=2)).all())
    True
    """
    row_numbers = np.arange(first_row, first_row + rows, dtype=np.uint64)
    times = np.arange(start, start + length, dtype=np.uint64)
    row_seeds = splitmix64(np.array([seed & _WORD], dtype=np.uint64), row_numbers)
    bits = splitmix64(row_seeds[:, None], times) >> np.uint64(40)
    return bits.astype(np.float32) * np.float32(2.0**-24)


@dataclass(frozen=True)
class SamplingSettings:
    """How a code is picked from the model's distribution.

    Attributes:
        temperature: divides the logits, and of a distribution over 16-bit samples multiplies the scales; below 1 is
            safer and duller, 0 always takes the most likely code, or the mean of the most likely component.
        top_k: only the `top_k` most likely codes may be picked; 0 allows all.
        top_p: only the fewest most likely codes whose probability together reaches `top_p` may be picked; 1 allows all.
        min_p: only codes at least `min_p` times as likely as the most likely one may be picked; 0 allows all.
        quiet_temperature: takes the place of `temperature` where a clip is quiet; None for the same.
        quiet_samples: how many codes near silence, one after the other, make a clip quiet.

    Raises:
        UserError: a value is out of its range, or only one of both temperatures is 0.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    quiet_temperature: float | None = None
    quiet_samples: int = QUIET_SAMPLES

    def __post_init__(self) -> None:
        quiet = self._in_quiet_parts
        for name, temperature in (("temperature", self.temperature), ("quiet temperature", quiet)):
            if not (math.isfinite(temperature) and temperature >= 0):
                raise UserError(f"the {name} must be 0 or more, not {temperature}; 1 samples as the model learned")
        if (self.temperature == 0) != (quiet == 0):
            raise UserError(
                f"the temperature is {self.temperature:g} and the quiet temperature {quiet:g}; set both to 0, which "
                "always takes the most likely code, or none"
            )
        if self.top_k < 0:
            raise UserError(f"top-k must be 0 (all codes) or more, not {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise UserError(f"top-p must be above 0 and at most 1 (all codes), not {self.top_p}")
        if not 0 <= self.min_p <= 1:
            raise UserError(f"min-p must be from 0 (all codes) to 1 (the most likely), not {self.min_p}")

    @property
    def _in_quiet_parts(self) -> float:
        return self.temperature if self.quiet_temperature is None else self.quiet_temperature

    @property
    def ranks(self) -> bool:
        """Whether codes are ranked, by top-k or top-p."""
        return self.top_k > 0 or self.top_p < 1

    @cached_property  # a pick needs them for every sample
    def numbers(self) -> PickNumbers:
        """The settings as the picks of codes take them.

        >>> SamplingSettings(top_p=0.5, min_p=0.25).numbers[:5]
        (1.0, 24204406.0, 0, 8388608, 67108864)
        """
        quiet = self._in_quiet_parts
        return PickNumbers(
            temperature=pick_temperature(self.temperature),
            scale=pick_scale(self.temperature),
            top_k=self.top_k,
            top_p=pick_share(self.top_p),
            least=pick_least(self.min_p),
            quiet_temperature=pick_temperature(quiet),
            quiet_scale=pick_scale(quiet),
            quiet_samples=NEVER_QUIET if self.quiet_temperature is None else self.quiet_samples,
        )


def usual_temperatures(
    model: ModelConfig, temperature: float | None = None, quiet_temperature: float | None = None
) -> tuple[float, float | None]:
    """Returns the temperature and the quiet temperature of a model.

    Without a choice, models of mu-law codes take a little less than 1 where they are loud; vocoders take
    `VOCODING_TEMPERATURE`, and models of 16-bit samples 1. Quiet parts take no less than 1, which is as the model
    learned, so that a low temperature does not silence a voice; at temperature 0 they are no different.

    Args:
        model: its shape, which says what it is conditioned on.
        temperature: the user's choice; None for the default.
        quiet_temperature: the same.

    Returns:
        Both; the second is None where it is the same as the first.

    Raises:
        UserError: a quiet temperature for a vocoder.

    >>> from wavenet_app.config import ModelConfig
    >>> [usual_temperatures(ModelConfig(), temperature) for temperature in (None, 0.8, 1.1, 0.0)]
    [(0.97, 1.0), (0.8, 1.0), (1.1, None), (0.0, None)]
    """
    if model.mel is not None:
        if quiet_temperature is not None:
            raise UserError("a vocoder has one temperature for all parts; leave out the quiet temperature")
        return VOCODING_TEMPERATURE if temperature is None else temperature, None
    if temperature is None:
        temperature = LOUD_TEMPERATURE if model.output_head.ranks_codes else 1.0
    if quiet_temperature is None and temperature > 0:
        quiet_temperature = max(temperature, QUIET_TEMPERATURE)
    return temperature, None if quiet_temperature == temperature else quiet_temperature


def usual_settings(
    model: ModelConfig,
    temperature: float | None = None,
    quiet_temperature: float | None = None,
    top_k: int = 0,
    top_p: float = 1.0,
    min_p: float = 0.0,
) -> SamplingSettings:
    """Returns the settings of a model, with the temperatures of `usual_temperatures`, which has the first arguments.

    The others are those of `SamplingSettings`.

    Raises:
        UserError: a value is out of its range, or a quiet temperature for a vocoder.
    """
    found, quiet = usual_temperatures(model, temperature, quiet_temperature)
    return SamplingSettings(found, top_k, top_p, min_p, quiet)


def check_head(settings: SamplingSettings, head: Head) -> None:
    """Refuses settings that a head cannot follow.

    Raises:
        UserError: top-k, top-p or min-p is set for a head that does not rank codes.
    """
    if not head.ranks_codes and (settings.ranks or settings.min_p):
        raise UserError(
            f"top-k, top-p and min-p compare mu-law codes, which this model's head ({head.name}) does not know; "
            "take a temperature"
        )


def next_quiet_runs(runs: Tensor, codes: Tensor, silence: int, reach: int) -> Tensor:
    """Returns how many of the newest codes are quiet after one more of each clip.

    `fast_gen.engines.quiet.quiet_runs` says what is counted, and does so for many codes at a time.

    Args:
        runs: integer (batch,), the number before.
        codes: integer (batch,).
        silence: the code of silence.
        reach: what `quiet_reach` returns.
    """
    return ((runs + 1) * ((codes - silence).abs() <= reach)).clamp(max=MOST_QUIET)


def pick_by_head(
    head: Head, outputs: Tensor, uniforms: Tensor, settings: SamplingSettings, quiet_runs: Tensor | None = None
) -> Tensor:
    """Returns one code for each row, by the rule of a head: `pick`, `pick_logistics` or `pick_gaussian`.

    Args:
        head: the meaning of the outputs.
        outputs: (batch, output_channels), of any floating type.
        uniforms: (batch,), at least 0 and less than 1.
        settings: temperatures, top-k, top-p and min-p, the last three for heads that rank codes.
        quiet_runs: integer (batch,), how many of the newest codes of each row are quiet, which decides between the
            temperatures; None where the rows are loud.

    Returns:
        int64 (batch,).
    """
    quiet = None if quiet_runs is None else quiet_runs >= settings.numbers.quiet_samples
    return _PICKS[head.rule](outputs, uniforms, settings, quiet)


def _of_rows(loud: float, quiet: float, is_quiet: Tensor | None, rows: Tensor) -> Tensor:
    """Returns one of two numbers for each row, of the shape and type of `rows`, by whether it is quiet."""
    found = rows.new_full(rows.shape, loud)
    return found if is_quiet is None else found.masked_fill_(is_quiet, quiet)


def pick_logistics(
    outputs: Tensor, uniforms: Tensor, settings: SamplingSettings, quiet: Tensor | None = None
) -> Tensor:
    """Returns one 16-bit sample for each row, by the inverse of the cumulative distribution of a mixture.

    The definition for every engine. `wavenet_app.heads.LogisticsHead` says what the outputs are.

    1. The logits give a component: their integer weights are accumulated in order, and the first component is taken at
       which the sum is greater than t = u x total, with u = uniform + `HALF_UNIFORM`. The remainder
       (t - sum before) / weight, held `LEAST_REMAINDER` away from 0 and 1, replaces u. At temperature 0 it is the
       component of the greatest logit, the first of equal ones.
    2. The value is mean + temperature x scale x log(u / (1 - u)).
    3. The sample is the nearest one to the value, the higher of two as near, or the last one on its side.

    2 and 3 are in float64, from a temperature that is a float32.

    Args:
        outputs: (batch, output_channels), of any floating type.
        uniforms: (batch,), at least 0 and less than 1.
        settings: the temperatures count alone.
        quiet: boolean (batch,), which rows take the quiet temperature; None for none.

    Returns:
        int64 (batch,).
    """
    _, all_means, all_log_scales = outputs.double().chunk(3, dim=-1)
    component, places = _component(outputs.chunk(3, dim=-1)[0], uniforms, settings.numbers, quiet)
    means, log_scales = (part.gather(-1, component)[..., 0] for part in (all_means, all_log_scales))
    return _nearest_samples(means, log_scales, places.log() - (-places).log1p(), settings.numbers, quiet)


def pick_gaussian(outputs: Tensor, uniforms: Tensor, settings: SamplingSettings, quiet: Tensor | None = None) -> Tensor:
    """Returns one 16-bit sample for each row, as steps 2 and 3 of `pick_logistics`, with the quantile of a Gaussian.

    Arguments and result are those of `pick_logistics`.

    >>> import torch
    >>> pick_gaussian(torch.tensor([[0.5, -7.0]]), torch.tensor([0.5]), SamplingSettings())
    tensor([16384])
    """
    import torch

    means, log_scales = outputs.double().unbind(-1)
    quantiles = torch.special.ndtri(uniforms.double() + HALF_UNIFORM)
    return _nearest_samples(means, log_scales, quantiles, settings.numbers, quiet)


def _nearest_samples(
    means: Tensor, log_scales: Tensor, quantiles: Tensor, numbers: PickNumbers, quiet: Tensor | None
) -> Tensor:
    """Returns int64 (batch,): the 16-bit samples at quantiles of distributions with these means and scales."""
    temperature = _of_rows(numbers.temperature, numbers.quiet_temperature, quiet, means)
    scales = temperature * (LEAST_SCALE + log_scales.clamp(max=GREATEST_LOG_SCALE).exp())
    samples = ((means + scales * quantiles) / STEP + 0.5).floor()
    lowest = SixteenBitCoding.lowest
    return samples.clamp(lowest, lowest + SixteenBitCoding.size - 1).long()


def _component(logits: Tensor, uniforms: Tensor, numbers: PickNumbers, quiet: Tensor | None) -> tuple[Tensor, Tensor]:
    """Returns the component of each row, (batch, 1), and what is left of its uniform number, (batch,)."""
    if numbers.scale == 0:
        return logits.argmax(-1, keepdim=True), uniforms.double() + HALF_UNIFORM
    scales = _of_rows(numbers.scale, numbers.quiet_scale, quiet, logits[..., 0].float())
    weights = integer_weights(logits, scales.unsqueeze(-1))
    cumulative = weights.cumsum(-1)
    places = 2 * _uniform_bits(uniforms) + 1  # in units of HALF_UNIFORM, and so are all that follow
    targets = places.unsqueeze(-1) * cumulative[..., -1:]
    sums = cumulative << (UNIFORM_BITS + 1)
    component = (sums <= targets).sum(-1, keepdim=True).clamp(max=logits.shape[-1] - 1)
    weight = weights.gather(-1, component) << (UNIFORM_BITS + 1)
    remainders = (targets - (sums.gather(-1, component) - weight)).double() / weight.double()
    return component, remainders[..., 0].clamp(LEAST_REMAINDER, 1 - LEAST_REMAINDER)


def integer_weights(logits: Tensor, scale: Tensor | float) -> Tensor:
    """Returns the weights of logits (..., codes), int64, as `fast_gen.engines.pick_weights` defines them.

    Args:
        logits: of any floating type.
        scale: as in `PickNumbers`, one for all or one for each row: float32 (..., 1).
    """
    import torch

    precise = logits.float()
    scaled = (precise - precise.amax(-1, keepdim=True)) * scale
    halvings = -torch.where(scaled > LOWEST, scaled, LOWEST).long()
    rest = (halvings << (32 - FRACTION_BITS)) & 0xFFFFFFFF
    total = torch.full_like(rest, COEFFICIENTS[-1])
    for coefficient in COEFFICIENTS[-2::-1]:
        total = coefficient - (total * rest >> 32)
    return total >> (halvings >> FRACTION_BITS) + GUARD_BITS


def _uniform_bits(uniforms: Tensor) -> Tensor:
    """Returns uniform numbers in units of 2^-24, rounded down, int64."""
    return (uniforms * 2**UNIFORM_BITS).long()


def pick(logits: Tensor, uniforms: Tensor, settings: SamplingSettings, quiet: Tensor | None = None) -> Tensor:
    """Returns one mu-law code for each row, by the inverse of the cumulative distribution.

    The definition that every engine follows, in integers from the weights on:

    1. Temperature 0: the code of the greatest logit, the lower code where logits are equal; no other step applies.
    2. Weights exp((logit - greatest logit) / temperature), as integers; see `fast_gen.engines.pick_weights`. Min-p
       (Nguyen et al. 2024, "Turning Up the Heat: Min-p Sampling") sets those to zero that are less than
       `PickNumbers.least`.
    3. Codes ranked by weight, the greater first, of equal ones the lower code first. Top-k keeps the first k.
    4. Top-p keeps, of those, each code before which the weights in order of rank add up to less than
       `PickNumbers.top_p` x their total / 2^24. Without top-k and top-p, 3 and 4 do not apply.
    5. The weights that are kept are accumulated in ascending order of the codes. The pick is the first code at which
       the sum is greater than (24 bits of the uniform number) x total >> 24; the last code if no logit is a number.

    Args:
        logits: (batch, quantization_channels), of any floating type.
        uniforms: (batch,), at least 0 and less than 1.
        settings: temperatures, top-k, top-p and min-p.
        quiet: boolean (batch,), which rows take the quiet temperature; None for none.

    Returns:
        int64 (batch,).

    >>> import torch
    >>> pick(torch.tensor([[0.0, 2.0, 0.0, 1.0]]), torch.tensor([0.99]), SamplingSettings(top_k=2))
    tensor([3])
    """
    if settings.temperature == 0:
        return logits.argmax(-1)
    numbers = settings.numbers
    scales = _of_rows(numbers.scale, numbers.quiet_scale, quiet, logits[..., 0].float())
    weights = integer_weights(logits, scales.unsqueeze(-1))
    weights = weights.masked_fill_(weights < numbers.least, 0)
    if settings.ranks:
        weights = weights * _allowed(weights, numbers)
    cumulative = weights.cumsum(-1)
    targets = _uniform_bits(uniforms).unsqueeze(-1) * cumulative[..., -1:] >> UNIFORM_BITS
    return (cumulative <= targets).sum(-1).clamp(max=logits.shape[-1] - 1)


def _allowed(weights: Tensor, numbers: PickNumbers) -> Tensor:
    """Returns which codes top-k and then top-p leave, boolean, shaped as the weights."""
    import torch

    ranked, ranking = weights.sort(dim=-1, descending=True, stable=True)
    if numbers.top_k:
        ranked[..., numbers.top_k :] = 0
    cumulative = ranked.cumsum(-1)
    kept = (cumulative - ranked) << SHARE_BITS < numbers.top_p * cumulative[..., -1:]
    if numbers.top_k:
        kept[..., numbers.top_k :] = False
    return torch.zeros_like(kept).scatter_(-1, ranking, kept)


_PICKS: dict[Rule, Callable[[Tensor, Tensor, SamplingSettings, Tensor | None], Tensor]] = {
    Rule.CODE: pick,
    Rule.LOGISTICS: pick_logistics,
    Rule.GAUSSIAN: pick_gaussian,
}
