"""What the engines share whose kernel is a thread-block cluster: whether it fits, its compilation, what it is given."""

from __future__ import annotations

import ctypes
from abc import abstractmethod
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from fast_gen.engines.gpu.cluster.nvrtc import ClusterKernel, missing_nvrtc, source
from fast_gen.engines.gpu.cluster.packing import MOST_BLOCKS, SHARED_BYTES, Division, Macros
from fast_gen.engines.gpu.device import gpu_in_words
from fast_gen.engines.gpu.packing import PackedCondition, PackedModel, pack
from fast_gen.engines.gpu.triton_engine import DTYPES, TritonGpu
from fast_gen.engines.sampling import SamplingSettings
from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.core.errors import UserError
from wavenet_app.heads import Rule

POINTER, INTEGER, FLOAT, DOUBLE = ctypes.c_void_p, ctypes.c_int, ctypes.c_float, ctypes.c_double


class Arguments(ctypes.Structure):
    """The structure of that name in `common.cu`."""

    _fields_ = (
        *(
            (name, POINTER)
            for name in (
                "weights", "starts", "first_layers", "tables", "gate_biases", "residual_biases", "skip_bias",
                "output1_bias", "output2_bias", "dilations", "ring_starts", "ring_masks", "slots", "recent", "codes",
                "logits", "uniforms", "condition", "condition_steps", "decoded", "constants", "value_limits",
                "size_limits", "innovation_limits", "past_samples", "coefficients", "predictions", "sizes",
                "prediction_values", "prediction_sizes", "prediction_innovations", "quiet_runs",
            )
        ),
        ("temperature", DOUBLE),
        ("quiet_temperature", DOUBLE),
        ("scale", FLOAT),
        ("quiet_scale", FLOAT),
        ("top_k", INTEGER),
        ("top_p", INTEGER),
        ("least", INTEGER),
        ("quiet_samples", INTEGER),
        ("since", INTEGER),
        ("start_time", INTEGER),
        ("steps", INTEGER),
        ("batch", INTEGER),
    )  # fmt: skip


