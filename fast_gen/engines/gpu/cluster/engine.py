"""The engine for one clip or a few on a GPU: a cluster of blocks holds the whole model in its shared memory.

A program that reads all weights from the GPU's cache for each sample is bound by that reading. Here a sample reads them
from shared memory, and what remains is the chain of layers itself.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

from torch import Tensor

from fast_gen.engines.gpu.cluster.nvrtc import ClusterKernel, missing_nvrtc, source
from fast_gen.engines.gpu.cluster.packing import definitions, divide, pack_cluster
from fast_gen.engines.gpu.packing import PackedCondition
from fast_gen.engines.gpu.triton_engine import TritonGpu
from fast_gen.engines.sampling import SamplingSettings
from wavenet_app.heads import Rule

FEW_CLIPS = 8
"""Up to this number of clips have a cluster each: about as many clusters as an H100 runs at a time."""

SOURCE = Path(__file__).with_name("loop.cu")

POINTER, INTEGER, FLOAT = ctypes.c_void_p, ctypes.c_int, ctypes.c_float


class Arguments(ctypes.Structure):
    """The structure of that name in `loop.cu`."""

    _fields_ = (
        *(
            (name, POINTER)
            for name in (
                "weights", "starts", "first_layers", "tables", "gate_biases", "residual_biases", "skip_bias",
                "output1_bias", "output2_bias", "dilations", "ring_starts", "ring_masks", "slots", "recent", "codes",
                "logits", "uniforms", "condition", "condition_steps",
            )
        ),
        ("scale", FLOAT),
        ("top_k", INTEGER),
        ("top_p", INTEGER),
        ("least", INTEGER),
        ("start_time", INTEGER),
        ("steps", INTEGER),
        ("batch", INTEGER),
    )  # fmt: skip


class ClusterGpu(TritonGpu):
    """A thread-block cluster for each of a few clips, if the model fits into one; else what `TritonGpu` does.

    Both work on the same queues. The cluster picks mu-law codes alone; 16-bit samples, and models with linear
    prediction, are Triton's in any number.
    Arguments are those of `TritonGpu`.
    """

    summary = "the whole loop in one kernel, for few clips with all weights on the chip"

    def _load(self) -> None:
        super()._load()
        self._division = divide(self._model) if self._missing_cluster() is None else None
        if self._division is not None:
            self._packed, self._starts = pack_cluster(self._model, self._division)
            firsts = self._division.first_layers
            self._firsts = self._model.dilations.new_tensor(firsts)
            macros = definitions(self._model, self._division, self.weights.quantization_channels)
            self._kernel = self._compile(macros)

    def _missing_cluster(self) -> str | None:
        """Returns what keeps a cluster from running the model, or None."""
        if self.weights.head.rule != Rule.CODE:
            return f"it takes mu-law codes alone, not the head {self.weights.head.name}"
        if self.weights.prediction is not None:
            return "it does not take models with linear prediction"
        return missing_nvrtc()

    def _compile(self, macros: dict[str, int]) -> ClusterKernel:
        division = self._division
        assert division is not None
        return ClusterKernel(
            source(SOURCE), "append_codes", macros, division.blocks, division.threads, division.shared_bytes
        )

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
        """Launches the kernel; see `fast_gen.engines.gpu.triton_loop.append_codes`."""
        if self._division is None or self.batch_size > FEW_CLIPS:
            super()._launch(codes, logits, uniforms, settings, packed, known=known)
            return
        steps, rows = codes.shape
        model, numbers = self._model, settings.numbers
        pointers: list[Tensor | None] = [
            self._packed, self._starts, self._firsts, model.tables, model.gate_biases, model.residual_biases,
            model.skip_bias, model.output1_bias, model.output2_bias, model.dilations, model.ring_starts,
            model.ring_masks, self._rings.slots, self._rings.recent, codes, logits if known else None, uniforms,
            None if packed is None else packed.values, None if packed is None else packed.steps_on_device,
        ]  # fmt: skip
        arguments = Arguments(
            *(tensor.data_ptr() if tensor is not None else None for tensor in pointers),
            numbers.scale,
            numbers.top_k or self.weights.quantization_channels,
            numbers.top_p,
            numbers.least,
            self._rings.time,
            steps,
            rows,
        )
        self._kernel.launch(self.batch_size, arguments)
