"""What several GPUs would do: arithmetic from counted operations, gradient sizes and published link speeds.

    python benchmarks/scaling_plan.py

Nothing here is measured on a GPU. A step takes the operations that torch counts for forward and backward pass, at a
share of the chip's peak; then the gradients are summed, and nothing overlaps. The sum of S bytes over n ranks takes
2 (n - 1) / n S / bandwidth (a ring: Patarasuk and Yuan 2009, "Bandwidth optimal all-reduce algorithms") and
2 log2(n) times the latency of a hop (a tree).
"""

from __future__ import annotations

import argparse
import math
from typing import NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import segmentation.config as images
from segmentation.network.deeplab import build_model
from wavenet_app.config import PRESETS, preset
from wavenet_app.network.model import WaveNet

PEAK = 989e12  # operations a second of an H100 SXM in bfloat16, dense; NVIDIA's data sheet
BACKWARD = 3  # forward and backward pass together, in forward passes


class Link(NamedTuple):
    """A way from GPU to GPU.

    Attributes:
        name: for the table.
        ranks: GPUs that train together.
        bandwidth: bytes a second in one direction, for each GPU.
        latency: seconds of a hop.
    """

    name: str
    ranks: int
    bandwidth: float
    latency: float

    def seconds(self, size: float) -> float:
        """Returns how long the sum of `size` bytes takes.

        >>> round(Link("", 2, 1e9, 0.0).seconds(1e9), 3)
        1.0
        """
        ring = 2 * (self.ranks - 1) / self.ranks * size / self.bandwidth
        return ring + 2 * math.log2(self.ranks) * self.latency


LINKS = (
    Link("8 GPUs, NVLink 4 (450 GB/s)", 8, 450e9, 5e-6),
    Link("64 GPUs, InfiniBand NDR (50 GB/s a GPU)", 64, 50e9, 10e-6),
    Link("64 GPUs, 100 Gbit/s a machine of 8", 64, 12.5e9 / 8, 30e-6),
)


def operations(model: nn.Module, *inputs: torch.Tensor) -> float:
    """Returns the floating-point operations of a forward pass on the meta device, which computes nothing."""
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model(*inputs)
    return counter.get_total_flops()


def print_row(name: str, parameters: int, flops: float, utilisation: float) -> None:
    """Prints the step, and for each link the sum and the share of the ideal speed-up that is left."""
    step = BACKWARD * flops / (utilisation * PEAK)
    cells = []
    for link in LINKS:
        exchange = link.seconds(4 * parameters)
        cells.append(f"{1e3 * exchange:.2f} ms, {step / (step + exchange):.0%}")
    print(f"| {name} | {4 * parameters / 1e6:.1f} MB | {1e3 * step:.1f} ms | {' | '.join(cells)} |")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--utilisation", type=float, default=0.1, help="share of the peak that a step reaches")
    parser.add_argument("--windows", type=int, default=16, help="windows in the batch of each GPU")
    parser.add_argument("--crops", type=int, default=16, help="crops of 513 x 513 in the batch of each GPU")
    options = parser.parse_args()
    print(
        f"| model | gradients | step at {options.utilisation:.0%} of peak | {' | '.join(one.name for one in LINKS)} |"
    )
    print("|---|---|---|" + "---|" * len(LINKS))
    for name in PRESETS:
        config = preset(name)
        model_config = config.model.model_copy(update={"prediction": None})
        model = WaveNet(model_config, torch.Generator().manual_seed(0))
        parameters = sum(parameter.numel() for parameter in model.parameters())
        window = config.training.window
        codes = torch.zeros(1, window, dtype=torch.int64)
        print_row(
            f"WaveNet {name}, {options.windows} x {window}",
            parameters,
            options.windows * operations(model, codes),
            options.utilisation,
        )
    for name in images.PRESETS:
        deeplab = build_model(images.preset(name).model, torch.Generator().manual_seed(0)).eval().to("meta")
        parameters = sum(parameter.numel() for parameter in deeplab.parameters())
        crop = torch.zeros(1, 3, 513, 513, device="meta")
        flops = options.crops * operations(deeplab, crop)
        print_row(f"DeepLab {name}, {options.crops} x 513 x 513", parameters, flops, options.utilisation)


if __name__ == "__main__":
    main()
