"""The mask of an image of any size: whole or by overlapping windows, at several scales, mirrored too."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from segmentation.datasets.transforms import normalise
from segmentation.network.deeplab import DeepLab

LARGE_WINDOWS = (257, 1025)
"""Least and greatest side, in pixels, of the windows that very large images are cut into."""

_MOST_PIXELS = 2**22  # of an image that is labelled whole, at its largest scale
_MOST_SCORES = 2**28  # pixels times classes, of an image that is labelled whole, or of a row of windows: 1 GiB
_STRIDE_SHARE = 2 / 3  # of a window's side lies between it and the next one


@dataclass(frozen=True)
class Protocol:
    """How masks are made; scores of different protocols cannot be compared.

    Attributes:
        scales: factors that the image is enlarged by; class probabilities are averaged over all of them.
        flip: whether to average over the mirrored image too.
        window: side of the square windows that the image is cut into, in pixels; None labels it whole, unless it is too
            large (`window_for`).
    """

    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    window: int | None = None

    def __str__(self) -> str:
        scales = ", ".join(f"{scale:g}" for scale in self.scales)
        view = "whole images" if self.window is None else f"windows of {self.window} x {self.window}, overlap weighted"
        return (
            f"{view}; scale{'s' * (len(self.scales) > 1)} {scales}; {'mirrored too' if self.flip else 'not mirrored'}"
        )


@dataclass(frozen=True)
class Labeller:
    """A model with its normalisation and a protocol.

    Attributes:
        model: in evaluation mode, on the device to use.
        mean: of red, green and blue, 0 to 1.
        std: of red, green and blue.
        protocol: how masks are made.
        image_scale: the share of their size at which the model was trained to see images; the protocol's scales are
            multiples of it. Masks have the images' own size.
        pad_to: what the sides of an image are padded to multiples of; 1 for no padding.
    """

    model: DeepLab
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    protocol: Protocol = Protocol()
    image_scale: float = 1.0
    pad_to: int = 1

    def __str__(self) -> str:
        """The protocol in words, with what the model adds to it."""
        seen = "" if self.image_scale == 1 else f"; seen at {self.image_scale:.3g} of their size, as in training"
        return f"{self.protocol}{seen}; output stride {self.model.config.output_stride}"

    def window_for(self, height: int, width: int) -> int | None:
        """Returns the side of the windows that an image is cut into; None if it is labelled whole.

        That is the protocol's window. Without one, images of more than 4 million pixels at their largest scale, or of
        more than 2^28 scores, get one within `LARGE_WINDOWS` to bound memory: the more classes, the smaller.
        """
        window, classes = self.protocol.window, self.model.config.num_classes
        pixels = height * width * max(1.0, *(self.image_scale * scale for scale in self.protocol.scales)) ** 2
        if window is None and (pixels > _MOST_PIXELS or pixels * classes > _MOST_SCORES):
            window = min(LARGE_WINDOWS[1], max(LARGE_WINDOWS[0], _MOST_SCORES // (classes * width)))
        return None if window is None or max(height, width) <= window else window

    def is_too_large(self, height: int, width: int) -> bool:
        """Returns whether an image is cut into windows because of its size, without a window in the protocol."""
        return self.protocol.window is None and self.window_for(height, width) is not None

    @torch.inference_mode()
    def label(self, image: Tensor) -> Tensor:
        """Returns the most probable class of every pixel, uint8, shape (height, width), where the image is.

        Probabilities of windows are weighted by a tent that falls from their centre, and added up. At any time only
        one row of windows is held in memory.

        Args:
            image: uint8, shape (3, height, width), on any device.
        """
        height, width = image.shape[1:]
        window = self.window_for(height, width)
        if window is None:
            return self.probabilities(image).argmax(0).to(torch.uint8).to(image.device)
        mask = torch.empty(height, width, dtype=torch.uint8, device=image.device)
        tops, lefts = window_starts(height, window), window_starts(width, window)
        rows, columns = min(height, window), min(width, window)
        weight = tent(rows)[:, None] * tent(columns)
        device = next(self.model.parameters()).device
        band = torch.zeros(self.model.config.num_classes, rows, width, device=device)
        weight = weight.to(device)
        for top, following in zip(tops, [*tops[1:], height], strict=True):
            for left in lefts:
                seen = self.probabilities(image[:, top : top + rows, left : left + columns])
                band[:, :, left : left + columns] += weight * seen
            done = following - top
            mask[top:following] = band[:, :done].argmax(0).to(torch.uint8).to(image.device)
            # what overlaps with the next row of windows stays
            band[:, : rows - done] = band[:, done:].clone()
            band[:, rows - done :] = 0
        return mask

    def probabilities(self, image: Tensor) -> Tensor:
        """Returns the mean class probabilities over scales and mirror images, of a whole image.

        Args:
            image: uint8, shape (3, height, width).

        Returns:
            float32 (num_classes, height, width), on the model's device.
        """
        height, width = image.shape[1:]
        seen = image.to(next(self.model.parameters()).device).contiguous()
        inputs = normalise(seen, self.mean, self.std)[None]
        total: Tensor | None = None
        for view, is_mirrored in self._views(inputs):
            scores = self._scores(view)
            if scores.shape[2:] != (height, width):
                scores = F.interpolate(scores, (height, width), mode="bilinear", align_corners=False)
            probabilities = (scores.flip(3) if is_mirrored else scores)[0].softmax(0)
            total = probabilities if total is None else total.add_(probabilities)
        assert total is not None  # there is at least one scale
        return total / (len(self.protocol.scales) * (1 + self.protocol.flip))

    def _scores(self, view: Tensor) -> Tensor:
        height, width = view.shape[2:]
        below, right = -height % self.pad_to, -width % self.pad_to
        if below or right:
            view = F.pad(view, (0, right, 0, below))  # with zeros, the mean colour
        scores: Tensor = self.model(view.contiguous(memory_format=torch.channels_last))["out"]
        return scores[..., :height, :width].float()

    def _views(self, inputs: Tensor) -> Iterator[tuple[Tensor, bool]]:
        height, width = inputs.shape[2:]
        for scale in self.protocol.scales:
            size = tuple(max(1, round(self.image_scale * scale * side)) for side in (height, width))
            resized = inputs
            if size != (height, width):
                resized = F.interpolate(inputs, size, mode="bilinear", align_corners=False, antialias=True)
            yield resized, False
            if self.protocol.flip:
                yield resized.flip(3), True


def window_starts(length: int, window: int) -> list[int]:
    """Returns where windows begin that cover a length, evenly spread, each overlapping the next by a third or more.

    >>> window_starts(10, 6)
    [0, 4]
    >>> window_starts(5, 6)
    [0]
    """
    if length <= window:
        return [0]
    count = 1 + math.ceil((length - window) / max(1, int(_STRIDE_SHARE * window)))
    return [round(place * (length - window) / (count - 1)) for place in range(count)]


def tent(length: int) -> Tensor:
    """Returns weights that rise evenly to the middle and fall again, greater than zero, at most 1, shape (length,).

    >>> tent(4).tolist()
    [0.5, 1.0, 1.0, 0.5]
    """
    rising = torch.arange(1, length + 1, dtype=torch.float32)
    weights = torch.minimum(rising, rising.flip(0))
    return weights / weights.max()
