"""Audio samples trained per second: wavegen's WaveNet against a textbook one, alternating in one run.

    python benchmarks/train_speed.py small base

Both see the same windows, count every target in the loss and take the same fused Adam step. First the losses and
gradients of the two are compared with equal weights. The table shows the median of the rounds and its ratio, and
whether wavegen uses its compiled kernels, which it does wherever they are available.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import subprocess
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavenet_app.config import ModelConfig, preset
from wavenet_app.core.device import training_device
from wavenet_app.heads import mean_bits
from wavenet_app.network.model import WaveNet
from wavenet_app.network.stack.skip_sum import missing_kernels


class Textbook(nn.Module):
    """WaveNet as tutorials write it: one-hot input, Conv1d modules, channels first, one skip product per layer."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        codes, residual, width, skip = (
            config.quantization_channels,
            config.residual_channels,
            config.dilation_channels,
            config.skip_channels,
        )
        taps = config.kernel_size
        self.front = nn.Conv1d(codes, residual, taps)
        self.dilated = nn.ModuleList(nn.Conv1d(residual, 2 * width, taps, dilation=d) for d in config.dilations)
        self.residuals = nn.ModuleList(nn.Conv1d(width, residual, 1) for _ in config.dilations)
        self.skips = nn.ModuleList(nn.Conv1d(width, skip, 1) for _ in config.dilations)
        self.output1 = nn.Conv1d(skip, skip, 1)
        self.output2 = nn.Conv1d(skip, codes, 1)

    def forward(self, codes: Tensor) -> Tensor:
        """Returns logits, (batch, quantization_channels, time), for codes (batch, time)."""
        reach = self.config.kernel_size - 1
        hidden = F.one_hot(codes, self.config.quantization_channels).float().transpose(1, 2)
        hidden = self.front(F.pad(hidden, (reach, 0)))
        total: Tensor | float = 0.0
        for dilated, residual, skip, dilation in zip(
            self.dilated, self.residuals, self.skips, self.config.dilations, strict=True
        ):
            filtered, gate = dilated(F.pad(hidden, (reach * dilation, 0))).chunk(2, dim=1)
            activated = torch.tanh(filtered) * torch.sigmoid(gate)
            total = total + skip(activated)
            hidden = hidden + residual(activated)
        assert isinstance(total, Tensor)
        return self.output2(F.relu(self.output1(F.relu(total))))

    @torch.no_grad()
    def copy_from(self, model: WaveNet) -> None:
        """Copies the weights of wavegen's net, so both compute the same function."""
        self.front.weight.copy_(model.front.tables.permute(2, 1, 0))
        self.front.bias.copy_(model.front.bias)
        for layer, block in enumerate(model.blocks):
            for own, other in (
                (self.dilated[layer], block.dilated),
                (self.residuals[layer], block.residual),
                (self.skips[layer], block.skip),
            ):
                if other is not None:
                    own.load_state_dict(other.state_dict())
        for own, other in ((self.output1, model.output1), (self.output2, model.output2)):
            own.weight.copy_(other.weight[:, :, None])
            own.bias.copy_(other.bias)


def stepper(model: nn.Module, bits: Callable[[], Tensor]) -> Callable[[], float]:
    """Returns a function that takes one optimizer step and returns its loss, in bits per sample."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        loss = bits()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def compare(name: str, batch_size: int, window: int, rounds: int, steps: int, device: str) -> None:
    """Compares the losses and gradients of the nets, then times them alternately and prints a table row for each."""
    config = preset(name).model
    generator = torch.Generator().manual_seed(0)
    ours = WaveNet(config, generator).to(device)
    nn.init.normal_(ours.output2.weight, std=0.1)
    textbook = Textbook(config).to(device)
    textbook.copy_from(ours)
    codes = torch.randint(256, (batch_size, window + 1), generator=generator).to(device)
    mask = torch.ones(batch_size, window, dtype=torch.bool, device=device)

    def our_bits() -> Tensor:
        return mean_bits(ours.head.bits(ours(codes[:, :-1]), codes[:, 1:]), mask)

    def textbook_bits() -> Tensor:
        return mean_bits(ours.head.bits(textbook(codes[:, :-1]).transpose(1, 2), codes[:, 1:]), mask)

    dtypes = [torch.float32, torch.bfloat16]
    for dtype in dtypes:
        ours.product_dtype = dtype
        gradients = [
            torch.autograd.grad(bits(), front)[0].flatten()
            for bits, front in ((textbook_bits, textbook.front.bias), (our_bits, ours.front.bias))
        ]
        off = float((gradients[0] - gradients[1]).norm() / gradients[0].norm())
        losses = f"{textbook_bits().item():.6f} / {our_bits().item():.6f} bits"
        print(f"{name} {dtype}: loss {losses}, gradient off by {off:.1e}")

    textbook_step, our_step = stepper(textbook, textbook_bits), stepper(ours, our_bits)
    kernels = {dtype: "PyTorch alone" if missing_kernels(device, dtype) else "compiled kernels" for dtype in dtypes}
    ours_by_label = {f"wavegen {str(dtype).removeprefix('torch.')}, {kernels[dtype]}": dtype for dtype in dtypes}
    rates: dict[str, list[float]] = {label: [] for label in ("textbook float32", *ours_by_label)}
    for _ in range(rounds):
        for label, times in rates.items():
            ours.product_dtype = ours_by_label.get(label, torch.float32)
            step = our_step if label in ours_by_label else textbook_step
            step()
            began = time.perf_counter()
            for _ in range(steps):
                step()
            times.append(steps * batch_size * window / (time.perf_counter() - began))
    base = statistics.median(rates["textbook float32"])
    for label, times in rates.items():
        rate = statistics.median(times)
        print(f"| {name} | {batch_size} x {window} | {label} | {rate:,.0f} | {rate / base:.2f} |")


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
    """Measures all presets and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("presets", nargs="*", default=["small", "base"])
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--window", type=int, default=8192)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument(
        "--threads", type=int, default=torch.get_num_threads(), help="number of PyTorch threads; the kernels use one"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = training_device()
    print(machine(device))
    print("| preset | batch | net | samples/s | ratio |\n|---|---|---|---|---|")
    for name in arguments.presets:
        compare(name, arguments.batch_size, arguments.window, arguments.rounds, arguments.steps, device)


if __name__ == "__main__":
    main()
