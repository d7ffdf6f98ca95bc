"""Random scale, crop, flip and colour for training, as functions of a seed; normalisation for every use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from segmentation.datasets.labels import IGNORE

# Of ImageNet, which torchvision's backbones were trained with.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Augmentation:
    """How training images are changed at random.

    Attributes:
        crop_size: (height, width) of what the model sees, in pixels.
        scales: least and greatest factor that the image is scaled by, drawn uniformly (Chen et al. 2017, section 4.1).
        flip: probability of a mirrored image.
        photometric: greatest share by which brightness, contrast and saturation change; 0 for none.
        mean: of red, green and blue, 0 to 1; it is subtracted.
        std: of red, green and blue; the divisor.
    """

    crop_size: tuple[int, int]
    scales: tuple[float, float] = (0.5, 2.0)
    flip: float = 0.5
    photometric: float = 0.3
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD


class RandomScaledCrop(v2.Transform):
    """Scales by a random factor and cuts out at most the crop's size, at a random place.

    Only the crop is scaled, which for a crop of 512 out of 2048 x 1024 saves nine tenths of the work. Where the scaled
    image is smaller than the crop, so is the result. Images are interpolated with smoothing, masks take the nearest
    pixel.

    Args:
        crop_size: greatest (height, width) of the result, in pixels.
        scales: least and greatest factor.
    """

    def __init__(self, crop_size: tuple[int, int], scales: tuple[float, float]) -> None:
        super().__init__()
        self.crop_size = crop_size
        self.scales = scales

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draws the scale and the place, for image and mask alike."""
        height, width = functional.get_size(flat_inputs[0])
        scale = float(torch.empty(()).uniform_(*self.scales))
        size = [
            min(self.crop_size[0], max(1, round(height * scale))),
            min(self.crop_size[1], max(1, round(width * scale))),
        ]
        source = [min(height, max(1, round(size[0] / scale))), min(width, max(1, round(size[1] / scale)))]
        top = int(torch.randint(height - source[0] + 1, ()))
        left = int(torch.randint(width - source[1] + 1, ()))
        return {"top": top, "left": left, "height": source[0], "width": source[1], "size": size}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Cuts and scales one input."""
        size = params["size"]
        cut = functional.crop(inpt, params["top"], params["left"], params["height"], params["width"])
        plain = cut.as_subclass(Tensor)
        if isinstance(inpt, tv_tensors.Mask):
            # torchvision scales masks by "nearest", which is up to half a pixel off; "nearest-exact" is not
            scaled = functional.resize_image(plain[None], size, interpolation=v2.InterpolationMode.NEAREST_EXACT)[0]
        else:
            scaled = scaled_image(plain, size)
        return tv_tensors.wrap(scaled, like=inpt)


def scaled_image(image: Tensor, size: list[int]) -> Tensor:
    """Returns an image of bytes (3, height, width) scaled to a size [height, width], smoothed where it shrinks."""
    if size != [1, 1]:
        return functional.resize_image(image, size, antialias=True)
    # PyTorch fails on an assertion of its own where it smooths bytes down to a single pixel
    return functional.resize_image(image.float(), size, antialias=True).round().to(image.dtype)


def training_transform(augmentation: Augmentation) -> v2.Transform:
    """Returns the transform of (image, mask) into a normalised float crop and its mask, both of the crop's size.

    Around a small image the crop has the mean colour, and its mask is ignored. The transform draws from torch's global
    generator, as torchvision's do; `augment` restores that.
    """
    strength = augmentation.photometric
    return v2.Compose(
        [
            RandomScaledCrop(augmentation.crop_size, augmentation.scales),
            v2.RandomHorizontalFlip(augmentation.flip),
            # no change of hue: it would take as long as all the rest
            v2.ColorJitter(strength, strength, strength),
            v2.ToDtype({tv_tensors.Image: torch.float32, tv_tensors.Mask: torch.int64}, scale=True),
            v2.Normalize(list(augmentation.mean), list(augmentation.std)),
            # After normalisation 0 is the mean colour.
            v2.RandomCrop(
                augmentation.crop_size, pad_if_needed=True, fill={tv_tensors.Image: 0.0, tv_tensors.Mask: IGNORE}
            ),
        ]
    )


def augment(
    transform: v2.Transform, image: tv_tensors.Image, mask: tv_tensors.Mask, seed: int
) -> tuple[Tensor, Tensor]:
    """Returns a transformed image and mask, as a function of the seed alone.

    torch's global generator is restored afterwards. Not safe to call from several threads of one process.

    Args:
        transform: such as `training_transform` gives.
        image: uint8, shape (3, height, width).
        mask: uint8, shape (height, width).
        seed: of all random choices, 0 to 2^64 - 1.

    Returns:
        The image, float32 of shape (3, *crop_size), and the mask, int64 of shape crop_size.
    """
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would seed the accelerators' generators too, which belong to the caller.
        torch.default_generator.manual_seed(seed)
        changed_image, changed_mask = transform(image, mask)
    return changed_image.as_subclass(Tensor), changed_mask.as_subclass(Tensor)


def normalise(image: Tensor, mean: tuple[float, float, float], std: tuple[float, float, float]) -> Tensor:
    """Returns an image as the model sees it: (image / 255 - mean) / std, float32.

    Args:
        image: uint8, shape (..., 3, height, width).
        mean: of red, green and blue, 0 to 1.
        std: of red, green and blue.
    """
    scaled = functional.to_dtype(image.as_subclass(Tensor), torch.float32, scale=True)
    return functional.normalize(scaled, list(mean), list(std))
