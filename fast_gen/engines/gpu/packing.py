"""A model and its queues as tensors for the kernels of a GPU; plain torch, so that they can also lie on the CPU.

Every width is padded with zeros to a power of two, of at least `LEAST_WIDTH`, which is what Triton's vectors and tensor
cores take. A padded channel stays zero throughout; a padded output is minus infinity, so its code is never picked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fast_gen.engines.condition import ChunkCondition
from fast_gen.engines.gpu.prediction import DevicePredictor
from fast_gen.engines.quiet import MOST_QUIET, quiet_reach, quiet_runs
from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.coding import Coding
from wavenet_app.heads import Head

LEAST_WIDTH = 16
"""Channels that a tensor core takes at a time."""

PRIMED_AT_ONCE = 2**18
"""Samples of all clips together that are primed in one pass, which bounds the memory it takes."""

CONDITION_AT_ONCE = 2**26
"""Numbers of a condition that are packed at a time: for many clips, one that changes often would fill the device."""


class PackedModel(NamedTuple):
    """A model, padded. R, D, S and Q are the padded widths of residual stream, gate half, skip sum and outputs.

    Matrices (in, out) are of the type that products take, everything else but the head is float32 or integer.

    Attributes:
        tables: (kernel_size, quantization_channels + 1 or 2, R); see `GeneratorWeights.tables_with_bias`.
        dilated: (layers, kernel_size, R, 2 x D), oldest tap first. Outputs alternate: filter 0, gate 0, filter 1, ...
        gate_biases: (layers, 2 x D), in that order too.
        residuals: (layers, D, R).
        residual_biases: (layers, R).
        skips: (layers, D, S).
        skip_bias: (S,).
        output1: (S, S).
        output1_bias: (S,).
        output2: (S, Q); always float32 where the head needs that.
        output2_bias: (Q,).
        dilations: (layers,), int32.
        ring_starts: (layers,), int64, the first slot of each layer in `Rings.slots`.
        ring_masks: (layers,), int32, one less than the number of a layer's slots; see `Rings`.
        prediction_values: (256, R), added to the front's output; no rows for a model without linear prediction.
        prediction_sizes: (64, R), likewise.
        prediction_innovations: (64, R), likewise.
        head: what the outputs mean.
    """

    tables: Tensor
    dilated: Tensor
    gate_biases: Tensor
    residuals: Tensor
    residual_biases: Tensor
    skips: Tensor
    skip_bias: Tensor
    output1: Tensor
    output1_bias: Tensor
    output2: Tensor
    output2_bias: Tensor
    dilations: Tensor
    ring_starts: Tensor
    ring_masks: Tensor
    prediction_values: Tensor
    prediction_sizes: Tensor
    prediction_innovations: Tensor
    head: Head


class PackedCondition(NamedTuple):
    """What is added to the gates of a stretch of samples.

    Attributes:
        values: (steps, rows, layers, 2 x D), of the type that products take; outputs alternate as in `PackedModel`.
        steps: (samples,), which of them each sample takes; on the host.
        steps_on_device: the same, int32.
    """

    values: Tensor
    steps: NDArray[np.int64]
    steps_on_device: Tensor


@dataclass
class Rings:
    """What a batch of clips remembers.

    The input of a layer at time t lies in its slot t & mask. A layer has more slots than the inputs it looks back on,
    so that the slot written at a time is read at no other place of the same sample; and a power of two of them, so that
    the time may wrap around.

    Attributes:
        slots: (slots of all layers, batch, R), of the type that products take.
        recent: (batch, kernel_size) int32, the newest codes, of which the last is not consumed yet.
        quiet_runs: (batch,) int32, how many of the newest codes are quiet; see `fast_gen.engines.quiet`.
        time: samples consumed, modulo 2^31.
    """

    slots: Tensor
    recent: Tensor
    quiet_runs: Tensor
    time: int

    def advance(self, steps: int) -> None:
        """Counts samples that were consumed."""
        self.time = (self.time + steps) % 2**31


def padded(width: int) -> int:
    """Returns the least power of two, of at least LEAST_WIDTH, that holds a width.

    >>> [padded(width) for width in (1, 24, 64)]
    [16, 32, 64]
    """
    return int(max(LEAST_WIDTH, 1 << (width - 1).bit_length()))


def ring_slots(dilation: int, kernel_size: int) -> int:
    """Returns how many past inputs a layer keeps: the least power of two above those it looks back on.

    >>> ring_slots(4, kernel_size=2), ring_slots(5, kernel_size=3)
    (8, 16)
    """
    return int(1 << ((kernel_size - 1) * dilation).bit_length())


def pack(weights: GeneratorWeights, device: str, dtype: torch.dtype) -> PackedModel:
    """Returns a padded copy of a model on a device, with matrices of a type."""

    def place(array: NDArray[np.generic], *axes: int, kind: torch.dtype = torch.float32, fill: float = 0.0) -> Tensor:
        widths = [(0, 0)] * array.ndim
        for axis in axes:
            widths[axis] = (0, padded(array.shape[axis]) - array.shape[axis])
        whole = np.pad(array, widths, constant_values=fill)
        return torch.tensor(np.ascontiguousarray(whole), device=device).to(kind)

    layers, width = len(weights.dilations), weights.dilation_channels
    # Filter and gate of a channel side by side: both come out of one product in the same thread.
    halves = weights.dilated.reshape(*weights.dilated.shape[:-1], 2, width)
    dilated = place(halves, -3, -1, kind=dtype).transpose(-1, -2).flatten(-2).contiguous()
    gate_biases = place(weights.dilated_biases.reshape(layers, 2, width), -1)
    slots = [ring_slots(dilation, weights.kernel_size) for dilation in weights.dilations]
    return PackedModel(
        tables=place(weights.tables_with_bias(), -1),
        dilated=dilated,
        gate_biases=gate_biases.transpose(-1, -2).flatten(-2).contiguous(),
        residuals=place(weights.residual, -2, -1, kind=dtype),
        residual_biases=place(weights.residual_biases, -1),
        skips=place(weights.skip, -2, -1, kind=dtype),
        skip_bias=place(weights.skip_bias, -1),
        output1=place(weights.output1, -2, -1, kind=dtype),
        output1_bias=place(weights.output1_bias, -1),
        output2=place(weights.output2, -2, -1, kind=torch.float32 if weights.head.float32_output else dtype),
        output2_bias=place(weights.output2_bias, -1, fill=-np.inf),
        dilations=torch.tensor(weights.dilations, dtype=torch.int32, device=device),
        ring_starts=torch.tensor(np.cumsum([0, *slots[:-1]]), dtype=torch.int64, device=device),
        ring_masks=torch.tensor(slots, dtype=torch.int32, device=device) - 1,
        prediction_values=place(weights.prediction_values, -1),
        prediction_sizes=place(weights.prediction_sizes, -1),
        prediction_innovations=place(weights.prediction_innovations, -1),
        head=weights.head,
    )


def first_rings(weights: GeneratorWeights, batch_size: int, device: str, dtype: torch.dtype) -> Rings:
    """Returns the memory of clips whose history is one code of silence."""
    slots = sum(ring_slots(dilation, weights.kernel_size) for dilation in weights.dilations)
    shape = (batch_size, weights.kernel_size)
    recent = torch.full(shape, weights.head.nothing, dtype=torch.int32, device=device)
    recent[:, -1] = weights.coding.silence
    width = padded(weights.residual_channels)
    runs = torch.full((batch_size,), MOST_QUIET, dtype=torch.int32, device=device)
    return Rings(torch.zeros(slots, batch_size, width, dtype=dtype, device=device), recent, runs, 0)


def count_quiet(rings: Rings, known: NDArray[np.integer], coding: Coding) -> None:
    """Counts how many of the newest codes of the first clips are quiet after known codes (clips, time)."""
    clips = len(known)
    runs = quiet_runs(rings.quiet_runs[:clips].cpu().numpy(), known, coding.silence, quiet_reach(coding))
    rings.quiet_runs[:clips] = torch.from_numpy(runs).to(rings.quiet_runs)


def front(model: PackedModel, taps: Sequence[Tensor]) -> Tensor:
    """Returns the first layer's input, float32 (..., R).

    Args:
        model: the model.
        taps: for each tap, the oldest first, the code or 16-bit sample that it meets, integer (...).
    """
    tables = model.tables.unbind()
    if model.head.one_hot_front:
        first, *others = (table[codes] for table, codes in zip(tables, taps, strict=True))
    else:
        first = tables[-1][1]
        others = [codes.unsqueeze(-1) * table[0] for table, codes in zip(tables, taps, strict=True)]
    return sum(others, first)


def add_prediction(model: PackedModel, hidden: Tensor, rows: Tensor) -> Tensor:
    """Returns the first layer's input (..., R) with what linear prediction adds for rows (3, ...) of its tables."""
    values, sizes, innovations = rows
    added = model.prediction_values[values] + model.prediction_sizes[sizes]
    return hidden + (added + model.prediction_innovations[innovations])


