"""ImageNet weights for torchvision's backbones: from the data folder, torch's own cache, or a download."""

from __future__ import annotations

import urllib.request
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from torch import Tensor
from torchvision.models import (
    MobileNet_V2_Weights,
    MobileNet_V3_Large_Weights,
    ResNet50_Weights,
    ResNet101_Weights,
)

from segmentation.network.deeplab import DeepLab
from wavenet_app.core.checkpoint import read_plain, refuse_not_finite
from wavenet_app.core.errors import UserError

# The first version, which torchvision's own DeepLabs were trained from.
_WEIGHTS: dict[str, Any] = {
    "resnet50": ResNet50_Weights.IMAGENET1K_V1,
    "resnet101": ResNet101_Weights.IMAGENET1K_V1,
    "mobilenet_v2": MobileNet_V2_Weights.IMAGENET1K_V1,
    "mobilenet_v3_large": MobileNet_V3_Large_Weights.IMAGENET1K_V1,
}
_PROBE_SECONDS = 10.0


def load_imagenet(model: DeepLab, folder: Path) -> str:
    """Loads ImageNet weights into the backbone of a model.

    Args:
        model: the model; its heads stay as they are.
        folder: searched first, by torchvision's file name; then torch's cache, then the network.

    Returns:
        A line on which weights they are.

    Raises:
        UserError: there are none for this backbone or norm, or they cannot be found or downloaded.
    """
    name = model.config.backbone
    if name not in _WEIGHTS:
        raise UserError(
            f"the backbone '{name}' has no ImageNet weights; use --preset small, or "
            f"--set model.backbone= with one of {', '.join(_WEIGHTS)}"
        )
    if model.config.norm == "group":
        raise UserError(
            "ImageNet's weights were trained with batch norm; take model.norm=batch, frozen or synchronised"
        )
    weights = _fetched(name, folder)
    refuse_not_finite(folder / _file_name(name), weights)
    if name.startswith("mobilenet"):
        prefix = "features."
        body = {key.removeprefix(prefix): tensor for key, tensor in weights.items() if key.startswith(prefix)}
        if name == "mobilenet_v2":  # whose last 1x1 DeepLab leaves out
            body = {key: tensor for key, tensor in body.items() if not key.startswith("18.")}
    else:
        body = {key: tensor for key, tensor in weights.items() if not key.startswith("fc.")}
    try:
        model.backbone.load_state_dict(body)
    except RuntimeError:
        raise UserError(
            f"{folder / _file_name(name)} does not hold torchvision's {name}; delete it or replace it"
        ) from None
    return f"the backbone starts from the ImageNet weights of {name}"


def is_at_hand(name: str, folder: Path) -> bool:
    """Returns whether ImageNet weights for a backbone are on this machine.

    Args:
        name: of the backbone.
        folder: looked in first, then torch's cache.
    """
    return name in _WEIGHTS and any(place.is_file() for place in _places(name, folder))


def _places(name: str, folder: Path) -> tuple[Path, Path]:
    """Returns the file in the data folder and the one in torch's cache."""
    own = folder / _file_name(name)
    return own, Path(torch.hub.get_dir()) / "checkpoints" / own.name


def _file_name(name: str) -> str:
    return str(_WEIGHTS[name].url.rsplit("/", 1)[1])


def _fetched(name: str, folder: Path) -> dict[str, Tensor]:
    own, cached = _places(name, folder)
    if own.is_file():
        return read_plain(own)
    if not cached.is_file():
        _download(_WEIGHTS[name].url, cached, own)
    return read_plain(cached)


def _download(url: str, target: Path, own: Path) -> None:
    digest = target.stem.rsplit("-", 1)[1]  # torchvision's file names end in the first digits of their SHA-256
    try:
        # torch's own download hangs on a network that drops packets
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=_PROBE_SECONDS).close()
        target.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(target), digest)
    except (OSError, RuntimeError) as error:
        reason = error.reason if isinstance(error, URLError) else error
        raise UserError(
            f"the ImageNet weights {own.name} are not here and could not be downloaded ({reason}); "
            f"fetch {url} and put it into {own.parent}"
        ) from None
