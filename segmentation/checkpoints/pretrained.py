"""Trained DeepLabs, ours and those of other projects: read safely, loaded whole, or as far as they fit a model."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from segmentation.checkpoints.content import SegmentationContent
from segmentation.checkpoints.imagenet import load_imagenet
from segmentation.checkpoints.layouts import recognise, state_dict
from segmentation.checkpoints.names import find_pretrained
from segmentation.config import ATROUS_RATES, SegmentationConfig, SegmentationModelConfig
from segmentation.network.deeplab import DeepLab, build_model, class_layers
from wavenet_app.core.checkpoint import read_checkpoint, read_plain, refuse_not_finite
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.core.safetensors_file import SUFFIX, read_safetensors
from wavenet_app.core.settings import validated

KIND = "segmentation"


@dataclass(frozen=True)
class Pretrained:
    """The content of a recognised DeepLab file.

    Attributes:
        path: the file.
        layout: of the tensors' names: "wavegen", "torchvision" or "DeepLabV3Plus-Pytorch".
        shape: fields of `SegmentationModelConfig` that the file determines; "output_stride" may be missing.
        weights: name in our model -> tensor.
        content: what a file of ours holds beside the weights: config, classes, palette, normalisation.
    """

    path: Path
    layout: str
    shape: dict[str, Any]
    weights: dict[str, Tensor]
    content: dict[str, Any] = field(default_factory=dict)

    def config(self, output_stride: int | None = None) -> SegmentationModelConfig:
        """Returns the shape of the model in the file.

        Args:
            output_stride: 1, 2, 4, 8 or 16, to override that of the file.

        Raises:
            UserError: neither the file nor the caller gives the output stride.
        """
        stride = output_stride or self.shape.get("output_stride")
        if stride is None:
            raise UserError(
                f"{self.path}: its tensors fit output strides 8 and 16 alike; say which it was trained at, "
                "--output-stride 16 (or 8); to train on from it, --set model.output_stride=16 (or 8)"
            )
        return validated(SegmentationModelConfig, {**self.shape, "output_stride": stride})


def read_pretrained(path: Path) -> Pretrained:
    """Returns a DeepLab file, recognised from its tensors.

    Read are our own checkpoints, state dicts of torchvision's deeplabv3_resnet50, _resnet101 and _mobilenet_v3_large,
    and DeepLabV3Plus-Pytorch's V3 and V3+ for ResNet and MobileNetV2, bare or in the dict that a training script saved,
    by torch or as safetensors.

    Raises:
        UserError: the file is absent, damaged, could run code, or holds no known DeepLab.
    """
    content: Any = read_safetensors(path) if path.suffix == SUFFIX else read_plain(path)
    if isinstance(content, dict) and str(content.get("format", "")).startswith("wavegen-"):
        content = read_checkpoint(path, KIND, SegmentationContent)
        config = validated(SegmentationConfig, content["config"])
        return Pretrained(path, "wavegen", config.model.model_dump(), content["weights"], content)
    try:
        layout, shape, weights = recognise(state_dict(content))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    refuse_not_finite(path, weights)
    return Pretrained(path, layout, shape, weights)


def load_pretrained(pretrained: Pretrained, output_stride: int | None = None) -> DeepLab:
    """Returns the model of a file, whole, in evaluation mode.

    Args:
        pretrained: the file.
        output_stride: 1, 2, 4, 8 or 16, for files that do not store it, or to override it.

    Raises:
        UserError: the output stride is not known, or the tensors do not fit each other.
    """
    model = build_model(pretrained.config(output_stride))
    try:
        model.load_state_dict(pretrained.weights)
    except RuntimeError as error:
        reason = textwrap.shorten(str(error).splitlines()[-1], 200, placeholder=" ...")  # it may list every tensor
        raise UserError(
            f"{pretrained.path}: its weights do not fit its own {model.config.backbone} ({reason})"
        ) from None
    return model.eval()


def take_over(model: DeepLab, pretrained: Pretrained) -> list[str]:
    """Loads all of a file that fits a model: the backbone always, each head as far as its shape is the same.

    Args:
        model: the model, whose other weights stay as they are.
        pretrained: the file.

    Returns:
        Lines on what was loaded, what is new and what was ignored.

    Raises:
        UserError: the backbone or its norm is different.
    """
    config, shape = model.config, pretrained.shape
    if shape["backbone"] != config.backbone:
        raise UserError(
            f"{pretrained.path} holds the backbone {shape['backbone']}, the model has {config.backbone}; "
            f"take --set model.backbone={shape['backbone']}"
        )
    if (shape["norm"] == "group") != (config.norm == "group"):
        raise UserError(
            f"{pretrained.path} was trained with norm '{shape['norm']}', which '{config.norm}' does not fit; "
            f"take --set model.norm={shape['norm']}"
        )
    lines = [f"{pretrained.path.name}: {shape['architecture']} of {config.backbone}, {pretrained.layout}'s layout"]
    taken = _fitting(model, pretrained, "backbone.", by_class=())
    if not taken:
        raise UserError(f"{pretrained.path}: its weights do not fit its own backbone {config.backbone}")
    for prefix, part in (
        ("classifier.", "head"),
        ("aux_classifier.", "auxiliary head"),
        ("context.", "context module"),
    ):
        in_model = any(name.startswith(prefix) for name in model.state_dict())
        in_file = any(name.startswith(prefix) for name in pretrained.weights)
        if not in_model:
            lines += [f"the {part} of the file is ignored: the model has none"] * in_file
            continue
        by_class = tuple(f"{name}." for name in class_layers(model) if name.startswith(prefix))
        found = _fitting(model, pretrained, prefix, by_class)
        taken |= found
        if not found:
            remedy = _remedy(config, shape) if part == "head" else ""
            lines.append(f"the {part} is new: the file has none that fits{remedy}")
        elif by_class and not any(name.startswith(by_class) for name in found):
            lines.append(
                f"the {part} is new in its last layer: the file has {shape['num_classes']} classes, "
                f"the model {config.num_classes}"
            )
    lines += _other_stride(config, shape)
    if any(name.startswith("classifier.") for name in taken):
        lines += _other_rates(config, shape)
    model.load_state_dict(taken, strict=False)
    return lines


def _remedy(config: SegmentationModelConfig, shape: dict[str, Any]) -> str:
    """Returns the settings that would make the head of a file fit; nothing if they do not differ."""
    settings = " ".join(
        f"--set model.{name}={str(shape[name]).lower()}"
        for name in ("architecture", "aspp_channels", "separable")
        if shape[name] != getattr(config, name)
    )
    return f"; to load it: {settings}" if settings else ""


def _other_stride(config: SegmentationModelConfig, shape: dict[str, Any]) -> list[str]:
    """Returns a line if a model continues at another output stride than its file was trained at, or might."""
    stride = shape.get("output_stride")
    if stride is None:
        other = 8 if config.output_stride == 16 else 16
        return [
            f"no tensor determines the output stride of its training; it continues at {config.output_stride} "
            f"(for the other: --set model.output_stride={other})"
        ]
    if stride != config.output_stride:
        return [f"trained at output stride {stride}, it continues at {config.output_stride}"]
    return []


def _other_rates(config: SegmentationModelConfig, shape: dict[str, Any]) -> list[str]:
    """Returns a line if a head continues with other rates than it was trained with, at the same output stride."""
    stride, rates = shape.get("output_stride"), list(config.pyramid_rates)
    if stride != config.output_stride:  # whose rates go by the stride
        return []
    before = list(shape.get("atrous_rates") or ATROUS_RATES[config.output_stride])
    if before == rates:
        return []
    kept = ",".join(map(str, before))
    return [
        f"trained with the rates {before}, it continues with {rates}; to keep them: --set model.atrous_rates=[{kept}]"
    ]


class StartWeights(NamedTuple):
    """The weights that a training starts from.

    Attributes:
        from_scratch: whether all weights are random.
        lines: for the user; with "auto" they give the reason for random weights.
    """

    from_scratch: bool
    lines: list[str]


def start_weights(model: DeepLab, start_from: str, data: DataFolder) -> StartWeights:
    """Loads the weights that a training starts from into a new model.

    Args:
        model: the model, with random weights.
        start_from: "auto", "imagenet", "none", or a file or name as `find_pretrained` takes it.
        data: the data folder, whose pretrained/ may hold ImageNet's weights too.

    Raises:
        UserError: the weights that `start_from` names do not exist or do not fit.
    """
    if start_from == "none":
        return StartWeights(True, ["the model starts from random weights"])
    if start_from not in ("auto", "imagenet"):
        return StartWeights(False, take_over(model, read_pretrained(find_pretrained(start_from, data))))
    try:
        return StartWeights(False, [load_imagenet(model, data.pretrained)])
    except UserError as error:
        if start_from == "imagenet":
            raise
        return StartWeights(True, [f"the model starts from random weights: {error}"])


def _fitting(model: DeepLab, pretrained: Pretrained, prefix: str, by_class: tuple[str, ...]) -> dict[str, Tensor]:
    """Returns the file's tensors for a part of the model; none at all if one outside its class layers does not fit."""
    found = {}
    for name, own in model.state_dict().items():
        if not name.startswith(prefix):
            continue
        tensor = pretrained.weights.get(name)
        if tensor is not None and tensor.shape == own.shape:
            found[name] = tensor
        elif not name.startswith(by_class) and not name.endswith("num_batches_tracked"):
            return {}
    return found