def pack_condition(condition: ChunkCondition, model: PackedModel, rows: int, samples: int) -> PackedCondition:
    """Returns a condition of a number of samples as kernels take it; rows beyond its own get zeros."""
    layers, width = model.gate_biases.shape
    values = torch.from_numpy(condition.values).to(model.dilated.device)
    halves = values.unflatten(2, (layers, 2, -1)).permute(1, 0, 2, 4, 3)
    packed = model.dilated.new_zeros(len(halves), rows, layers, width // 2, 2)
    packed[:, : halves.shape[1], :, : halves.shape[3]] = halves
    steps = condition.steps(samples)
    return PackedCondition(packed.flatten(-2), steps, torch.tensor(steps, dtype=torch.int32, device=packed.device))


def condition_parts(
    condition: ChunkCondition | None, model: PackedModel, rows: int, samples: int
) -> Iterator[tuple[slice, PackedCondition | None]]:
    """Yields a stretch of samples part after part, each with its condition: as much as fits on the device."""
    if condition is None:
        yield slice(0, samples), None
        return
    steps = max(1, CONDITION_AT_ONCE // (rows * model.gate_biases.numel()))
    first, stop = 0, steps * condition.hold - condition.phase
    while first < samples:
        stop = min(stop, samples)
        yield slice(first, stop), pack_condition(condition.part(first, stop - first), model, rows, stop - first)
        first, stop = stop, stop + steps * condition.hold


@torch.inference_mode()
def prime(
    model: PackedModel,
    rings: Rings,
    codes: Tensor,
    receptive_field: int,
    condition: ChunkCondition | None,
    predictor: DevicePredictor | None = None,
) -> None:
    """Appends known codes (rows, time), time at least 1, layer by layer; see `fast_gen.engines.contract.Engine.prime`.

    Operands are rounded where the kernels round them, so the result is that of stepping up to the order of the sums.
    """
    taps = rings.recent.shape[1]
    behind = taps - 1
    predicted = None
    if predictor is not None:  # which remembers more than the receptive field
        predicted = predictor.take_in(torch.cat([rings.recent[:, -1:], codes[:, :-1].to(torch.int32)], dim=1))
    # The newest code of the history is consumed now, the newest of `codes` by the next call. What lies further back
    # than the receptive field cannot be seen any more.
    read = torch.cat([rings.recent, codes[:, :-1].to(torch.int32)], dim=1)[:, -(receptive_field + behind) :]
    steps = read.shape[1] - behind
    seen = None if condition is None else condition.part(codes.shape[1] - steps, steps)
    at_once = max(1, PRIMED_AT_ONCE // read.shape[1])
    for first in range(0, len(read), at_once):
        clips = slice(first, min(first + at_once, len(read)))
        packed = None
        if seen is not None:
            own = ChunkCondition(seen.values[clips], seen.hold, seen.phase)
            packed = pack_condition(own, model, clips.stop - first, steps)
        rows = None if predicted is None else predicted[:, clips, -steps:]
        _prime_clips(model, rings, clips, read[clips].long(), packed, rows)
    rings.advance(steps)
    rings.recent.copy_(torch.cat([rings.recent, codes.to(torch.int32)], dim=1)[:, -taps:])


def _prime_clips(
    model: PackedModel,
    rings: Rings,
    clips: slice,
    codes: Tensor,
    packed: PackedCondition | None,
    predicted: Tensor | None,
) -> None:
    """Takes the queues of some clips through codes (clips, time), kernel_size - 1 of them already consumed."""
    taps, dtype = rings.recent.shape[1], rings.slots.dtype
    steps = codes.shape[1] - (taps - 1)
    hidden = front(model, [codes[:, tap : tap + steps] for tap in range(taps)])
    if predicted is not None:
        hidden = add_prediction(model, hidden, predicted)
    for layer, dilation in enumerate(model.dilations.tolist()):
        start, mask = int(model.ring_starts[layer]), int(model.ring_masks[layer])
        span = (taps - 1) * dilation
        before = torch.arange(rings.time - span, rings.time, device=codes.device)
        inputs = torch.cat([rings.slots[start + (before & mask), clips].transpose(0, 1), hidden.to(dtype)], dim=1)
        rings.slots[start + ((before + steps) & mask), clips] = inputs[:, steps:].transpose(0, 1)
        if layer + 1 < len(model.dilations):
            views = torch.cat([inputs[:, tap * dilation :][:, :steps] for tap in range(taps)], dim=-1)
            gates = views.float() @ model.dilated[layer].flatten(0, 1).float() + model.gate_biases[layer]
            if packed is not None:
                gates += packed.values[packed.steps_on_device, :, layer].transpose(0, 1)
            activated = gates[..., 0::2].tanh_() * gates[..., 1::2].sigmoid_()
            hidden = hidden + activated.to(dtype).float() @ model.residuals[layer].float()
            hidden = hidden + model.residual_biases[layer]
