"""The fused stack once more, on a CPU, with all that stands between its matrix products compiled.

What `fused_stack` writes as a dozen operations of PyTorch, each a pass over the memory, is one kernel of
`kernels` here. The residual stream and its gradient are one array each, which the layers work on in turn, and
of a layer's input only the narrow copy is kept for the backward pass. That goes from the end of a clip to its start,
so that the gradient of a step is final as soon as the taps that read it are done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wavenet_app.network.stack import functions as kernels
from wavenet_app.network.stack.layout import (
    FILTER_SCALE,
    FILTER_SLOPE,
    Held,
    half_scaled,
    needed_starts,
    skip_matrix,
    split_layers,
    to_matrices,
    to_weight,
    to_weights,
)

# Of the gates, whose steps are worked on at a time: less would lose more to the products' overhead than caches give.
_PIECE_BYTES = 2**20

Array = NDArray[Any]


class CompiledSkipSum(torch.autograd.Function):
    """What `fused_stack.SkipSum` is, for float32 on a CPU, with products in float32 or bfloat16."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        condition: Tensor | None,
        held: Held,
        dilations: tuple[int, ...],
        start: int,
        dtype: torch.dtype,
        *parameters: Tensor,
    ) -> Tensor:
        """Returns what `fused_stack.SkipSum` does for the same arguments."""
        layers = split_layers([parameter.detach() for parameter in parameters], len(dilations))
        shape = _Shape.of(hidden, layers, dilations, start, dtype)
        biases = _Biases.of(layers, condition, held)
        joined, inputs, squashed = _Forward(shape, layers, biases, dtype).run(hidden.detach().contiguous())
        ctx.save_for_backward(joined, *parameters, *inputs, *squashed)
        ctx.shape, ctx.dtype = shape, dtype
        ctx.gradients, ctx.conditioned = biases.zeros_like(), condition is not None
        skip_bias = torch.stack([layer[3] for layer in layers]).sum(0).to(dtype)
        sums = torch.addmm(skip_bias, joined.flatten(0, 1), skip_matrix(layers, dtype))
        return sums.view(shape.batch, shape.time - start, -1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        """Returns the gradients of hidden and condition, four times None, and the gradient of each parameter."""
        shape, dtype = ctx.shape, ctx.dtype
        depth = len(shape.dilations)
        joined, *rest = ctx.saved_tensors
        parameters, inputs, squashed = rest[: -2 * depth], rest[-2 * depth : -depth], rest[-depth:]
        layers = split_layers([parameter.detach() for parameter in parameters], depth)
        skip_gradient = gradients[0].to(dtype).contiguous().flatten(0, 1)
        skip_weights = torch.mm(joined.flatten(0, 1).t(), skip_gradient).float().split(shape.width)
        skip_bias = skip_gradient.sum(0, dtype=torch.float32)
        joined_gradient = torch.mm(skip_gradient, skip_matrix(layers, dtype).t()).view(joined.shape)
        run = _Backward(shape, layers, ctx.gradients.zeros_like(), dtype)
        stream = run.run(inputs, squashed, joined_gradient)
        dilated_weights = to_weights(half_scaled(run.dilated, FILTER_SLOPE), shape.kernel_size)
        gate_biases = half_scaled(run.biases.values, FILTER_SLOPE)
        dilated_biases = gate_biases.sum((0, 2)) if ctx.conditioned else gate_biases[0, :, 0]
        condition = gate_biases.transpose(1, 2).flatten(2) if ctx.conditioned else None
        residual_weights = to_weights(run.residuals, 1)
        by_parameter: list[Tensor | None] = []
        for layer in range(depth):
            by_parameter += [
                dilated_weights[layer],
                dilated_biases[layer],
                to_weight(skip_weights[layer], 1),
                skip_bias,
            ]
            if layer < depth - 1:
                by_parameter += [residual_weights[layer], run.residual_biases[layer]]
        # the last layer's residual, if it has one, is not used
        by_parameter += [None] * (len(parameters) - len(by_parameter))
        return stream, condition, None, None, None, None, *by_parameter


def compile_kernels(dtype: torch.dtype) -> str | None:
    """Compiles the kernels for products of a type, or finds them compiled; returns what prevents it, or None.

    Raises:
        ImportError: they are not compiled, and numba cannot be imported.
    """
    try:
        kernels.get_ready(narrow_type(dtype))
    except Exception as error:
        # LLVM raises a RuntimeError; numba's errors are named by their module, as numba may not be imported
        if not (isinstance(error, RuntimeError) or type(error).__module__.startswith("numba.")):
            raise
        return f"numba cannot compile here: {str(error).splitlines()[0]}"
    return None


def narrow_type(dtype: torch.dtype) -> type[np.generic]:
    """Returns the type of the arrays that hold numbers of a torch type: bfloat16 is in uint16."""
    return np.uint16 if dtype == torch.bfloat16 else np.float32


@dataclass(frozen=True)
class _Shape:
    """Sizes, and which steps of a clip each layer works on.

    Attributes:
        batch: clips.
        time: steps of each.
        channels: of the residual stream.
        width: of the activation.
        kernel_size: taps.
        dilations: one a layer.
        starts: what `needed_starts` returns.
        piece: steps worked on at a time.
    """

    batch: int
    time: int
    channels: int
    width: int
    kernel_size: int
    dilations: tuple[int, ...]
    starts: list[int]
    piece: int

    @classmethod
    def of(
        cls,
        hidden: Tensor,
        layers: Sequence[Sequence[Tensor]],
        dilations: tuple[int, ...],
        start: int,
        dtype: torch.dtype,
    ) -> _Shape:
        """Returns the shape of a stack that works on hidden from `start` on, with products in `dtype`."""
        kernel_size, width = layers[0][0].shape[2], layers[0][2].shape[1]
        starts = needed_starts(kernel_size, dilations, start)
        batch, time, channels = hidden.shape
        piece = min(time, max(1, _PIECE_BYTES // (2 * width * dtype.itemsize)))
        return cls(batch, time, channels, width, kernel_size, dilations, starts, piece)

    def steps(self, layer: int) -> int:
        """Returns how many steps a layer puts out."""
        return self.time - self.starts[layer + 1]

    def cut(self, layer: int) -> int:
        """Returns how many of its input's steps a layer only looks back at."""
        return self.starts[layer + 1] - self.starts[layer]

    def lead(self, layer: int) -> int:
        """Returns how many of its output's steps the skip sum does not want."""
        return self.starts[-1] - self.starts[layer + 1]

    def pieces(self, layer: int) -> list[tuple[int, int]]:
        """Returns first step, counted from the layer's first output, and length of each piece."""
        steps = self.steps(layer)
        return [(first, min(self.piece, steps - first)) for first in range(0, steps, self.piece)]


@dataclass(frozen=True)
class _Biases:
    """What is added to the gates of each layer, and when; or the gradient of that.

    Attributes:
        values: (batch, layers, steps, 2 x width); a batch of one serves all clips.
        held: when each step holds, from the first step of the first layer's input on.
    """

    values: Tensor
    held: Held

    @classmethod
    def of(cls, layers: Sequence[Sequence[Tensor]], condition: Tensor | None, held: Held) -> _Biases:
        """Returns the layers' own biases and the condition, the filter half scaled for its sigmoid."""
        own = torch.stack([layer[1] for layer in layers])[None, :, None]
        if condition is not None:
            by_layer = condition.detach().unflatten(2, (len(layers), -1)).transpose(1, 2)
            own = own + by_layer
        return cls(half_scaled(own, FILTER_SCALE).contiguous(), held)

    def zeros_like(self) -> _Biases:
        """Returns a gradient to begin with."""
        return _Biases(torch.zeros_like(self.values), self.held)

    def at(self, clip: int, layer: int, offset: int) -> tuple[Array, int, int]:
        """Returns a layer's (steps, 2 x width), hold, and phase where its first output stands `offset` steps in."""
        array: Array = self.values[min(clip, len(self.values) - 1), layer].numpy()
        return array, *self.held.later(offset)


class _Buffer:
    """Memory for some steps that kernels and products share."""

    def __init__(self, steps: int, channels: int, dtype: torch.dtype) -> None:
        self.tensor = torch.empty(steps, channels, dtype=dtype)
        self.array = _array(self.tensor)

    def part(self, first: int, length: int) -> Tensor:
        """Returns some of its steps."""
        return self.tensor.narrow(0, first, length)


class _Forward:
    """The layers from the first to the last."""

    def __init__(self, shape: _Shape, layers: Sequence[Sequence[Tensor]], biases: _Biases, dtype: torch.dtype) -> None:
        self.shape, self.biases, self.dtype = shape, biases, dtype
        self.dilated = half_scaled(to_matrices([layer[0] for layer in layers]), FILTER_SCALE).to(dtype).unbind()
        self.residuals = to_matrices([layer[4] for layer in layers[:-1]]).to(dtype).unbind()
        self.residual_biases = [layer[5].numpy() for layer in layers[:-1]]
        self.taps = _Buffer(shape.piece, shape.kernel_size * shape.channels, dtype)
        self.activated = _Buffer(shape.piece, shape.width, dtype)
        self.step = _Buffer(shape.piece, shape.channels, dtype)

    def run(self, hidden: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Returns all layers' activations side by side, and each layer's narrow input and squashed gates."""
        shape, depth = self.shape, len(self.shape.dilations)
        joined = hidden.new_empty(shape.batch, shape.steps(depth - 1), depth * shape.width, dtype=self.dtype)
        stream = torch.empty_like(hidden)
        inputs = [hidden.to(self.dtype)]
        squashed = []
        for layer in range(depth):
            squash = joined.new_empty(shape.batch, shape.steps(layer), 2 * shape.width)
            following = joined.new_empty(shape.batch, shape.steps(layer), shape.channels) if layer < depth - 1 else None
            before = hidden if layer == 0 else stream
            self._layer(layer, before, inputs[layer], squash, joined, stream, following)
            squashed.append(squash)
            if following is not None:
                inputs.append(following)
        return joined, inputs, squashed

    def _layer(
        self,
        layer: int,
        before: Tensor,
        narrow: Tensor,
        squash: Tensor,
        joined: Tensor,
        after: Tensor,
        following: Tensor | None,
    ) -> None:
        shape, offset, cut = self.shape, self.shape.starts[layer + 1], self.shape.cut(layer)
        column, lead = layer * shape.width, shape.lead(layer)
        arrays = [_array(tensor) for tensor in (before, narrow, squash, joined, after)]
        following_array = None if following is None else _array(following)
        for clip in range(shape.batch):
            before_clip, narrow_clip, squash_clip, joined_clip, after_clip = (array[clip] for array in arrays)
            biases = self.biases.at(clip, layer, offset)
            for first, length in shape.pieces(layer):
                kernels.gather_taps(
                    narrow_clip, first + cut, shape.dilations[layer], shape.kernel_size, self.taps.array, length
                )
                products = squash[clip].narrow(0, first, length)
                torch.mm(self.taps.part(0, length), self.dilated[layer], out=products)
                kernels.squash_and_activate(
                    squash_clip, first, length, *biases, self.activated.array, joined_clip, column, lead
                )
                if following_array is None:
                    continue
                torch.mm(self.activated.part(0, length), self.residuals[layer], out=self.step.part(0, length))
                kernels.add_residual(
                    before_clip,
                    offset + first,
                    length,
                    self.step.array,
                    self.residual_biases[layer],
                    after_clip,
                    following_array[clip],
                    first,
                )


class _Backward:
    """The layers from the last to the first.

    Attributes:
        dilated: gradients of the layers' matrices, the filter half without its factor of 4.
        biases: of what is added to their gates, likewise.
        residuals: of the residual projections; the last layer's stays zero.
        residual_biases: of their biases.
    """

    def __init__(self, shape: _Shape, layers: Sequence[Sequence[Tensor]], biases: _Biases, dtype: torch.dtype) -> None:
        self.shape, self.biases, self.dtype = shape, biases, dtype
        depth, width, channels = len(layers), shape.width, shape.channels
        slopes = half_scaled(to_matrices([layer[0] for layer in layers]), FILTER_SLOPE).to(dtype)
        self.slopes = slopes.transpose(1, 2).unbind()
        self.projections = to_matrices([layer[4] for layer in layers[:-1]]).to(dtype).transpose(1, 2).unbind()
        self.dilated = torch.zeros(depth, shape.kernel_size * channels, 2 * width)
        self.residuals = torch.zeros(depth, width, channels)
        self.residual_biases = torch.zeros(depth - 1, channels)
        self.taps = _Buffer(shape.piece, shape.kernel_size * channels, dtype)
        self.activated, self.inner = _Buffer(shape.piece, width, dtype), _Buffer(shape.piece, 2 * width, dtype)
        self.gradient = _Buffer(shape.piece, width, dtype)
        self.taps_gradient = _Buffer(shape.time, shape.kernel_size * channels, dtype)

    def run(self, inputs: Sequence[Tensor], squashed: Sequence[Tensor], joined_gradient: Tensor) -> Tensor:
        """Returns the gradient of the first layer's input; those of the parameters stand in the attributes then."""
        shape = self.shape
        stream = torch.zeros(shape.batch, shape.time, shape.channels)
        narrow = stream if self.dtype == stream.dtype else torch.empty_like(stream, dtype=self.dtype)
        # nothing reaches the last layer but from the skips
        self.gradient.tensor.zero_()
        for layer in reversed(range(len(shape.dilations))):
            self._layer(layer, inputs[layer], squashed[layer], joined_gradient, stream, narrow)
        return stream

    def _layer(
        self, layer: int, hidden: Tensor, squash: Tensor, joined_gradient: Tensor, stream: Tensor, narrow: Tensor
    ) -> None:
        shape, offset = self.shape, self.shape.starts[layer + 1]
        steps, cut, dilation = shape.steps(layer), shape.cut(layer), shape.dilations[layer]
        column, lead = layer * shape.width, shape.lead(layer)
        arrays = [_array(tensor) for tensor in (hidden, squash, joined_gradient, stream, narrow)]
        taps, inner, activated = self.taps, self.inner, self.activated
        projects = layer < len(shape.dilations) - 1
        dilated_gradient, residual_gradient = self.dilated[layer], self.residuals[layer]
        below = self.residual_biases[layer - 1].numpy() if layer else np.zeros(shape.channels, np.float32)
        for clip in range(shape.batch):
            hidden_clip, squash_clip, joined_clip, stream_clip, narrow_clip = (array[clip] for array in arrays)
            bias_gradients = self.biases.at(clip, layer, offset)
            reading = (self.taps_gradient.array, offset, steps, dilation, shape.kernel_size, narrow_clip, below)
            for first, length in reversed(shape.pieces(layer)):
                if projects:
                    known = narrow[clip].narrow(0, offset + first, length)
                    torch.mm(known, self.projections[layer], out=self.gradient.part(0, length))
                kernels.gate_gradient(
                    self.gradient.array,
                    joined_clip,
                    column,
                    lead,
                    squash_clip,
                    first,
                    length,
                    activated.array,
                    inner.array,
                    *bias_gradients,
                )
                if projects:
                    residual_gradient += torch.mm(activated.part(0, length).t(), known)
                kernels.gather_taps(hidden_clip, first + cut, dilation, shape.kernel_size, taps.array, length)
                dilated_gradient += torch.mm(taps.part(0, length).t(), inner.part(0, length))
                torch.mm(inner.part(0, length), self.slopes[layer], out=self.taps_gradient.part(first, length))
                kernels.stream_gradient(stream_clip, offset + first, length, *reading)
            kernels.stream_gradient(stream_clip, shape.starts[layer], cut, *reading)


def _array(tensor: Tensor) -> Array:
    """Returns a contiguous tensor's memory as an array, bfloat16 as uint16."""
    return (tensor.view(torch.uint16) if tensor.dtype == torch.bfloat16 else tensor).numpy()
