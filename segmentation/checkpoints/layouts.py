"""Recognises a DeepLab by its tensors: the layout of their names, the backbone, the number of classes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from wavenet_app.core.errors import UserError

Weights = dict[str, Tensor]

# A training script's dict holds the weights under one of these names, beside the optimizer's state.
_WRAPPERS = ("model_state", "model_state_dict", "state_dict", "model", "weights")
_MOST_WRAPPERS = 8  # one in the other

# The first of these that a state dict holds identifies the backbone; None marks a backbone that is not built here.
_BACKBONES: dict[str, str | None] = {
    "backbone.layer3.22.conv3.weight": "resnet101",
    "backbone.layer3.6.conv3.weight": None,
    "backbone.layer3.5.conv3.weight": "resnet50",
    "backbone.16.0.weight": "mobilenet_v3_large",
    "backbone.17.conv.1.0.weight": "mobilenet_v2",
    "backbone.coarse.blocks.0.dilated.weight": "dilated",
}
# DeepLabV3Plus-Pytorch cuts MobileNetV2 in two, whose layers keep their numbers.
_HALVES = re.compile(r"^backbone\.(low|high)_level_features\.")
# Prefixes that other wrappers of a model put before all its names: DataParallel, torch.compile, Lightning modules.
_PREFIXES = ("module.", "model.", "net.")

# A name that only files of another project hold -> the project.
_OTHER_PROJECTS = {
    "aspp.aspp1.atrous_conv.weight": "jfzhang95's pytorch-deeplab-xception",
    "cat_conv.0.weight": "bubbliiiing's deeplabv3-plus-pytorch",
    "decode_head.conv_seg.weight": "MMSegmentation",
    "segmentation_head.0.weight": "segmentation_models_pytorch",
    "segmentation_head.conv_pool.convolution.weight": "transformers",
}
_UNREADABLE = {
    "backbone.stage4.": "HRNet",
    "backbone.conv3.": "Xception",
}


def state_dict(content: Any) -> Weights:
    """Returns the weights in what a file held: a state dict, or the dict of a training script around one.

    Raises:
        UserError: there are no weights in it.
    """
    for _ in range(_MOST_WRAPPERS):  # a dict can hold itself
        inner = next((name for name in _WRAPPERS if isinstance(content, dict) and _is_dict(content, name)), None)
        if inner is None:
            break
        content = content[inner]
    if (
        not isinstance(content, dict)
        or not content
        or not all(isinstance(name, str) for name in content)
        or not all(isinstance(value, Tensor) and not value.is_complex() for value in content.values())
    ):
        raise UserError(f"it holds no state dict, neither bare nor under one of {', '.join(_WRAPPERS)}")
    return _without_prefixes({name.replace("_orig_mod.", ""): tensor for name, tensor in content.items()})


def _is_dict(content: Mapping[str, Any], name: str) -> bool:
    return isinstance(content.get(name), dict)


def _without_prefixes(weights: Weights) -> Weights:
    """Returns the tensors of the model under their own names; what stands beside it, such as a loss, is left out."""
    while not any(name.startswith("backbone.") for name in weights):
        prefix = next((prefix for prefix in _PREFIXES if any(name.startswith(prefix) for name in weights)), None)
        if prefix is None:
            break
        weights = {name.removeprefix(prefix): weights[name] for name in weights if name.startswith(prefix)}
    return weights


def recognise(weights: Mapping[str, Tensor]) -> tuple[str, dict[str, Any], Weights]:
    """Returns the layout of a state dict, the shape of its model, and its tensors under our own names.

    Args:
        weights: state dict of torchvision's DeepLabV3, of DeepLabV3Plus-Pytorch's V3 or V3+, or of our own models,
            whose names are torchvision's for V3 and DeepLabV3Plus-Pytorch's for V3+.

    Returns:
        "torchvision" or "DeepLabV3Plus-Pytorch"; fields of `SegmentationModelConfig`, among which "output_stride" is
        missing where no tensor determines it; the renamed tensors.

    Raises:
        UserError: it is no known DeepLab.
    """
    layout = "DeepLabV3Plus-Pytorch"
    weights = renamed = {_HALVES.sub("backbone.", name): tensor for name, tensor in weights.items()}
    backbone = _backbone(weights)
    if "classifier.classifier.0.convs.0.0.weight" in weights:
        inner = "classifier.classifier."
        renamed = {
            f"classifier.{name.removeprefix(inner)}" if name.startswith(inner) else name: tensor
            for name, tensor in weights.items()
        }
    elif "classifier.0.convs.0.0.weight" in weights:
        layout = "torchvision"
    elif "classifier.aspp.convs.0.0.weight" not in weights:
        raise UserError("its head is no DeepLab's: it has neither classifier.0.convs nor classifier.aspp.convs")
    is_plus = "classifier.aspp.convs.0.0.weight" in renamed
    last = "classifier.classifier.3.weight" if is_plus else "classifier.4.weight"
    if last not in renamed:
        raise UserError(f"its head is cut short: {last} is missing")
    pyramid = "classifier.aspp" if is_plus else "classifier.0"
    shape: dict[str, Any] = {
        "architecture": "deeplab_v3plus" if is_plus else "deeplab_v3",
        "backbone": backbone,
        "num_classes": _width(renamed, last),
        "aspp_channels": _pyramid_width(renamed, pyramid),
        "separable": any(".body.0." in name for name in renamed),
        "context": "context.last.weight" in renamed,
        "auxiliary_head": "aux_classifier.4.weight" in renamed,
        "norm": "batch" if f"{pyramid}.project.1.running_mean" in renamed else "group",
    }
    if layout == "torchvision" and backbone != "dilated":
        # torchvision builds each with one stride, and takes the rates of stride 8 for both.
        shape["output_stride"] = 16 if backbone == "mobilenet_v3_large" else 8
        shape["atrous_rates"] = (12, 24, 36)
    return layout, shape, renamed


def rate_count(weights: Mapping[str, Tensor]) -> int:
    """Returns the number of atrous rates of the pyramid in one of our own models."""
    return max(_branches(weights, pyramid) for pyramid in ("classifier.aspp", "classifier.0")) - 2


def _pyramid_width(weights: Mapping[str, Tensor], pyramid: str) -> int:
    """Returns the channels of each branch, if the 1x1 over all of them bears it out.

    So the tensors of a file are about as large as the model that is built for them.
    """
    width, name = _width(weights, f"{pyramid}.convs.0.0.weight"), f"{pyramid}.project.0.weight"
    expected = (width, _branches(weights, pyramid) * width, 1, 1)
    found = tuple(weights[name].shape) if name in weights else None
    if found != expected:
        raise UserError(f"its head does not fit together: {name} has the shape {found}, not {expected}")
    return width


def _branches(weights: Mapping[str, Tensor], pyramid: str) -> int:
    """Returns the number of branches of a pyramid: a 1x1, one for each rate, and the mean of the image."""
    prefix = f"{pyramid}.convs."
    return len({name.removeprefix(prefix).split(".")[0] for name in weights if name.startswith(prefix)})


def _width(weights: Mapping[str, Tensor], name: str) -> int:
    """Returns the output channels of a 1x1 convolution."""
    shape = tuple(weights[name].shape)
    if len(shape) != 4 or not shape[0]:
        raise UserError(f"{name} has the shape {shape}, which is no convolution's")
    return shape[0]


def _backbone(weights: Mapping[str, Tensor]) -> str:
    for name, project in _OTHER_PROJECTS.items():
        if name in weights:
            raise UserError(
                f"it is a file of {project}, whose DeepLab is another network; readable are files of torchvision, of "
                "DeepLabV3Plus-Pytorch and our own"
            )
    readable = ", ".join(name for name in _BACKBONES.values() if name)
    for prefix, name in _UNREADABLE.items():
        if any(key.startswith(prefix) for key in weights):
            raise UserError(f"its backbone is {name}, which is not built here; readable are {readable}")
    for key, known in _BACKBONES.items():
        if key in weights:
            if known is None:
                break
            return known
    raise UserError(f"its backbone is none of {readable} (the first tensor is {next(iter(weights))})")
