"""The weights of a WaveNet as plain arrays, laid out for generation; the only file here that knows its attributes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wavenet_app.coding import STEP, Coding
from wavenet_app.core.dilation import receptive_field
from wavenet_app.heads import DEFAULT_HEAD, Head
from wavenet_app.network.prediction.rows import INNOVATIONS

if TYPE_CHECKING:
    from torch import Tensor

    from wavenet_app.config import PredictionConfig
    from wavenet_app.network.model import WaveNet

Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class GeneratorWeights:
    """Everything that an engine needs to know of a model: contiguous float32 arrays, read-only, on the host.

    Every matrix is stored (in, out), so a layer is `inputs @ matrix + bias`, and every axis of taps runs from the
    oldest to the newest. All layers of the stack lie in one array, layer first. With z = tanh(filter) x sigmoid(gate),
    a layer takes its input h to h + z @ residual + residual_bias, and the skips of all layers sum up to
    `sum(z @ skip) + skip_bias`.

    Attributes:
        front_tables: (kernel_size, quantization_channels, residual_channels); one row for each code and tap. Where the
            samples are 16-bit ones, (kernel_size, 1, residual_channels): a row is added as often as the sample says.
        front_bias: (residual_channels,).
        dilated: (layers, kernel_size, residual_channels, 2 x dilation_channels); of the outputs, the first half is
            the filter and the second the gate.
        dilated_biases: (layers, 2 x dilation_channels).
        residual: (layers, dilation_channels, residual_channels); zero for the last layer, whose output is not used,
            so that all layers look alike. An engine may leave that product out.
        residual_biases: (layers, residual_channels); zero for the last layer.
        skip: (layers, dilation_channels, skip_channels).
        skip_bias: (skip_channels,), the sum over all layers.
        output1: (skip_channels, skip_channels), after a ReLU of the skip sum.
        output1_bias: (skip_channels,).
        output2: (skip_channels, output_channels), after another ReLU.
        output2_bias: (output_channels,).
        dilations: spacing of the taps in each layer.
        voices: (speakers, layers x 2 x dilation_channels), what each speaker adds to the gates; no speakers, no rows.
            Mixed voices are mixed rows. A model of mel frames too projects both itself.
        conditioned: whether something is added to the gates for each sample: see `fast_gen.engines.condition`. How it
            is made of speakers and mel frames, the model knows; engines get it ready.
        prediction_values: (VALUES, residual_channels), what the predicted value of the next sample adds to the first
            layer's input; no rows for a model without linear prediction. See `wavenet_app.network.prediction`.
        prediction_sizes: (SIZES, residual_channels), what the size of the prediction's residual adds.
        prediction_innovations: (INNOVATIONS, residual_channels), what the innovation of the newest sample adds; zeros
            for a model that does not read it.
        prediction: settings of the linear predictor; None for a model without it.
        head: what the outputs mean.
    """

    front_tables: Array
    front_bias: Array
    dilated: Array
    dilated_biases: Array
    residual: Array
    residual_biases: Array
    skip: Array
    skip_bias: Array
    output1: Array
    output1_bias: Array
    output2: Array
    output2_bias: Array
    dilations: tuple[int, ...]
    voices: Array
    conditioned: bool
    prediction_values: Array
    prediction_sizes: Array
    prediction_innovations: Array
    prediction: PredictionConfig | None = None
    head: Head = DEFAULT_HEAD

    @classmethod
    def of(cls, model: WaveNet) -> GeneratorWeights:
        """Returns a copy of the present weights of a model, wherever they are; later training does not change it."""
        blocks: list[Any] = list(model.blocks)
        config = model.config
        residual = np.zeros((len(blocks), config.dilation_channels, config.residual_channels), np.float32)
        residual_biases = np.zeros((len(blocks), config.residual_channels), np.float32)
        for layer, block in enumerate(blocks[:-1]):
            residual[layer] = _matrix(block.residual.weight)[0]
            residual_biases[layer] = _array(block.residual.bias)
        return cls(
            front_tables=_front_tables(model),
            front_bias=_array(model.front.bias),
            dilated=np.stack([_matrix(block.dilated.weight) for block in blocks]),
            dilated_biases=np.stack([_array(block.dilated.bias) for block in blocks]),
            residual=residual,
            residual_biases=residual_biases,
            skip=np.stack([_matrix(block.skip.weight)[0] for block in blocks]),
            skip_bias=np.sum([_array(block.skip.bias) for block in blocks], axis=0, dtype=np.float32),
            output1=_contiguous(_array(model.output1.weight).T),
            output1_bias=_array(model.output1.bias),
            output2=_contiguous(_array(model.output2.weight).T),
            output2_bias=_array(model.output2.bias),
            dilations=tuple(config.dilations),
            voices=_voices(model),
            conditioned=config.conditioned,
            prediction_values=_prediction_table(model, "value_table"),
            prediction_sizes=_prediction_table(model, "size_table"),
            prediction_innovations=_innovation_table(model),
            prediction=config.prediction,
            head=model.head,
        )

    @classmethod
    def smallest(cls, head: Head) -> GeneratorWeights:
        """Returns a model of zeros, with one of everything: whatever depends on types alone is the same for any model.

        Args:
            head: what its outputs mean.
        """

        def zeros(*shape: int) -> Array:
            return np.zeros(shape, np.float32)

        rows, outputs = head.coding.size if head.one_hot_front else 1, head.output_channels
        return cls(
            front_tables=zeros(2, rows, 1),
            front_bias=zeros(1),
            dilated=zeros(1, 2, 1, 2),
            dilated_biases=zeros(1, 2),
            residual=zeros(1, 1, 1),
            residual_biases=zeros(1, 1),
            skip=zeros(1, 1, 1),
            skip_bias=zeros(1),
            output1=zeros(1, 1),
            output1_bias=zeros(1),
            output2=zeros(1, outputs),
            output2_bias=zeros(outputs),
            dilations=(1,),
            voices=zeros(0, 2),
            conditioned=False,
            prediction_values=zeros(0, 1),
            prediction_sizes=zeros(0, 1),
            prediction_innovations=zeros(0, 1),
            head=head,
        )

    def __post_init__(self) -> None:
        for value in vars(self).values():
            if isinstance(value, np.ndarray):
                value.setflags(write=False)

    def tables_with_bias(self) -> Array:
        """Returns the front as kernels read it: (kernel_size, rows of `front_tables` + 1, residual_channels).

        With one row per code, the newest tap's rows include the bias, and the last row of each tap is zero, for the
        time before the first code. For 16-bit samples the newest tap's last row is the bias.
        """
        tables = np.pad(self.front_tables, ((0, 0), (0, 1), (0, 0)))
        tables[-1, slice(None, -1) if self.head.one_hot_front else -1] += self.front_bias
        return tables

    @property
    def kernel_size(self) -> int:
        """Taps of every dilated convolution and of the front."""
        return self.front_tables.shape[0]

    @property
    def quantization_channels(self) -> int:
        """Number of mu-law codes, where the samples are such."""
        return self.front_tables.shape[1]

    @property
    def coding(self) -> Coding:
        """What the codes are that an engine takes and gives."""
        return self.head.coding

    @property
    def output_channels(self) -> int:
        """Numbers that the last layer gives for each sample."""
        return len(self.output2_bias)

    @property
    def residual_channels(self) -> int:
        """Width of the residual stream."""
        return self.front_tables.shape[2]

    @property
    def dilation_channels(self) -> int:
        """Width of each half of the gate."""
        return self.skip.shape[1]

    @property
    def skip_channels(self) -> int:
        """Width of the skip sum."""
        return self.skip.shape[2]

    @property
    def condition_channels(self) -> int:
        """Width of what a condition adds to the gates of all layers together."""
        return self.dilated_biases.size

    @property
    def receptive_field(self) -> int:
        """Codes that one prediction can see."""
        return receptive_field(self.kernel_size, (1, *self.dilations))

    @property
    def context(self) -> int:
        """Past codes that one prediction depends on: the receptive field, and what the linear predictor remembers."""
        return self.receptive_field + (self.prediction.memory if self.prediction else 0)

    @property
    def multiply_accumulates(self) -> int:
        """Multiply-accumulates of one sample: all matrices once, but the last layer's residual, which is not needed."""
        matrices = (self.dilated, self.residual[:-1], self.skip, self.output1, self.output2)
        return sum(matrix.size for matrix in matrices)


