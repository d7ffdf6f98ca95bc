"""Time of a DeepLab training step in float32 and with bfloat16 autocast, alternating in one run.

    python benchmarks/segmentation_precision.py
    python benchmarks/segmentation_precision.py --preset resnet50 --crop 128 --rounds 3

This decides what training.precision=auto means. The table shows the median of the rounds in milliseconds.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from segmentation.config import preset
from segmentation.datasets.formats.shapes import ShapesDataset
from segmentation.network.deeplab import build_model
from segmentation.training.recipe import fit_to_start
from segmentation.training.task import SegmentationTask
from wavenet_app.core.device import training_device
from wavenet_app.core.settings import override

PRESETS = ("small", "dilated", "resnet50")


def training_step(name: str, crop: int, dtype: torch.dtype, device: str) -> Callable[[], None]:
    """Returns a function that takes one optimizer step of a preset on the built-in shapes."""
    changes = {"model": {"num_classes": 4}, "training": {"crop_size": crop, "batch_size": 4}}
    config = override(preset(name), changes)
    config = override(config, {"training": fit_to_start(config.training, from_scratch=True)})
    images = ShapesDataset("train", size=crop)
    task = SegmentationTask(config, build_model(config.model), images, ShapesDataset("val", size=crop), device)
    task.model.to(device)
    optimizer = task.optimizer()
    number, batch = next(iter(task.training_batches(0, 0, 1)))
    crops = {name: tensor.to(device) for name, tensor in batch.items()}

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, torch.bfloat16, enabled=dtype == torch.bfloat16):
            loss = task.loss((number, crops))
        loss.backward()
        optimizer.step()
        loss.item()  # waits for the device

    return step


def main() -> None:
    """Times the presets and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", action="append", help="may be given more than once")
    parser.add_argument("--crop", type=int, default=128, help="pixels along a side")
    parser.add_argument("--rounds", type=int, default=6)
    arguments = parser.parse_args()
    device = training_device()
    print(f"{device}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print("| preset | crops | float32 ms | bfloat16 ms | float32 / bfloat16 |")
    print("|---|---|---|---|---|")
    for name in arguments.preset or PRESETS:
        steps = [training_step(name, arguments.crop, dtype, device) for dtype in (torch.float32, torch.bfloat16)]
        times: list[list[float]] = [[], []]
        for turn in range(1 + arguments.rounds):
            for own, step in zip(times, steps, strict=True):
                began = time.perf_counter()
                step()
                if turn:  # the first turn is a warm-up
                    own.append(time.perf_counter() - began)
        whole, half = (1000 * statistics.median(own) for own in times)
        print(f"| {name} | 4 x {arguments.crop} | {whole:,.0f} | {half:,.0f} | {whole / half:.2f} |", flush=True)


if __name__ == "__main__":
    main()
