"""The engine for many clips on a GPU: weights stay in the blocks of clusters, and tiles of clips flow through them.

A program that takes a tile of clips through all layers reads all weights for each sample of each tile. Here each block
of a cluster has a few layers, and reads their weights from its own shared memory.
"""

from __future__ import annotations

from fast_gen.engines.gpu.cluster.base import ClusterEngine
from fast_gen.engines.gpu.cluster.pipeline_packing import definitions, divisions, pack_pipeline
from fast_gen.engines.gpu.triton_engine import Plan

LEAST_CLIPS = 9
"""Fewer clips leave most of a tile empty."""


class PipelineGpu(ClusterEngine):
    """Thread-block clusters that share the tiles of a batch.

    A clip is the same to the bit alone and in any batch. It picks mu-law codes alone. Arguments are those of
    `TritonGpu`.

    Raises:
        UserError: the GPU cannot schedule a cluster of as many blocks as the model needs.
    """

    summary = "the whole loop in one kernel, for many clips that flow through clusters of blocks"
    files = ("tile_primitives.cu", "common.cu", "pipeline.cu")
    least_clips = LEAST_CLIPS
    only_timed = True
    divisions = staticmethod(divisions)
    definitions = staticmethod(definitions)
    packed = staticmethod(pack_pipeline)

    def plan(self, clips: int) -> Plan:  # noqa: ARG002 - the tiles are those that the kernel is compiled for
        """Returns how to divide a number of clips."""
        return Plan(self._division.rows, self._division.threads // 32, 1)
