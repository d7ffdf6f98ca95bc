"""Training step and inference of DeepLabV3: wavegen against torchvision, alternating in one run.

    python benchmarks/segmentation_speed.py
    python benchmarks/segmentation_speed.py --case mobilenet_v3_large:train:512:2

Each pair has equal weights, input, loss and optimizer; first their scores are compared. torchvision runs twice, in its
default memory layout and in channels-last, which wavegen always uses. The table shows the median of the rounds in
milliseconds, and the speed of wavegen relative to both. If the feature map is smaller than a rate of the pyramid,
wavegen skips taps that only see padding; in the last cases there are no such taps.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from copy import deepcopy

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.segmentation import deeplabv3_mobilenet_v3_large, deeplabv3_resnet50

from segmentation.config import SegmentationModelConfig
from segmentation.network.deeplab import build_model

TORCHVISIONS = {"mobilenet_v3_large": (deeplabv3_mobilenet_v3_large, 16), "resnet50": (deeplabv3_resnet50, 8)}
CASES = (
    "mobilenet_v3_large:train:224:4",
    "mobilenet_v3_large:infer:224:4",
    "resnet50:train:128:2",
    "resnet50:infer:128:2",
    "mobilenet_v3_large:train:640:2",
    "mobilenet_v3_large:infer:640:1",
    "resnet50:infer:320:1",
)
NUM_CLASSES = 21


def models(backbone: str) -> dict[str, nn.Module]:
    """Returns the model of torchvision in both layouts and that of wavegen, all with equal weights."""
    build, output_stride = TORCHVISIONS[backbone]
    reference = build(weights=None, weights_backbone=None, num_classes=NUM_CLASSES, aux_loss=False)
    config = SegmentationModelConfig(
        architecture="deeplab_v3",
        backbone=backbone,  # type: ignore[arg-type]
        num_classes=NUM_CLASSES,
        output_stride=output_stride,  # type: ignore[arg-type]
        atrous_rates=(12, 24, 36),
        dropout=0.5,
    )
    ours = build_model(config)
    ours.load_state_dict(reference.state_dict())
    last = deepcopy(reference).to(memory_format=torch.channels_last)
    return {"torchvision": reference, "torchvision channels-last": last, "wavegen": ours}


def training_step(model: nn.Module, images: Tensor, masks: Tensor) -> Callable[[], None]:
    """Returns a function that takes one optimizer step."""
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4)
    model.train()

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(model(images)["out"], masks, ignore_index=255)
        loss.backward()
        optimizer.step()
        loss.item()  # waits for the device

    return step


def inference(model: nn.Module, images: Tensor) -> Callable[[], None]:
    """Returns a function that predicts the class of each pixel."""
    model.eval()

    def step() -> None:
        with torch.inference_mode():
            model(images)["out"].argmax(1).sum().item()  # waits for the device

    return step


def compare(case: str, rounds: int, device: str) -> None:
    """Compares the scores of the three, then times them alternately and prints a table row."""
    backbone, mode, size, batch_size = case.split(":")
    generator = torch.Generator().manual_seed(0)
    shape = (int(batch_size), 3, int(size), int(size))
    images = torch.randn(shape, generator=generator).to(device)
    masks = torch.randint(NUM_CLASSES, (shape[0], *shape[2:]), generator=generator).to(device)
    nets = {name: net.to(device) for name, net in models(backbone).items()}
    with torch.inference_mode():
        scores = {name: net.eval()(images)["out"] for name, net in nets.items()}
    off = float((scores["wavegen"] - scores["torchvision"]).abs().max() / scores["torchvision"].abs().max())
    steps = {}
    for name, net in nets.items():
        layout = torch.contiguous_format if name == "torchvision" else torch.channels_last
        inputs = images.contiguous(memory_format=layout)
        steps[name] = training_step(net, inputs, masks) if mode == "train" else inference(net, inputs)
        steps[name]()
    times: dict[str, list[float]] = {name: [] for name in steps}
    order = list(steps)
    for _ in range(rounds):
        order = order[1:] + order[:1]  # none always follows the same one and its caches
        for name in order:
            began = time.perf_counter()
            steps[name]()
            times[name].append(time.perf_counter() - began)
    default, last, ours = (1000 * statistics.median(times[name]) for name in steps)
    print(
        f"| {backbone} | {mode} | {shape[0]} x {size} x {size} | {default:,.0f} | {last:,.0f} | {ours:,.0f} "
        f"| {default / ours:.2f} | {last / ours:.2f} | {off:.0e} |",
        flush=True,
    )


def machine(device: str) -> str:
    """Describes the machine: device, threads, torch and commit."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    chip = torch.cuda.get_device_name() if device == "cuda" else platform.processor() or platform.machine()
    capability = torch.backends.cpu.get_cpu_capability()
    return (
        f"{device} ({chip}, {capability}), {torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"commit {commit.stdout.strip() or 'unknown'}"
    )


def main() -> None:
    """Measures all cases and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", action="append", help="backbone:train|infer:side:batch; may be given more than once")
    parser.add_argument("--rounds", type=int, default=6)
    arguments = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    print(machine(device))
    print(
        "| backbone | mode | images | torchvision ms | torchvision channels-last ms | wavegen ms | x | x | scores off |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for case in arguments.case or CASES:
        compare(case, arguments.rounds, device)


if __name__ == "__main__":
    main()