class ClusterEngine(TritonGpu):
    """The base of an engine whose kernel is a cluster.

    Arguments are those of `TritonGpu`.

    Attributes:
        files: the kernel's source, beside this file, after that of `primitives.cu`.
        rules: by which it picks the next sample.

    Raises:
        UserError: the GPU cannot schedule a cluster of as many blocks as the model needs.
    """

    precisions = tuple(DTYPES)
    files: ClassVar[tuple[str, ...]]
    rules: ClassVar[tuple[Rule, ...]] = (Rule.CODE,)

    @staticmethod
    @abstractmethod
    def divisions(model: PackedModel, shared_bytes: int | None) -> list[Division]:
        """Returns how a model can be divided, the best first; see `fast_gen.engines.gpu.cluster.packing.divisions`."""

    @staticmethod
    @abstractmethod
    def definitions(model: PackedModel, division: Division, weights: GeneratorWeights) -> Macros:
        """Returns what the kernel wants to have defined."""

    @staticmethod
    @abstractmethod
    def packed(model: PackedModel, division: Division) -> tuple[Tensor, Tensor]:
        """Returns all weights in the kernel's order; see `fast_gen.engines.gpu.cluster.packing.pack_blocks`."""

    @classmethod
    def source(cls) -> str:
        """Returns the text of the kernel, with primitives."""
        return source(*map(beside, cls.files))

    @classmethod
    def missing(cls, weights: GeneratorWeights, device: str, precision: str, threads: int) -> str | None:
        """Returns what keeps the engine from running this model, or None; see `EngineClass.missing`."""
        found = super().missing(weights, device, precision, threads)
        return found or cls._missing_cluster(weights) or cls._missing_room(weights, precision)

    @classmethod
    def _missing_cluster(cls, weights: GeneratorWeights) -> str | None:
        """Returns what keeps a cluster from running any model with such a head, or None."""
        if weights.head.rule not in cls.rules:
            return f"it takes mu-law codes alone, not the head {weights.head.name}"
        return missing_nvrtc()

    @classmethod
    def _missing_room(cls, weights: GeneratorWeights, precision: str) -> str | None:
        """Returns that the model does not fit into a cluster, or None."""
        try:
            shared_bytes = cls._shared_bytes()
        except (RuntimeError, AssertionError):
            return "the GPU does not say how much shared memory a block has"
        if not cls.divisions(pack(weights, "cpu", DTYPES[precision]), shared_bytes):
            return f"the model does not fit into the {MOST_BLOCKS} blocks of a cluster in {precision}"
        return None

    @staticmethod
    def _shared_bytes() -> int | None:
        """Returns the shared memory that a block can have here."""
        return int(getattr(torch.cuda.get_device_properties("cuda"), "shared_memory_per_block_optin", SHARED_BYTES))

    def _load(self) -> None:
        super()._load()
        with gpu_in_words(self):
            possible = self.divisions(self._model, self._shared_bytes())
            assert possible, "the caller has asked whether it fits"
            for division in possible:
                self._division = division
                self._kernel = self._compile(self.definitions(self._model, division, self.weights))
                self._most_clusters = self._kernel.most_clusters()
                if self._most_clusters > 0:
                    break
            else:
                sizes = " or ".join(str(division.blocks) for division in possible)
                raise UserError(f"the GPU cannot schedule a cluster of {sizes} blocks; take --engine cuda")
            self._packed, self._starts = self.packed(self._model, self._division)
            self._firsts = self._model.dilations.new_tensor(self._division.first_layers)

    @property
    def remark(self) -> str | None:
        """A line for the user where the weights do not all fit, or None."""
        if self._division.is_whole:
            return None
        blocks = self._division.blocks
        return f"not all weights fit into the {blocks} blocks of a cluster here; a part is read from the GPU's cache"

    def _compile(self, macros: Macros) -> ClusterKernel:
        division = self._division
        return ClusterKernel(
            self.source(), "append_codes", macros, division.blocks, division.threads, division.shared_bytes
        )

    def _clusters(self, rows: int) -> int:
        """Returns how many clusters to start for a number of clips."""
        return min(rows // self._division.rows, self._most_clusters)

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
        steps, rows = codes.shape
        model, numbers = self._model, settings.numbers
        pointers: list[Tensor | None] = [
            self._packed, self._starts, self._firsts, model.tables, model.gate_biases, model.residual_biases,
            model.skip_bias, model.output1_bias, model.output2_bias, model.dilations, model.ring_starts,
            model.ring_masks, self._rings.slots, self._rings.recent, codes, logits if known else None, uniforms,
            None if packed is None else packed.values, None if packed is None else packed.steps_on_device,
        ]  # fmt: skip
        prediction = self._prediction
        if prediction is None:
            pointers += [None] * 12
        else:
            pointers += [
                prediction.decoded, prediction.constants, prediction.value_limits, prediction.size_limits,
                prediction.innovation_limits, prediction.past, prediction.coefficients, prediction.predictions,
                prediction.sizes, model.prediction_values, model.prediction_sizes, model.prediction_innovations,
            ]  # fmt: skip
        pointers.append(self._rings.quiet_runs)
        arguments = Arguments(
            *(tensor.data_ptr() if tensor is not None else None for tensor in pointers),
            numbers.temperature,
            numbers.quiet_temperature,
            numbers.scale,
            numbers.quiet_scale,
            numbers.top_k or self.weights.quantization_channels,
            numbers.top_p,
            numbers.least,
            numbers.quiet_samples,
            0 if prediction is None else prediction.since,
            self._rings.time,
            steps,
            rows,
        )
        self._kernel.launch(self._clusters(rows), arguments)


def beside(name: str) -> Path:
    """Returns the path of a file of this folder."""
    return Path(__file__).with_name(name)
