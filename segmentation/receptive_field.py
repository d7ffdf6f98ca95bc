"""`wavegen receptive-field` for DeepLabs: which pixels the class of a pixel depends on, and how much."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor, nn
from torchvision.transforms.v2 import functional

from segmentation.checkpoints.names import find_of_either_half, find_pretrained, holds_deeplab, pretrained_files
from segmentation.checkpoints.pretrained import load_pretrained, read_pretrained
from segmentation.config import PRESETS, SegmentationConfig, SegmentationModelConfig, preset
from segmentation.datasets.catalogue import locate, open_dataset
from segmentation.datasets.dataset import evenly_spread
from segmentation.datasets.formats.shapes import ShapesDataset
from segmentation.datasets.transforms import IMAGENET_MEAN, IMAGENET_STD, normalise, scaled_image
from segmentation.network.deeplab import DeepLab, build_model
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.core.receptive_field.effective import effective_field
from wavenet_app.core.receptive_field.pictures import write_field_picture
from wavenet_app.core.receptive_field.report import FieldReport, FieldRequest
from wavenet_app.core.receptive_field.touched import global_layers, reach, structural_twin, touched_map
from wavenet_app.core.receptive_field.view import measuring, show
from wavenet_app.core.settings import validated
from wavenet_app.core.terminal import number_of

DEFAULT_COUNT = 4
DEFAULT_SIZE = 512

# WaveNet has a preset "small" too, and here the name means that one; DeepLab's sees as far as "mobilenet".
_IMAGE_PRESETS = tuple(name for name in PRESETS if name != "small")

# A field depends on how its pixel lies to the coarse grid of the features, so all are taken at one place of it.
_GRID = 32
# Strips to measure a field along one axis, in pixels; the first is longer than the field of every preset.
_FIRST_STRIP, _LONGEST_STRIP = 4_096, 65_536


def is_segmentation(name: str, data: DataFolder) -> bool:
    """Returns whether a name stands for a DeepLab: a preset of images alone, or a file that is no WaveNet's.

    Raises:
        UserError: there is a file of that name, but it cannot be read.
    """
    path = _file(name, data)
    return name in _IMAGE_PRESETS if path is None else holds_deeplab(path)


def run_deeplab_field(request: FieldRequest, data: DataFolder, *, console: Console, as_json: bool) -> None:
    """Measures the receptive field of a DeepLab, draws it and prints its figures.

    Raises:
        UserError: the checkpoint or the images cannot be read, or the output stride is not known.
    """
    nets: dict[str, DeepLab] = {}
    image_scale = 1.0
    path = _file(request.name, data)
    if path is None:
        config = preset(request.name).model
        if request.output_stride is not None:
            config = validated(SegmentationModelConfig, {**config.model_dump(), "output_stride": request.output_stride})
        title = f"preset_{request.name}"
    else:
        pretrained = read_pretrained(path)
        if request.output_stride is None and "output_stride" not in pretrained.shape:
            raise UserError(
                f"{path}: its tensors fit output strides 8 and 16 alike; give the one of its training "
                "with --output-stride 16 (or 8)"
            )
        nets["trained"] = load_pretrained(pretrained, request.output_stride)
        config, title = nets["trained"].config, path.parent.name if path.stem in ("best", "last") else path.stem
        if pretrained.content:
            image_scale = validated(SegmentationConfig, pretrained.content["config"]).data.image_scale or 1.0
    size = DEFAULT_SIZE if request.size is None else request.size
    count = DEFAULT_COUNT if request.count is None else request.count
    images, described = _images(request.inputs, data, count, size, image_scale)
    generator = torch.Generator().manual_seed(request.seed)
    nets = {"untrained": untrained(config, images, generator), **nets}
    report = measure(title, nets, images, described, generator)
    picture = data.receptive_field_viz / f"{title}.png"
    write_field_picture(picture, report)
    show(report, picture, console=console, as_json=as_json)


def measure(
    name: str, nets: dict[str, DeepLab], images: list[Tensor], described: str, generator: torch.Generator
) -> FieldReport:
    """Returns the receptive field of the scores of the middle pixel, for DeepLabs of one shape.

    Args:
        name: of the run or preset.
        nets: "untrained" or "trained" -> the net, in evaluation mode.
        images: normalised, (3, size, size) each.
        described: what the images are, in words.
        generator: draws the signs of the estimate.
    """
    size = images[0].shape[-1]
    twin = structural_twin(nets["untrained"])
    whole = _whole_reach(twin, nets["untrained"].config)
    energies = {}
    for net, model in nets.items():
        model.requires_grad_(False)
        each = measuring(images, len(images), f"measuring the {net} net")
        energies[net] = effective_field(lambda inputs, model=model: _middle_scores(model, inputs), each, generator)  # type: ignore[misc]
    return FieldReport(
        name=name,
        unit="pixels",
        field=tuple(before + 1 + after for before, after in whole),
        reach=whole,
        sees_everything=tuple(global_layers(nets["untrained"])),
        place=(_middle(size),) * 2,
        touched=touched_map(lambda inputs: _middle_scores(twin, inputs), 3, (size, size)),
        energies=energies,
        inputs=described,
    )


@torch.no_grad()
def untrained(config: SegmentationModelConfig, images: list[Tensor], generator: torch.Generator) -> DeepLab:
    """Returns a model as at the start of a training, with batch norm statistics of the images.

    Args:
        config: the shape of the model.
        images: normalised, (3, height, width) each.
        generator: of the weights.
    """
    model = build_model(config, generator).eval()
    norms = [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # the mean over all images
        norm.train()
    for image in images if norms else ():
        model(image[None])
    return model.eval()


def _whole_reach(twin: DeepLab, config: SegmentationModelConfig) -> tuple[tuple[int, int], ...]:
    """Returns the reach along each axis, measured on strips one pixel wide that are longer than the field."""
    found = []
    for axis in range(2):
        # A strip must hold at least the nearest taps of the widest layer, or their gradient does not show.
        length = max(_FIRST_STRIP, _power_of_two(4 * config.output_stride * max(config.pyramid_rates)))
        while True:
            # A whole multiple of the stride, so that features lie evenly along it.
            space = (length, 1) if axis == 0 else (1, length)
            place = (_middle(space[0]), _middle(space[1]))
            touched = touched_map(lambda inputs: _middle_scores(twin, inputs), 3, space)
            before, after = reach(touched, place)[axis]
            if max(before, after) < length // 2 or length >= _LONGEST_STRIP:
                break
            length *= 2
        found.append((before, after))
    return tuple(found)


def _middle_scores(model: DeepLab, images: Tensor) -> Tensor:
    height, width = images.shape[2:]
    return model(images)["out"][..., _middle(height), _middle(width)]


def _middle(size: int) -> int:
    return size // 2 // _GRID * _GRID


def _power_of_two(least: int) -> int:
    return 1 << (least - 1).bit_length()


def _file(name: str, data: DataFolder) -> Path | None:
    """Returns the file that a name stands for: a path, a run's folder or name, or a pretrained DeepLab; else None."""
    path = find_of_either_half(name, data)
    if path is not None or name in _IMAGE_PRESETS:
        return path
    return find_pretrained(name, data) if pretrained_files(name, data) else None


