"""Counts what a training step asks of a GPU: kernels, copies and waits, without a GPU.

    uv run python benchmarks/training_kernels.py

The step runs on PyTorch's device without memory, on which each operation is counted. An operation whose result the
host would wait for cannot run there. Operations on nothing, and views, start no kernel and are not counted; the numbers
are those of operations, and a few of them start more than one kernel on a GPU.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

DEVICE = "meta"

FREE = (
    *("view", "expand", "slice", "select", "t", "transpose", "permute", "unsqueeze", "squeeze", "detach", "alias"),
    *("split", "split_with_sizes", "unbind", "as_strided", "_unsafe_view", "device", "stride", "sym_size"),
    *("empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided", "is_contiguous", "scalar_tensor"),
)
"""Operations that start no kernel."""


class Operations(TorchDispatchMode):
    """Counts the operations on the device, and those that copy between it and the host, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels: Counter[str] = Counter()
        self.copies: Counter[str] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs and counts an operation."""
        result = function(*args, **(kwargs or {}))
        name = function._overloadpacket.__name__
        results = [one for one in tree_flatten(result)[0] if isinstance(one, Tensor)]
        devices = {one.device.type for one in tree_flatten((args, kwargs))[0] if isinstance(one, Tensor)}
        devices |= {one.device.type for one in results}
        if len(devices) > 1 and name in ("_to_copy", "copy_"):
            self.copies[name] += 1
        elif DEVICE in devices and name not in FREE and (not results or any(one.numel() for one in results)):
            self.kernels[name] += 1
        return result

    @property
    def total(self) -> int:
        """Kernels of all kinds."""
        return sum(self.kernels.values())


def counted(run: Callable[[], Any]) -> Operations:
    """Returns what `run` does on the device."""
    with Operations() as operations:
        run()
    return operations


def wavenet_step(preset_name: str, batch: int, dtype: torch.dtype) -> tuple[Operations, Operations]:
    """Returns what forward and backward of a step do.

    Args:
        preset_name: of the model, which gets no linear prediction, as its rows come with the batch.
        batch: windows.
        dtype: of the products.
    """
    from wavenet_app.config import preset
    from wavenet_app.heads import mean_bits
    from wavenet_app.network.model import WaveNet

    config = preset(preset_name)
    shape = config.model.model_copy(update={"prediction": None})
    model = WaveNet(shape).to(DEVICE)
    model.product_dtype = dtype
    context, window = config.training_context, config.training.window
    codes = torch.zeros(batch, context + window, dtype=torch.int64, device=DEVICE)
    mask = torch.ones(batch, window, dtype=torch.bool, device=DEVICE)
    losses: list[Tensor] = []

    def forward() -> None:
        outputs = model(codes[:, :-1], context - 1)
        losses.append(mean_bits(model.head.bits(outputs, codes[:, context:]), mask))

    return counted(forward), counted(lambda: losses[0].backward())


def deeplab_step(preset_name: str, batch: int, side: int) -> tuple[Operations, Operations]:
    """Returns what forward and backward of a step do.

    Args:
        preset_name: of the model.
        batch: crops.
        side: of a crop, in pixels.
    """
    from segmentation.config import preset
    from segmentation.datasets.transforms import IMAGENET_MEAN, IMAGENET_STD, CropNormaliser
    from segmentation.network.deeplab import build_model
    from segmentation.training.loss import cross_entropy

    model = build_model(preset(preset_name).model, torch.Generator()).to(DEVICE).train()
    images = torch.zeros(batch, 3, side, side, dtype=torch.uint8, device=DEVICE)
    masks = torch.zeros(batch, side, side, dtype=torch.uint8, device=DEVICE)
    inside = torch.zeros(batch, 4, dtype=torch.int32, device=DEVICE)
    normaliser = CropNormaliser(IMAGENET_MEAN, IMAGENET_STD)
    normaliser(images, inside)  # its constants are sent once
    losses: list[Tensor] = []

    def forward() -> None:
        losses.append(cross_entropy(model(normaliser(images, inside))["out"], masks.long()))

    return counted(forward), counted(lambda: losses[0].backward())


def main() -> None:
    """Prints a table: a row for each model."""
    print("operations a step                         forward  backward  copies  waits")
    for name, parts in (
        ("wavenet base, batch 16, bfloat16", wavenet_step("base", 16, torch.bfloat16)),
        ("wavenet small, batch 16, bfloat16", wavenet_step("small", 16, torch.bfloat16)),
        ("deeplab resnet50, 4 crops of 512", deeplab_step("resnet50", 4, 512)),
        ("deeplab dilated, 4 crops of 512", deeplab_step("dilated", 4, 512)),
    ):
        copies = sum(sum(part.copies.values()) for part in parts)
        print(f"{name:40}  {parts[0].total:7}  {parts[1].total:8}  {copies:6}      0")
    print(
        "clipping and optimizer add some 10 with PyTorch's operations on many tensors; as a CUDA graph, all is one call"
    )


if __name__ == "__main__":
    main()
