"""Every setting of a segmentation run: the shape of a DeepLab, how it is trained, and the named presets."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from wavenet_app.core.errors import UserError
from wavenet_app.core.loop.schedules import SCHEDULES
from wavenet_app.core.names import FileName
from wavenet_app.core.settings import Settings, one_of
from wavenet_app.core.text import did_you_mean

IGNORE_INDEX = 255
"""Id of mask pixels that count neither in the loss nor in a score."""

ATROUS_RATES: dict[int, tuple[int, ...]] = {
    16: (6, 12, 18),
    8: (12, 24, 36),
    **dict.fromkeys((4, 2, 1), (24, 48, 72)),  # strides 2 and 1 are for images too small for more
}
"""Output stride -> rates of the pyramid (Chen et al. 2017, "Rethinking Atrous Convolution", section 3.3)."""

SMALLEST_CROP, LARGEST_CROP = 16, 2**14
MOST_RATES, GREATEST_RATE = 32, 1_024

BackboneName = Literal["dilated", "resnet50", "resnet101", "mobilenet_v2", "mobilenet_v3_large"]
NormName = Literal["batch", "frozen", "group", "synchronised"]


class SegmentationModelConfig(Settings):
    """Shape of a DeepLab (Chen et al. 2017, DeepLabV3; Chen et al. 2018, DeepLabV3+)."""

    architecture: Literal["deeplab_v3", "deeplab_v3plus"] = Field(
        default="deeplab_v3plus", description="V3, or V3+ with a decoder that adds features at stride 4"
    )
    backbone: BackboneName = Field(default="dilated", description="the network that turns images into features")
    num_classes: int = Field(default=21, ge=1, le=IGNORE_INDEX, description="classes, background included")
    output_stride: Literal[1, 2, 4, 8, 16] = Field(
        default=16, description="pixels of the image to one of the last features; 1 and 2 for the dilated backbone"
    )
    atrous_rates: tuple[int, ...] = Field(
        default=(),
        description="dilations of the pyramid; empty: 6, 12, 18 at stride 16, 12, 24, 36 at 8, 24, 48, 72 below",
    )
    aspp_channels: int = Field(default=256, ge=1, le=2**14, description="width of each branch of the pyramid")
    separable: bool = Field(default=False, description="head of depthwise and pointwise convolutions, as Xception's")
    dropout: float = Field(default=0.1, ge=0, lt=1, description="share of the pyramid's features dropped in training")
    context: bool = Field(default=False, description="Yu and Koltun's context module after the class scores")
    auxiliary_head: bool = Field(default=False, description="a second head on earlier features, in training alone")
    norm: NormName = Field(
        default="batch",
        description="batch; frozen: the backbone keeps the statistics it was loaded with; group; synchronised",
    )

    @field_validator("atrous_rates")
    @classmethod
    def _positive_rates(cls, rates: tuple[int, ...]) -> tuple[int, ...]:
        if rates and min(rates) < 1:
            raise ValueError("each rate must be at least 1")
        if len(rates) > MOST_RATES or max(rates, default=1) > GREATEST_RATE:
            raise ValueError(f"takes at most {MOST_RATES} rates, each at most {GREATEST_RATE}")
        return rates

    @model_validator(mode="after")
    def _stride_of_the_backbone(self) -> SegmentationModelConfig:
        if self.output_stride < 4 and self.backbone != "dilated":
            raise ValueError(
                f"the backbone {self.backbone} has the output strides 4, 8 and 16, not {self.output_stride}; "
                "1 and 2 are for the backbone dilated"
            )
        return self

    @property
    def pyramid_rates(self) -> tuple[int, ...]:
        """Dilations of the pyramid: `atrous_rates`, or the default of the output stride."""
        return self.atrous_rates or ATROUS_RATES[self.output_stride]


class SegmentationTrainingConfig(Settings):
    """How the model is trained."""

    start_from: str = Field(
        default="auto",
        description="auto: ImageNet's weights for the backbone if available; imagenet: the same, or an error; none; "
        "or a deeplab_*.pth file or its name in data/pretrained",
    )
    crop_size: tuple[int, int] | None = Field(
        default=None,
        description="height and width of the random crops in pixels, after data.image_scale, or one number for both; "
        "unset: those of the images, at most 256 without a GPU and 512 with one",
    )
    scale_range: tuple[float, float] | None = Field(
        default=None,
        description="random resizing before the crop, on top of data.image_scale; unset: 0.75 to 1.5 from random "
        "weights, 0.5 to 2 from trained ones",
    )
    flip: float = Field(default=0.5, ge=0, le=1, description="probability of a mirrored image")
    photometric: float = Field(
        default=0.3, ge=0, lt=1, description="greatest share by which brightness, contrast and saturation change"
    )
    batch_size: int = Field(default=4, ge=1, le=2**16, description="crops per step and process")
    fit_batch: bool = Field(
        default=False,
        description="on a GPU: take the largest batch_size that fits its memory, found by trying before the training",
    )
    processes: int | None = Field(
        default=None,
        ge=1,
        le=2**16,
        description="processes that take each step together; unset: one on a GPU, one for each core up to four without",
    )
    optimizer: Literal["sgd", "adamw"] | None = Field(
        default=None, description="unset: adamw from random weights, sgd from trained ones"
    )
    learning_rate: float | None = Field(
        default=None, gt=0, description="of the backbone, at the start; unset: 0.01 for sgd, 0.002 for adamw"
    )
    head_factor: float | None = Field(
        default=None,
        gt=0,
        description="the head's rate over the backbone's; unset: 1 from random weights, 10 from trained ones",
    )
    schedule: Annotated[str, one_of(SCHEDULES)] = Field(
        default="linear", description=f"how the rate falls after the warm-up: {', '.join(SCHEDULES)}"
    )
    poly_power: float = Field(
        default=0.9,
        gt=0,
        description="power of the schedule; with a linear one the rate falls by DeepLab's poly schedule",
    )
    warmup_steps: int = Field(default=20, ge=0, lt=2**53, description="steps of linear warm-up")
    momentum: float = Field(default=0.9, ge=0, lt=1, description="of the gradient descent, and adamw's first one")
    weight_decay: float | None = Field(
        default=None, ge=0, description="pull of the weights towards zero; unset: 1e-4 for sgd, 0.01 for adamw"
    )
    auxiliary_weight: float = Field(default=0.4, ge=0, description="of the auxiliary head's loss")
    class_weights: Literal["none", "balanced"] | None = Field(
        default=None,
        description="balanced: rarer classes weigh more in the loss; unset: balanced from random weights, none from "
        "trained ones",
    )
    gradient_clip: float = Field(default=10.0, gt=0, description="greatest norm of the gradient")
    ema_decay: float = Field(default=0.999, ge=0, lt=1, description="decay of the averaged weights, reached by warm-up")
    max_steps: int | None = Field(default=None, ge=1, lt=2**53, description="optimizer steps")
    minutes: float | None = Field(default=None, gt=0, description="wall-clock limit")
    validate_seconds: float | None = Field(
        default=None,
        gt=0,
        description="time between validations; unset: a thirtieth of the minutes, and 60 at least",
    )
    validation_images: int = Field(
        default=32, ge=1, description="images of each validation, evenly spread over the split"
    )
    workers: int | None = Field(
        default=None,
        ge=0,
        le=256,
        description="processes that read and crop images; unset: none without a GPU, whose cores they would take, "
        "and up to eight with one",
    )
    checkpoint_seconds: float = Field(default=60.0, ge=0, description="time between writings of last.pth")
    seed: int = Field(default=0, ge=0, lt=2**63, description="seed of the initial weights, the crops and their order")
    precision: Literal["auto", "float32", "bfloat16"] = Field(default="auto", description="arithmetic of the products")
    cuda_graphs: Literal["auto", "off"] = Field(
        default="auto",
        description="auto: a GPU repeats each step as one recorded graph, if that does what the step does; off: never",
    )

    @field_validator("crop_size", mode="before")
    @classmethod
    def _both_sides(cls, size: Any) -> Any:
        return (size, size) if isinstance(size, int) else size

    @field_validator("crop_size")
    @classmethod
    def _crop_of_some_size(cls, size: tuple[int, int] | None) -> tuple[int, int] | None:
        if size is not None and min(size) < SMALLEST_CROP:
            raise ValueError(f"a crop needs {SMALLEST_CROP} pixels along each side, or more")
        if size is not None and max(size) > LARGEST_CROP:
            raise ValueError(f"a crop has at most {LARGEST_CROP} pixels along each side")
        return size

    @model_validator(mode="after")
    def _ordered_scales(self) -> SegmentationTrainingConfig:
        if self.scale_range is not None and not 0 < self.scale_range[0] <= self.scale_range[1]:
            raise ValueError("the scale range needs two positive numbers, the smaller first")
        return self


class SegmentationDataConfig(Settings):
    """The data set, and how the model sees it."""

    dataset: str | None = Field(default=None, description="a folder or a name; unset: the built-in shapes")
    coco_classes: Literal["auto", "voc", "all"] = Field(
        default="auto",
        description="for COCO: the 21 classes of VOC, or background and all categories of the file; auto: the first "
        "for COCO's own 80, the second for other categories",
    )
    image_scale: float | None = Field(
        default=None,
        gt=0,
        le=8,
        description="the model sees images of this share of their size, in training and in use; masks and scores keep "
        "the images' own; unset: 1 with a GPU, and without one what makes the longer side 256 pixels, from 0.25 to 1",
    )

    @property
    def format_options(self) -> dict[str, str]:
        """The settings that only one image format has, by name."""
        return self.model_dump(exclude={"dataset", "image_scale"})


class SegmentationConfig(Settings):
    """All settings of one segmentation run, as its checkpoint stores them."""

    name: FileName = Field(default="segmentation", description="folder of the run under checkpoints/")
    model: SegmentationModelConfig = SegmentationModelConfig()
    data: SegmentationDataConfig = SegmentationDataConfig()
    training: SegmentationTrainingConfig = SegmentationTrainingConfig()

    @property
    def pad_to(self) -> int:
        """What the sides of an image are padded to multiples of: the output stride if those of the crops were, else 1.

        Features stand where they stood in training only at sizes like those of the crops (docs/results/notebook.md).
        """
        crop, stride = self.training.crop_size, self.model.output_stride
        return stride if crop is not None and not any(side % stride for side in crop) else 1


PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    # for a CPU: a narrow head and small steps
    "small": {"model": {"backbone": "mobilenet_v3_large", "aspp_channels": 64}, "training": {"batch_size": 4}},
    "mobilenet": {"model": {"backbone": "mobilenet_v3_large"}},
    "dilated": {"model": {"backbone": "dilated"}},
    "resnet50": {"model": {"backbone": "resnet50", "auxiliary_head": True}},
    "resnet101": {"model": {"backbone": "resnet101", "auxiliary_head": True}},
}


def preset(name: str) -> SegmentationConfig:
    """Returns the settings of a named preset.

    Raises:
        UserError: no preset has that name.

    >>> preset("resnet50").model.pyramid_rates
    (6, 12, 18)
    """
    if name not in PRESETS:
        known = f"choose one of {', '.join(PRESETS)}"
        raise UserError(f"no preset is called '{name}'{did_you_mean(name, PRESETS, known)}")
    return SegmentationConfig.model_validate(PRESETS[name])
