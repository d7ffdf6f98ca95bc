"""The engine for one clip or a few on a GPU: a cluster of blocks holds the whole model in its shared memory.

A program that reads all weights from the GPU's cache for each sample is bound by that reading. Here a sample reads them
from shared memory, and what remains is the chain of layers itself.
"""

from __future__ import annotations

from torch import Tensor

from fast_gen.engines.gpu.cluster.base import ClusterEngine
from fast_gen.engines.gpu.cluster.packing import definitions, divisions, pack_cluster
from fast_gen.engines.gpu.packing import PackedCondition
from fast_gen.engines.gpu.triton_engine import TritonGpu
from fast_gen.engines.sampling import SamplingSettings
from wavenet_app.heads import Rule

FEW_CLIPS = 8
"""Up to this number of clips have a cluster each: about as many clusters as an H100 runs at a time."""


class ClusterGpu(ClusterEngine):
    """A thread-block cluster for each of a few clips.

    More clips are `TritonGpu`'s, which works on the same queues, and `remark` says so. Arguments are those of
    `TritonGpu`.

    Raises:
        UserError: the GPU cannot schedule a cluster of as many blocks as the model needs.
    """

    summary = "the whole loop in one kernel, for few clips with all weights on the chip"
    files = ("tile_primitives.cu", "common.cu", "products.cu", "chain.cu", "loop.cu")
    rules = tuple(Rule)
    most_clips = FEW_CLIPS
    divisions = staticmethod(divisions)
    definitions = staticmethod(definitions)
    packed = staticmethod(pack_cluster)

    @property
    def remark(self) -> str | None:
        """A line for the user where the weights do not all fit, or Triton's kernel made the clips; or None."""
        if self.batch_size <= FEW_CLIPS:
            return super().remark
        return (
            f"{self.batch_size} clips are more than the {FEW_CLIPS} that have a cluster each; the engine cuda made them"
        )

    def _clusters(self, rows: int) -> int:
        """Returns one cluster for each clip, of which those wait that the device has no room for."""
        return rows

    def _launch(
        self,
        codes: Tensor,
        logits: Tensor,
        uniforms: Tensor,
        settings: SamplingSettings,
        packed: PackedCondition | None,
        *,
        known: bool,
    ) -> None:
        """Launches the kernel, or that of Triton; see `fast_gen.engines.gpu.triton_loop.append_codes`."""
        if self.batch_size <= FEW_CLIPS:
            super()._launch(codes, logits, uniforms, settings, packed, known=known)
        else:
            TritonGpu._launch(self, codes, logits, uniforms, settings, packed, known=known)
