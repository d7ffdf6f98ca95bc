"""Random scale, crop, flip and colour for training, as functions of a seed; normalisation for every use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

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
    """

    crop_size: tuple[int, int]
    scales: tuple[float, float] = (0.5, 2.0)
    flip: float = 0.5
    photometric: float = 0.3


class Crop(NamedTuple):
    """A training crop in bytes, a quarter of what a float image takes on its way to a GPU.

    Attributes:
        image: uint8 (3, height, width).
        mask: class ids, uint8 (height, width), 255 = ignore.
        inside: where the image lies in the crop: its top, left, bottom and right, int32 (4,); around it is padding.
    """

    image: Tensor
    mask: Tensor
    inside: Tensor


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


class PaddedCrop(v2.RandomCrop):
    """Cuts out the crop's size at a random place, and pads smaller images to it; masks are padded with `IGNORE`.

    Args:
        crop_size: (height, width) of the result, in pixels.

    Attributes:
        inside: top, left, bottom and right of the image within the latest crop.
    """

    def __init__(self, crop_size: tuple[int, int]) -> None:
        super().__init__(crop_size, pad_if_needed=True, fill={tv_tensors.Image: 0, tv_tensors.Mask: IGNORE})
        self.inside = (0, 0, *crop_size)

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draws the place, and notes where the image lies in the crop."""
        height, width = functional.get_size(flat_inputs[0])
        params = super().make_params(flat_inputs)
        top, left = params["padding"][1] - params["top"], params["padding"][0] - params["left"]
        self.inside = (
            max(0, top),
            max(0, left),
            min(params["height"], top + height),
            min(params["width"], left + width),
        )
        return params


class TrainingTransform:
    """Makes training crops of images; a function of the seed alone. Not safe to call from several threads.

    Args:
        augmentation: what is changed, and how much.
    """

    def __init__(self, augmentation: Augmentation) -> None:
        strength = augmentation.photometric
        self._crop = PaddedCrop(augmentation.crop_size)
        self._changes = v2.Compose(
            [
                RandomScaledCrop(augmentation.crop_size, augmentation.scales),
                v2.RandomHorizontalFlip(augmentation.flip),
                # no change of hue: it would take as long as all the rest
                v2.ColorJitter(strength, strength, strength),
                self._crop,
            ]
        )

    def __call__(self, image: tv_tensors.Image, mask: tv_tensors.Mask, seed: int) -> Crop:
        """Returns the crop of an image; torch's global generator, which torchvision draws from, is restored afterwards.

        Args:
            image: uint8, shape (3, height, width).
            mask: uint8, shape (height, width).
            seed: of all random choices, 0 to 2^64 - 1.
        """
        with torch.random.fork_rng(devices=[]):
            # torch.manual_seed would seed the accelerators' generators too, which belong to the caller.
            torch.default_generator.manual_seed(seed)
            changed_image, changed_mask = self._changes(image, mask)
        inside = torch.tensor(self._crop.inside, dtype=torch.int32)
        return Crop(changed_image.as_subclass(Tensor), changed_mask.as_subclass(Tensor), inside)


class CropNormaliser:
    """Turns crops in bytes into what the model sees, on the device where they are.

    The constants stay on the device: sent with each batch, they would make it wait.

    Args:
        mean: of red, green and blue, 0 to 1; it is subtracted.
        std: of red, green and blue; the divisor.
    """

    def __init__(self, mean: tuple[float, float, float], std: tuple[float, float, float]) -> None:
        self._mean, self._std = (torch.tensor(values)[:, None, None] for values in (mean, std))

    def __call__(self, images: Tensor, inside: Tensor) -> Tensor:
        """Returns float32 (batch, 3, height, width), channels last; around an image is 0, the mean colour.

        Args:
            images: uint8 (batch, 3, height, width).
            inside: int32 (batch, 4), as `Crop.inside`.
        """
        if self._mean.device != images.device:
            self._mean, self._std = self._mean.to(images.device), self._std.to(images.device)
        seen = functional.to_dtype(images, torch.float32, scale=True)
        seen = seen.contiguous(memory_format=torch.channels_last).sub_(self._mean).div_(self._std)
        top, left, bottom, right = inside[:, :, None].unbind(1)
        rows, columns = (torch.arange(side, device=images.device) for side in images.shape[2:])
        shown = ((rows >= top) & (rows < bottom))[:, :, None] & ((columns >= left) & (columns < right))[:, None]
        return seen.masked_fill_(~shown[:, None], 0.0)


def normalise(image: Tensor, mean: tuple[float, float, float], std: tuple[float, float, float]) -> Tensor:
    """Returns an image as the model sees it: (image / 255 - mean) / std, float32.

    Args:
        image: uint8, shape (..., 3, height, width).
        mean: of red, green and blue, 0 to 1.
        std: of red, green and blue.
    """
    scaled = functional.to_dtype(image.as_subclass(Tensor), torch.float32, scale=True)
    return functional.normalize(scaled, list(mean), list(std))
