"""How a model is divided among the blocks through which tiles of clips flow, and its weights as tensor cores take them.

The layout is that of `pipeline.cu`. Plain torch, so that it can be tested anywhere.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fast_gen.engines import pick_weights
from fast_gen.engines.gpu.cluster import packing
from fast_gen.engines.gpu.cluster.packing import Division, Macros, filters_before_gates, pack_blocks, tiles
from fast_gen.engines.gpu.packing import PackedModel
from fast_gen.engines.weights import GeneratorWeights

THREADS = 256
"""Of a block: eight warps can have all the registers, of which the sums of a tile take many."""

TILES = (32, 16, 8)
"""Clips of a tile, the best first: with more of them, weights are read less often."""

AFAR = 2
"""How many times as long the weights take that a block reads from the GPU's cache; an estimate."""


def divisions(model: PackedModel, shared_bytes: int | None = None) -> list[Division]:
    """Returns how a model can be divided, the best first: in the order in which a device is asked whether it can.

    All blocks compute at once, so the one with the most weights sets the pace, and the best division has the least of
    these times the number of blocks. Tiles are the largest that fit. Second comes the best with as many blocks as every
    device takes.

    Args:
        model: what is divided.
        shared_bytes: shared memory that a block can have; None for that of an H100.
    """
    most_bytes = packing.SHARED_BYTES if shared_bytes is None else shared_bytes
    most = min(packing.MOST_BLOCKS - 2, len(model.dilated))
    for rows in TILES:
        tried = [_divided(model, rows, layer_blocks, most_bytes) for layer_blocks in range(1, most + 1)]
        found = sorted((one for one in tried if one is not None), key=lambda one: _cost(model, one))
        if found:
            portable = [one for one in found if one.blocks <= packing.PORTABLE_BLOCKS]
            return list(dict.fromkeys([*found[:1], *portable[:1]]))
    return []


def _cost(model: PackedModel, division: Division) -> tuple[int, int]:
    """Returns the bytes of weights that the slowest block reads for a tile times the blocks, and the blocks."""
    outputs = max(model.output1.nbytes, model.output2.nbytes)
    held = min(division.most_layers, division.held_layers)
    layers = (held + AFAR * (division.most_layers - held)) * _layer_bytes(model)
    return max(layers, outputs) * division.blocks, division.blocks


def _layer_bytes(model: PackedModel) -> int:
    return model.dilated[0].nbytes + model.residuals[0].nbytes + model.skips[0].nbytes


def _divided(model: PackedModel, rows: int, layer_blocks: int, most_bytes: int) -> Division | None:
    """Returns the division into a number of blocks of layers; None if a block cannot hold even one layer."""
    layers, taps, residual, _ = model.dilated.shape
    _, gate, skip = model.skips.shape
    codes, size = model.output2.shape[1], model.output2.element_size()
    most = -(-layers // layer_blocks)
    mail = 4 * (residual + skip) * rows + 16
    views = most * rows * _stride_bytes(taps * residual, size) + rows * _stride_bytes(gate, size)
    constants = most * (4 * (2 * gate + residual) + 8 + 2 * 4) + 8
    layer_desk = packing.lines(mail + views + constants + 4 * rows * (taps + 3) + 16)
    output_desk = packing.lines(mail + rows * _stride_bytes(skip, size) + 4 * rows * (codes + 5) + 16)
    outputs = max(model.output1.nbytes, model.output2.nbytes)
    held = min(most, (most_bytes - layer_desk) // _layer_bytes(model))
    shared = max(layer_desk + held * _layer_bytes(model), output_desk + outputs)
    if held < 1 or shared > most_bytes:
        return None
    firsts = tuple(layers * block // layer_blocks for block in range(layer_blocks + 1))
    return Division(THREADS, firsts, held, layer_desk, output_desk, shared, rows)


def _stride_bytes(inputs: int, size: int) -> int:
    """Returns how far the operands of two clips are apart in shared memory."""
    return inputs * size + 16


def pack_pipeline(model: PackedModel, division: Division) -> tuple[Tensor, Tensor]:
    """Returns all weights in the order of `pipeline.cu`; see `pack_blocks`."""
    layers = []
    for taps, residual, skip in zip(model.dilated, model.residuals, model.skips, strict=True):
        gates = filters_before_gates(taps.flatten(0, 1))
        layers.append(torch.cat([tiles(matrix) for matrix in (gates, residual, skip)]))
    return pack_blocks(layers, [tiles(model.output1), tiles(model.output2)], division)


def definitions(model: PackedModel, division: Division, weights: GeneratorWeights) -> Macros:
    """Returns what `pipeline.cu` wants to have defined."""
    return {
        **packing.definitions(model, division, weights),
        "ROWS": division.rows,
        "WEIGHT_BITS": pick_weights.UNIT.bit_length() - 1,
    }