def _images(
    inputs: str | None, data: DataFolder, count: int, size: int, image_scale: float
) -> tuple[list[Tensor], str]:
    """Returns normalised squares from the middle of images, spread over a data set's validation split, and words.

    Images are scaled as the model sees them. What is smaller than the square then is enlarged to cover it.
    """
    if locate(inputs, data) is None:
        shapes = ShapesDataset("val", count=count, size=size)
        squares = [_square(shapes.image(index), size) for index in range(count)]
        return squares, f"{number_of(count, 'image')} of the built-in shapes"
    dataset = open_dataset(inputs, data, "val")
    count = min(count, len(dataset))
    chosen = evenly_spread(len(dataset), count)
    seen = "" if image_scale == 1 else f" at {image_scale:.3g} of their size"
    squares = [_square(dataset.image(index), size, image_scale) for index in chosen]
    return squares, f"{number_of(count, 'image')} of {dataset.name}{seen}"


def _square(image: NDArray[np.uint8], size: int, image_scale: float = 1.0) -> Tensor:
    pixels = torch.from_numpy(np.array(image.transpose(2, 0, 1), order="C"))
    if image_scale != 1:
        pixels = scaled_image(pixels, [max(1, round(image_scale * side)) for side in pixels.shape[1:]])
    if min(pixels.shape[1:]) < size:
        pixels = functional.resize(pixels, [size])
    return normalise(functional.center_crop(pixels, [size, size]), IMAGENET_MEAN, IMAGENET_STD)
