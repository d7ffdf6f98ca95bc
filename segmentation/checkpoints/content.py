"""What a checkpoint of our own DeepLabs must hold."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from segmentation.checkpoints.layouts import rate_count, recognise
from segmentation.config import SegmentationConfig
from wavenet_app.core.content import Content, Part, Plain, Weights, other_shapes
from wavenet_app.core.errors import UserError

Channels = Annotated[list[Annotated[float, Field(allow_inf_nan=False)]], Field(min_length=3, max_length=3)]
Colour = Annotated[list[Annotated[int, Field(ge=0, le=255)]], Field(min_length=3, max_length=3)]

_SETTLED = ("architecture", "backbone", "num_classes", "aspp_channels", "separable", "context", "auxiliary_head")


class Normalisation(Part):
    """Mean and spread of red, green and blue."""

    mean: Channels
    std: Channels


class TrainingData(Part):
    """What the model was trained on."""

    name: str
    format: str
    training_images: int
    validation_images: int


class SegmentationContent(Content):
    """What a checkpoint of our own DeepLabs must hold: weights of the model in its settings, before one is built."""

    config: Annotated[SegmentationConfig, Plain]
    weights: Weights
    classes: list[str] | None = None
    palette: list[Colour] | None = None
    raw_ids: list[Annotated[int, Field(ge=0, le=2**24)]] | None = None
    raw_ignore: Annotated[int, Field(ge=-1, le=2**24)] | None = None
    normalisation: Normalisation | None = None
    class_weights: list[float] | None = None
    data: TrainingData | None = None

    @model_validator(mode="after")
    def _one_of_each_class(self) -> SegmentationContent:
        count = self.config.model.num_classes
        for name in ("palette", "raw_ids", "class_weights"):
            values: list[Any] | None = getattr(self, name)
            if values is not None and len(values) != count:
                raise ValueError(f"{name} has {len(values)} entries, but the model has {count} classes")
        if self.classes and len(self.classes) != count:
            raise ValueError(f"classes has {len(self.classes)} names, but the model has {count} classes")
        return self

    @model_validator(mode="after")
    def _weights_of_this_config(self) -> SegmentationContent:
        model = self.config.model
        try:
            _, shape, _ = recognise(self.weights)
        except UserError as error:
            raise ValueError(f"its weights do not match its config ({error})") from None
        if rate_count(self.weights) != len(model.pyramid_rates):
            raise ValueError(f"its weights do not match its config (model.atrous_rates = {list(model.pyramid_rates)})")
        for name in _SETTLED:
            if shape[name] != getattr(model, name):
                raise ValueError(
                    f"its weights do not match its config (model.{name} = {getattr(model, name)}, "
                    f"but the tensors are of {shape[name]})"
                )
        if self.training is not None:
            shapes = {name: tuple(tensor.shape) for name, tensor in self.weights.items()}
            problem = other_shapes(self.training.weights, shapes)
            if problem is not None:
                raise ValueError(f"its weights in training do not match its weights ({problem})")
        return self
