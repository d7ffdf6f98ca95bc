"""Masks of whole images and by windows, at any size: equal to a plain sum over everything at once."""

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from segmentation.config import SegmentationConfig, SegmentationModelConfig
from segmentation.datasets.transforms import IMAGENET_MEAN, IMAGENET_STD, normalise
from segmentation.network.deeplab import build_model
from segmentation.prediction.inference import Labeller, Protocol, tent, window_starts


class Local(nn.Module):
    """Scores that depend on the place in the window too, as those of a real net near a border do."""

    def __init__(self, num_classes: int = 5) -> None:
        super().__init__()
        self.config = SegmentationModelConfig(num_classes=num_classes)
        generator = torch.Generator().manual_seed(0)
        self.layer = nn.Conv2d(3, num_classes, 3, padding=1)
        for parameter in self.layer.parameters():
            nn.init.normal_(parameter, generator=generator)

    def forward(self, images):
        height, width = images.shape[2:]
        places = torch.linspace(-1, 1, height)[:, None] * torch.linspace(0, 2, width)
        return {"out": self.layer(images) + places * torch.arange(self.config.num_classes)[:, None, None]}


def labeller(**protocol) -> Labeller:
    return Labeller(Local().eval(), IMAGENET_MEAN, IMAGENET_STD, Protocol(**protocol))


def picture(height: int, width: int) -> torch.Tensor:
    return torch.randint(256, (3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def brute_force(one: Labeller, image: torch.Tensor, window: int) -> np.ndarray:
    """Every window's probabilities, weighted and added up over the whole image at once."""
    height, width = image.shape[1:]
    total = np.zeros((5, height, width))
    for top in window_starts(height, window):
        for left in window_starts(width, window):
            cut = image[:, top : top + window, left : left + window]
            views = []
            for scale in one.protocol.scales:
                size = [max(1, round(scale * side)) for side in cut.shape[1:]]
                inputs = normalise(cut, one.mean, one.std)[None]
                if size != list(cut.shape[1:]):
                    inputs = F.interpolate(inputs, size, mode="bilinear", align_corners=False, antialias=True)
                for mirror in (False, True) if one.protocol.flip else (False,):
                    scores = one.model(inputs.flip(3) if mirror else inputs)["out"]
                    scores = F.interpolate(scores, cut.shape[1:], mode="bilinear", align_corners=False)
                    views.append((scores.flip(3) if mirror else scores)[0].softmax(0).detach().numpy())
            rows, columns = (np.minimum(np.arange(n) + 1, n - np.arange(n)) / ((n + 1) // 2) for n in cut.shape[1:])
            weight = rows[:, None] * columns
            total[:, top : top + window, left : left + window] += weight * np.mean(views, axis=0)
    return total


@pytest.mark.parametrize(("crop", "pad_to"), [((32, 48), 16), ((33, 48), 1), ((24, 24), 1), (None, 1)])
def test_images_are_padded_as_the_crops_of_training_were(crop, pad_to):
    config = SegmentationConfig(model={"aspp_channels": 8}, training={"crop_size": crop})
    assert config.pad_to == pad_to
    torch.manual_seed(0)
    model = build_model(config.model).eval()
    image = picture(37, 50)
    inputs = normalise(image, IMAGENET_MEAN, IMAGENET_STD)[None]
    rows, columns = (-(-side // pad_to) * pad_to for side in (37, 50))
    padded = torch.zeros(1, 3, rows, columns)
    padded[:, :, :37, :50] = inputs
    found = Labeller(model, IMAGENET_MEAN, IMAGENET_STD, pad_to=pad_to).probabilities(image)
    with torch.no_grad():
        torch.testing.assert_close(found, model(padded)["out"][0, :, :37, :50].softmax(0))


@given(
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    window=st.integers(1, 30),
    scales=st.sampled_from([(1.0,), (0.5, 1.5)]),
    flip=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_windows_in_bands_equal_the_sum_over_everything_at_once(size, window, scales, flip):
    one = labeller(window=window, scales=scales, flip=flip)
    image = picture(*size)
    total = brute_force(one, image, window)
    mask = one.label(image).numpy()
    chosen = np.take_along_axis(total, mask[None].astype(np.int64), axis=0)[0]
    assert (total.max(axis=0) - chosen).max() <= 1e-5


def test_one_whole_view_is_the_models_own_argmax():
    one, image = labeller(), picture(20, 33)
    expected = one.model(normalise(image, IMAGENET_MEAN, IMAGENET_STD)[None])["out"][0].argmax(0)
    assert torch.equal(one.label(image), expected.to(torch.uint8))


def test_a_mirrored_image_gives_the_mirrored_mask_once_both_are_averaged():
    one, image = labeller(flip=True), picture(20, 33)
    assert torch.equal(one.label(image.flip(2)), one.label(image).flip(1))


@given(length=st.integers(1, 500), window=st.integers(1, 200))
@settings(max_examples=60, deadline=None)
def test_windows_cover_every_place_and_overlap(length, window):
    starts = window_starts(length, window)
    covered = np.zeros(length, dtype=int)
    for start in starts:
        assert 0 <= start <= max(0, length - window)
        covered[start : start + window] += 1
    assert covered.min() >= 1
    assert all(after - before <= max(1, np.ceil(2 / 3 * window)) for before, after in itertools.pairwise(starts))
    assert (tent(window) > 0).all()


@pytest.mark.parametrize(
    ("size", "classes", "protocol", "window"),
    [
        ((2048, 2048), 21, {}, None),
        ((2048, 2049), 21, {}, 1025),
        ((8192, 8192), 150, {}, 257),
        ((1500, 1500), 150, {}, 1025),
        ((1300, 1300), 21, {"scales": (0.5, 2.0)}, 1025),
        ((8192, 8192), 21, {"window": 300}, 300),
        ((200, 300), 21, {"window": 300}, None),
    ],
)
def test_large_images_are_cut_so_that_memory_stays_bounded(size, classes, protocol, window):
    one = Labeller(Local(classes), IMAGENET_MEAN, IMAGENET_STD, Protocol(**protocol))
    assert one.window_for(*size) == window


@pytest.mark.parametrize("size", [(1, 1), (1, 70), (65, 2), (3, 3)])
def test_a_real_net_labels_images_of_any_size(size):
    config = SegmentationModelConfig(backbone="dilated", num_classes=3, aspp_channels=8)
    model = build_model(config, torch.Generator().manual_seed(0)).eval()
    protocol = Protocol(scales=(0.5, 1.0), flip=True, window=32)
    mask = Labeller(model, IMAGENET_MEAN, IMAGENET_STD, protocol).label(picture(*size))
    assert mask.shape == size
    assert mask.max() < 3


def test_the_protocol_reads_as_a_sentence():
    assert str(Protocol()) == "whole images; scale 1; not mirrored"
    assert str(Protocol((0.5, 1.0), True, 513)) == (
        "windows of 513 x 513, overlap weighted; scales 0.5, 1; mirrored too"
    )


_LARGE = """
import resource, torch
from test_inference import labeller, picture
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
mask = labeller().label(picture(8192, 8192))
assert mask.shape == (8192, 8192)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20)
"""


@pytest.mark.slow
def test_an_image_of_8192_pixels_a_side_takes_two_gigabytes_at_most():
    done = subprocess.run(
        [sys.executable, "-c", _LARGE], capture_output=True, text=True, check=True, cwd=Path(__file__).parent
    )
    assert float(done.stdout) < 2