def _front_tables(model: WaveNet) -> Array:
    """Returns the rows that the front adds up; of 16-bit samples what a single step of theirs adds, which is exact."""
    front: Any = model.front
    if model.head.one_hot_front:
        return _array(front.tables)
    return _array(front.weight)[:, None] * np.float32(STEP)


def _prediction_table(model: WaveNet, name: str) -> Array:
    """Returns one of the tables of linear prediction; no rows for a model without it."""
    front: Any = model.prediction
    return np.zeros((0, model.config.residual_channels), np.float32) if front is None else _array(getattr(front, name))


def _innovation_table(model: WaveNet) -> Array:
    """Returns the table of innovations: zeros, which add nothing, for a model with prediction that reads none."""
    front: Any = model.prediction
    if front is not None and front.innovation_table is None:
        return np.zeros((INNOVATIONS, model.config.residual_channels), np.float32)
    return _prediction_table(model, "innovation_table")


def _voices(model: WaveNet) -> Array:
    """Returns what each speaker adds to the gates of all layers."""
    blocks: list[Any] = list(model.blocks)
    if model.global_condition is None:
        return np.zeros((0, sum(len(block.dilated.bias) for block in blocks)), np.float32)
    embeddings = _array(model.global_condition.embeddings)
    return np.concatenate([embeddings @ _matrix(block.global_projection.weight)[0] for block in blocks], axis=1)


def _array(parameter: Tensor) -> Array:
    """Returns a float32 copy on the host."""
    return np.array(parameter.detach().float().cpu().numpy())


def _contiguous(array: Array) -> Array:
    return np.ascontiguousarray(array)


def _matrix(convolution: Tensor) -> Array:
    """Returns (taps, in, out), the oldest tap first, of a convolution's weight (out, in, taps)."""
    return _contiguous(_array(convolution).transpose(2, 1, 0))
