"""What a checkpoint of a WaveNet must hold."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from wavenet_app.config import RunConfig
from wavenet_app.core.content import Content, Part, Plain, Weights, other_shapes
from wavenet_app.network.shapes import parameter_shapes


class BaselineBits(Part):
    """The classical predictors' bits; see `corpus.baseline.Baseline`."""

    unigram: float
    order1: float
    lpc: float
    samples: Annotated[int, Field(ge=0)]


class Split(Part):
    """Names of the clips on each side."""

    training: list[str]
    validation: list[str]


class VoiceFacts(Part):
    """What a model that is shared says of itself.

    Attributes:
        licence: of the weights, such as "CC0-1.0".
        data: what it was trained on, in words.
        language: that is spoken; None for none.
        audio_minutes: length of the training audio; None if it is not known.
    """

    licence: str
    data: str
    language: str | None = None
    audio_minutes: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None


class WaveNetDescription(Content):
    """What a checkpoint of a WaveNet holds beside weights."""

    config: Annotated[RunConfig, Plain]
    baseline: BaselineBits | None = None
    split: Split | None = None
    validation: float | None = None
    before_training: Annotated[float, Field(allow_inf_nan=False)] | None = None
    voice: VoiceFacts | None = None


class WaveNetContent(WaveNetDescription):
    """What a checkpoint of a WaveNet must hold: weights of the shapes that its settings give, before a net is built."""

    weights: Weights

    @model_validator(mode="after")
    def _weights_of_this_config(self) -> WaveNetContent:
        model = self.config.model
        if len(model.dilations) > len(self.weights):
            raise ValueError("its weights do not match its config (there are fewer tensors than layers)")
        shapes = parameter_shapes(model)
        for weights in (self.weights, *([self.training.weights] if self.training else [])):
            problem = other_shapes(weights, shapes)
            if problem is not None:
                raise ValueError(f"its weights do not match its config ({problem})")
        return self
