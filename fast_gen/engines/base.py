"""What engines share: how they are constructed, and how a class says what keeps it from running. Imports no torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from fast_gen.engines.weights import GeneratorWeights


class BaseEngine(ABC):
    """The base of an engine on one thread; see `fast_gen.engines.contract.Engine` and `EngineClass`.

    Args:
        weights: the model.
        device: "cpu" or "cuda"; None for the first of `devices`.
        precision: one of `precisions`.
        threads: how many of the CPU to take.
    """

    devices: ClassVar[Sequence[str]]
    precisions: ClassVar[Sequence[str]]
    summary: ClassVar[str]
    predicts: ClassVar[bool] = False
    """Whether it takes models with linear prediction as an input."""

    batch_size: int

    def __init__(
        self, weights: GeneratorWeights, device: str | None = None, precision: str = "float32", threads: int = 1
    ) -> None:
        self.weights = weights
        self.device = device or self.devices[0]
        self.precision = precision
        self.threads = threads
        if weights.prediction is not None and not self.predicts:
            raise ValueError(f"{type(self).__name__} does not take models with linear prediction")
        self._load()
        self.reset(1)

    @abstractmethod
    def _load(self) -> None:
        """Brings the weights into the layout of the engine."""

    @property
    def remark(self) -> str | None:
        """A line for the user about how samples were made, or None, as here."""
        return None

    @abstractmethod
    def reset(self, batch_size: int) -> None:
        """Makes the history of each of `batch_size` rows a single silence code; see `Engine.reset`."""

    @classmethod
    def missing(
        cls,
        weights: GeneratorWeights,
        device: str,
        precision: str,  # noqa: ARG003 - one of `precisions`, which run wherever the engine does
        threads: int,
    ) -> str | None:
        """Returns what keeps the engine from running this model on a device, or None; see `EngineClass.missing`."""
        if threads != 1:
            return f"it takes one thread, not {threads}"
        if weights.prediction is not None and not cls.predicts:
            return "it does not take models with linear prediction (model.prediction) yet"
        return cls._missing_hardware(weights, device)

    @classmethod
    def _missing_hardware(
        cls,
        weights: GeneratorWeights,  # noqa: ARG003
        device: str,  # noqa: ARG003
    ) -> str | None:
        """Returns what the machine lacks for a model on a device, or None."""
        return None

    @classmethod
    def preparation(
        cls,
        weights: GeneratorWeights,  # noqa: ARG003
        precision: str,  # noqa: ARG003
        threads: int,  # noqa: ARG003
    ) -> str | None:
        """Returns a line for the user if the first call waits for a compiler, or None, as here."""
        return None
