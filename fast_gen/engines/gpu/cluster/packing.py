"""How a model is divided among the blocks of a thread-block cluster, and its weights in the order they are read in.

The layout is that of `loop.cu`. Plain torch, so that it can be tested anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fast_gen.engines import gaussian_quantile, pick_weights, quiet, sampling
from fast_gen.engines.gpu.packing import PackedModel
from fast_gen.engines.weights import GeneratorWeights
from wavenet_app import coding
from wavenet_app.heads import Rule
from wavenet_app.network.prediction import rows as prediction_rows

MOST_BLOCKS = 16
"""Blocks of a cluster, the greatest that an H100 takes."""

PORTABLE_BLOCKS = 8
"""Blocks of a cluster that every GPU with clusters takes; more must be allowed first, and are not always scheduled."""

SHARED_BYTES = 232_448
"""Shared memory that a block can have on an H100."""

PICK_NAMES = ("FRACTION_BITS", "GUARD_BITS", "MOST_HALVINGS", "SHARE_BITS", "UNIFORM_BITS")
"""Numbers of `pick_weights` that the kernel wants to have defined besides its coefficients."""

LEAST_THREADS = 512
"""Of a block: enough to read shared memory at full speed, with registers to spare."""

REGISTERS = 65_536
"""Registers of a multiprocessor, which the threads of its block share."""

OWN_REGISTERS = 80
"""Registers of a thread that the kernel needs besides those of weights."""

TILE = 16
"""Outputs, and inputs in bfloat16, of one product of tensor cores."""


Macros = Mapping[str, int | float | str]
"""What a kernel wants to have defined: name -> number, or numbers with commas between."""


class Division(NamedTuple):
    """Which block holds what.

    Attributes:
        threads: of a block.
        first_layers: the first layer of each block that holds layers, and the number of layers at the end. The block
            after these holds output1, the next one output2.
        held_layers: layers of a block whose weights lie in shared memory; those of the others are read from afar.
        layer_desk_bytes: shared memory that a block of layers needs besides weights.
        output_desk_bytes: shared memory that an output layer's block needs besides weights.
        shared_bytes: shared memory of a block.
        rows: clips that a cluster takes together.
        sets: groups of a block's warps, of which each keeps the weights that a sample waits for, of its share of the
            layers, in registers; 0 if these weights are read from shared memory. See `chain.cu`.
    """

    threads: int
    first_layers: tuple[int, ...]
    held_layers: int
    layer_desk_bytes: int
    output_desk_bytes: int
    shared_bytes: int
    rows: int = 1
    sets: int = 0

    @property
    def blocks(self) -> int:
        """Blocks of a cluster."""
        return len(self.first_layers) + 1

    @property
    def most_layers(self) -> int:
        """The most layers of a block."""
        return int(np.diff(self.first_layers).max())

    @property
    def is_whole(self) -> bool:
        """Whether all weights lie in shared memory."""
        return self.held_layers >= self.most_layers


def divisions(model: PackedModel, shared_bytes: int | None = None) -> list[Division]:
    """Returns how a model can be divided, the fastest first: in the order in which a device is asked whether it can.

    That is the fewest blocks that hold all weights, as each is one more hop a sample; the most blocks; and as many as
    every device takes, with weights beyond their memory.

    Args:
        model: what is divided.
        shared_bytes: shared memory that a block can have; None for that of an H100.
    """
    most_bytes = SHARED_BYTES if shared_bytes is None else shared_bytes
    layers = len(model.dilated)
    most = min(MOST_BLOCKS - 2, layers)
    whole = [
        found
        for layer_blocks in range(1, most + 1)
        if (found := _divided(model, layer_blocks, most_bytes)) is not None and found.is_whole
    ]
    # `whole` begins with the fewest blocks and ends with the most
    chosen = [*whole[:1], *whole[1:][-1:]]
    if not any(found.blocks <= PORTABLE_BLOCKS for found in chosen):
        portable = _divided(model, min(PORTABLE_BLOCKS - 2, layers), most_bytes)
        chosen += [] if portable is None else [portable]
    return chosen


def divide(model: PackedModel, shared_bytes: int | None = None) -> Division | None:
    """Returns the first of `divisions`, None if there is none."""
    return next(iter(divisions(model, shared_bytes)), None)


def _divided(model: PackedModel, layer_blocks: int, most_bytes: int) -> Division | None:
    """Returns the division into a number of blocks of layers; None if a block cannot hold even one layer."""
    layers, taps, residual, _ = model.dilated.shape
    _, gate, skip = model.skips.shape
    codes = model.output2.shape[1]
    threads = max(LEAST_THREADS, codes, residual)
    layer = _bytes(model.dilated[0]) + _bytes(model.residuals[0]) + _bytes(model.skips[0])
    outputs = max(_bytes(model.output1), _bytes(model.output2))
    most = -(-layers // layer_blocks)
    changing = 8 * (residual + 2) + 4 * (most * ((taps - 1) * residual + 3 * gate) + residual)
    constant = most * (4 * (2 * gate + residual) + 8 + 2 * 4)
    sets = _sets(model, threads, most)
    operands = 2 * (residual + gate) if sets else 0
    layer_desk = lines(changing + operands + constant + 8)
    output_desk = lines(8 * (skip * (layer_blocks + 1) + codes + 32) + 4 * (32 + skip + codes + 4))
    held = min(most, (most_bytes - layer_desk) // layer)
    shared = max(layer_desk + held * layer, output_desk + outputs)
    if held < 1 or shared > most_bytes or threads > 1024:
        return None
    firsts = [layers * block // layer_blocks for block in range(layer_blocks + 1)]
    return Division(threads, tuple(firsts), held, layer_desk, output_desk, shared, sets=sets)


def _sets(model: PackedModel, threads: int, most_layers: int) -> int:
    """Returns the `Division.sets` of blocks with some threads and at most some layers."""
    residual, gate = model.dilated.shape[2], model.skips.shape[1]
    sets = threads // 32 // ((2 * gate + residual) // TILE)
    if model.dilated.element_size() != 2 or sets == 0:
        return 0
    registers = -(-most_layers // sets) * 4 * max(residual, gate) // TILE
    return sets if registers <= REGISTERS // threads - OWN_REGISTERS else 0


def parts(division: Division, inputs: int, outputs: int, unit: int) -> int:
    """Returns how many threads share an output of a product; a power of two."""
    return min(16, inputs // unit, max(1, division.threads // outputs))


def packed_matrix(matrix: Tensor, division: Division) -> Tensor:
    """Returns a matrix (in, out) as bytes, in the order in which the threads read 16 of them at a time."""
    unit = 16 // matrix.element_size()
    shared_by = parts(division, matrix.shape[0], matrix.shape[1], unit)
    groups = matrix.view(-1, shared_by, unit, matrix.shape[1]).permute(0, 3, 1, 2)
    return groups.contiguous().view(torch.uint8).flatten()


def filters_before_gates(matrix: Tensor) -> Tensor:
    """Returns a matrix (in, 2 x gate), whose outputs alternate, with 8 filters and then the gates of their channels.

    A thread has outputs i and i + 8 of each 16 from a tensor core, and so both of a channel.
    """
    return matrix.unflatten(1, (-1, 8, 2)).transpose(2, 3).flatten(1)


def tiles(matrix: Tensor) -> Tensor:
    """Returns a matrix (in, out) as bytes: 16 of each thread of a warp for 16 outputs and 8 words of inputs.

    A word is four bytes of consecutive inputs. Their order is that of `multiply` in `tile_primitives.cu`.
    """
    words = matrix.T.contiguous().view(torch.int32)  # (out, words)
    outputs, count = words.shape
    parts = words.view(outputs // TILE, 2, 8, count // 8, 2, 4)
    return parts.permute(0, 3, 2, 5, 4, 1).contiguous().view(torch.uint8).flatten()


def fragments(matrix: Tensor) -> Tensor:
    """Returns the `tiles` of a matrix (in, out) in bfloat16 whose inputs lie in another order.

    Of four threads with the same outputs, each has a quarter of the inputs, so that it reads them side by side.
    """
    return tiles(matrix.unflatten(0, (4, -1, 2, 2)).permute(1, 2, 0, 3, 4).flatten(0, 3))


def pack_cluster(model: PackedModel, division: Division) -> tuple[Tensor, Tensor]:
    """Returns all weights in the order of `loop.cu`; see `pack_blocks`."""
    layers = []
    for taps, residual, skip in zip(model.dilated, model.residuals, model.skips, strict=True):
        *past, newest = taps
        if division.sets:
            chain = [fragments(filters_before_gates(newest)), fragments(residual)]
        else:
            chain = [packed_matrix(newest, division), packed_matrix(residual, division)]
        before = [packed_matrix(matrix, division) for matrix in past]
        layers.append(torch.cat([*before, *chain, packed_matrix(skip, division)]))
    outputs = [packed_matrix(matrix, division) for matrix in (model.output1, model.output2)]
    return pack_blocks(layers, outputs, division)


def pack_blocks(layers: list[Tensor], outputs: list[Tensor], division: Division) -> tuple[Tensor, Tensor]:
    """Returns all weights as bytes, block after block, and where each begins, int64 (blocks + 1,), in 16 bytes.

    Args:
        layers: the weights of each layer, as bytes.
        outputs: those of the output layers.
        division: the blocks.
    """
    firsts = division.first_layers
    blocks = [torch.cat(layers[first:after]) for first, after in pairwise(firsts)]
    blocks += outputs
    starts = np.cumsum([0, *(len(block) // 16 for block in blocks)])
    return torch.cat(blocks), torch.tensor(starts, dtype=torch.int64, device=blocks[0].device)


def definitions(model: PackedModel, division: Division, weights: GeneratorWeights) -> Macros:
    """Returns what `loop.cu` wants to have defined."""
    prediction = weights.prediction
    layers, taps, residual, _ = model.dilated.shape
    _, gate, skip = model.skips.shape
    counts = np.diff(division.first_layers)
    return {
        "THREADS": division.threads,
        "LAYER_BLOCKS": len(counts),
        "MOST_LAYERS": int(counts.max()),
        "HELD_LAYERS": division.held_layers,
        "SETS": division.sets,
        "LAYERS": layers,
        "KERNEL_SIZE": taps,
        "CODES": weights.quantization_channels,
        "R": residual,
        "D": gate,
        "S": skip,
        "Q": model.output2.shape[1],
        "LAYER_DESK_BYTES": division.layer_desk_bytes,
        "OUTPUT_DESK_BYTES": division.output_desk_bytes,
        "HALF": int(model.dilated.element_size() == 2),
        "PREDICTED": int(prediction is not None),
        "FRAME": 0 if prediction is None else prediction.frame,
        "HOP": 0 if prediction is None else prediction.step,
        "ORDER": 0 if prediction is None else prediction.order,
        "LOWEST_CODE": weights.coding.lowest,
        "SILENCE": weights.coding.silence,
        "QUIET_REACH": quiet.quiet_reach(weights.coding),
        "MOST_QUIET": quiet.MOST_QUIET,
        "VALUES": prediction_rows.VALUES,
        "SIZES": prediction_rows.SIZES,
        "INNOVATIONS": prediction_rows.INNOVATIONS,
        **_of_head(weights),
        **{name: getattr(pick_weights, name) for name in PICK_NAMES},
        **{f"COEFFICIENT_{place}": coefficient for place, coefficient in enumerate(pick_weights.COEFFICIENTS)},
    }


def _of_head(weights: GeneratorWeights) -> Macros:
    """Returns what the kernel wants to know of the head, and of 16-bit samples where it predicts these."""
    head = weights.head
    quantiles = {"MIDDLE": gaussian_quantile.MIDDLE, "FLANK": gaussian_quantile.FLANK}
    return {
        "RULE": int(head.rule),
        "ONE_HOT": int(head.one_hot_front),
        "FLOAT_OUTPUT": int(head.float32_output),
        "FIRST_MEAN": head.means.start,
        "AFTER_MEANS": head.means.stop,
        "HIGHEST_CODE": weights.coding.lowest + weights.coding.size - 1,
        **{f"{rule.name}_RULE": int(rule) for rule in Rule},
        "SAMPLE_STEP": coding.STEP,
        "LEAST_SCALE": coding.LEAST_SCALE,
        "GREATEST_LOG_SCALE": float(coding.GREATEST_LOG_SCALE),
        "HALF_UNIFORM": sampling.HALF_UNIFORM,
        "LEAST_REMAINDER": sampling.LEAST_REMAINDER,
        **{
            f"{name}_{part}": ",".join(map(repr, numbers))
            for name, parts in quantiles.items()
            for part, numbers in zip(("ABOVE", "BELOW"), parts, strict=True)
        },
    }


def _bytes(matrix: Tensor) -> int:
    return matrix.nelement() * matrix.element_size()


def lines(size: int) -> int:
    """Returns a size filled up to whole 128 bytes."""
    return -(-size // 128) * 128
