"""Scores of DeepLabs with other projects' weights, ours beside those projects' functions, at sizes of all kinds.

    python benchmarks/segmentation_parity.py

The models are those of tests/reference_deeplab.py, with random weights and random batch norm statistics. A figure is
the greatest difference of a score over the greatest score.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from reference_deeplab import TORCHVISIONS, in_torchvisions_shape, reference, torchvisions

from segmentation.checkpoints.layouts import recognise
from segmentation.config import SegmentationModelConfig
from segmentation.network.deeplab import build_model

SIZES = ((33, 47), (129, 161), (338, 500), (375, 499), (513, 513))


def pairs() -> Iterator[tuple[str, str, int, nn.Module, SegmentationModelConfig]]:
    """Yields project, backbone, output stride, its model and our settings."""
    for backbone in TORCHVISIONS:
        for stride in (8, 16):
            theirs = torchvisions(backbone, stride=stride)
            yield "torchvision", backbone, stride, theirs, in_torchvisions_shape(backbone, stride=stride)
    for backbone in ("mobilenet_v2", "resnet50", "resnet101"):
        for stride in (8, 16):
            theirs = reference(backbone, stride=stride)
            _, shape, _ = recognise(theirs.state_dict())
            settings = SegmentationModelConfig.model_validate({**shape, "output_stride": stride})
            yield "DeepLabV3Plus-Pytorch, V3+", backbone, stride, theirs, settings


@torch.inference_mode()
def difference(theirs: nn.Module, ours: nn.Module, images: Tensor) -> float:
    """Returns the greatest difference of a score over the greatest score."""
    expected = theirs(images)
    expected = expected["out"] if isinstance(expected, dict) else expected
    return float((ours(images)["out"] - expected).abs().max() / expected.abs().max())


def main() -> None:
    """Prints the table."""
    print(f"| project | backbone | stride | {' | '.join(f'{height} x {width}' for height, width in SIZES)} |")
    print("|---" * (3 + len(SIZES)) + "|")
    for project, backbone, stride, theirs, settings in pairs():
        ours = build_model(settings).eval()
        ours.load_state_dict(recognise(theirs.state_dict())[2])
        found = (difference(theirs, ours, torch.randn(1, 3, *size)) for size in SIZES)
        print(f"| {project} | {backbone} | {stride} | {' | '.join(f'{value:.0e}' for value in found)} |", flush=True)


if __name__ == "__main__":
    main()
