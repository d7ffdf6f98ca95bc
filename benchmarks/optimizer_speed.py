"""What an optimizer adds to a training step: Adam and SOAP, in turn in one run, beside the forward and backward pass.

    python benchmarks/optimizer_speed.py [--presets tiny,small,base] [--rounds 10]

All weights get the gradients of one window. Milliseconds are medians of processor time; those of the optimizers are
means of ten steps, in one of which SOAP turns its bases.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from prediction_speed import step_seconds

from wavenet_app.config import preset
from wavenet_app.core.soap import Soap
from wavenet_app.network.model import WaveNet, product_dtype

CYCLE = 10  # steps; SOAP turns its bases once in it


def cycle_milliseconds(optimizer: torch.optim.Optimizer) -> float:
    """Returns the processor time of a step, the mean of one cycle."""
    began = time.process_time()
    for _ in range(CYCLE):
        optimizer.step()
    return 1e3 * (time.process_time() - began) / CYCLE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", default="tiny,small,base")
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| preset | forward and backward, one window | Adam | SOAP | SOAP's share of a step of one window | of two |")
    print("|---|---|---|---|---|---|", flush=True)
    for name in options.presets.split(","):
        config = preset(name)
        model = WaveNet(config.model, torch.Generator().manual_seed(0))
        with torch.no_grad():  # at zero, as it begins, it would leave all other weights without a gradient
            model.output2.weight.normal_(std=0.05, generator=torch.Generator().manual_seed(1))
        model.product_dtype = product_dtype("auto", "cpu", model.head)
        rate = 1e-30  # the weights stay
        optimizers = [torch.optim.AdamW(model.parameters(), lr=rate, fused=True), Soap(model.parameters(), lr=rate)]
        passes: list[float] = []
        steps: list[list[float]] = [[], []]
        for _ in range(options.rounds + 1):
            model.zero_grad()
            began = time.process_time()
            step_seconds(model, config.training_context, config.training.window)
            passes.append(1e3 * (time.process_time() - began))
            for optimizer, took in zip(optimizers, steps, strict=True):
                took.append(cycle_milliseconds(optimizer))
        window, adam, soap = (statistics.median(took[1:]) for took in (passes, *steps))
        shares = " | ".join(f"{soap / (count * window + soap):.0%}" for count in (1, 2))
        print(f"| {name} | {window:.1f} ms | {adam:.2f} ms | {soap:.1f} ms | {shares} |", flush=True)


if __name__ == "__main__":
    main()
