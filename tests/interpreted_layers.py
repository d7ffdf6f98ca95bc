"""Triton's kernels for training, interpreted on the CPU: `test_triton_stack` runs this file in a process of its own.

In float32 alone: the interpreter's products take bfloat16 for integers.
"""

import os

assert os.environ.get("TRITON_INTERPRET") == "1", "run with TRITON_INTERPRET=1"

import pytest
import torch
from torch import Tensor, nn

from wavenet_app.config import MelConfig, ModelConfig
from wavenet_app.network.conditioning import Conditioning
from wavenet_app.network.model import WaveNet

SHAPES = {
    "two taps": {"dilations": (1, 2, 4, 8, 1)},
    "three taps, other widths": {
        "dilations": (3, 1, 7), "kernel_size": 3, "residual_channels": 32, "dilation_channels": 16
    },
    "one layer": {"dilations": (5,)},
    "further back than the batch": {"dilations": (100, 1)},
}  # fmt: skip


def net(**changes) -> WaveNet:
    shape = {
        "residual_channels": 16, "dilation_channels": 16, "skip_channels": 24, "quantization_channels": 16
    } | changes  # fmt: skip
    model = WaveNet(ModelConfig(**shape), torch.Generator().manual_seed(1))
    nn.init.normal_(model.output2.weight, std=0.3, generator=torch.Generator().manual_seed(2))
    for parameter in model.parameters():
        if parameter.dim() == 1:
            nn.init.normal_(parameter, std=0.2, generator=torch.Generator().manual_seed(parameter.numel()))
    return model


def gradients(model: WaveNet, outputs: Tensor) -> dict[str, Tensor]:
    """The gradients of a sum that weighs each output differently."""
    weights = torch.randn(outputs.shape, generator=torch.Generator().manual_seed(3))
    model.zero_grad(set_to_none=True)
    (outputs.float() * weights).sum().backward()
    return {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}


def compare(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float) -> None:
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        apart = (found[name] - gradient).norm() / gradient.norm().clamp(min=1e-9)
        assert apart < tolerance, f"{name}: {apart:.2g}"


@pytest.mark.parametrize(
    ("shape", "length"),
    [
        ("two taps", 65),
        ("three taps, other widths", 7),
        *(pytest.param(shape, length, marks=pytest.mark.slow) for shape in SHAPES for length in (1, 63, 131)),
    ],
)
def test_outputs_and_gradients_are_those_of_the_plain_blocks(shape: str, length: int) -> None:
    model = net(**SHAPES[shape])
    codes = torch.randint(0, 16, (2, length), generator=torch.Generator().manual_seed(length))
    plain = model.forward_by_blocks(codes)
    expected = gradients(model, plain)
    model.in_triton = True
    outputs = model(codes)
    torch.testing.assert_close(outputs, plain, rtol=1e-4, atol=1e-4)
    compare(gradients(model, outputs), expected, 1e-4)


@pytest.mark.parametrize("start", [30, *(pytest.param(start, marks=pytest.mark.slow) for start in (0, 1, 69))])
def test_only_the_steps_that_are_wanted_count(start: int) -> None:
    model = net(dilations=(1, 2, 4, 8))
    codes = torch.randint(0, 16, (3, 70), generator=torch.Generator().manual_seed(5))
    plain = model.forward_by_blocks(codes)[:, start:]
    expected = gradients(model, plain)
    model.in_triton = True
    outputs = model(codes, start)
    torch.testing.assert_close(outputs, plain, rtol=1e-4, atol=1e-4)
    compare(gradients(model, outputs), expected, 1e-4)


@pytest.mark.parametrize(
    "kind", ["both", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("speakers", "mel"))]
)
def test_conditions_and_their_gradients(kind: str) -> None:
    mel = MelConfig(n_mels=5, hop_length=12, n_fft=48, upsampling=4, melody=False).resolved(8_000)
    speakers = ("ann", "bob", "cid") if kind != "mel" else ()
    model = net(dilations=(1, 4, 2), speakers=speakers, mel=None if kind == "speakers" else mel, local_channels=6)
    given = Conditioning(
        torch.eye(3)[:2] if speakers else None,
        None if kind == "speakers" else torch.randn(2, 13 + 6, 5, generator=torch.Generator().manual_seed(6)),
    )
    codes = torch.randint(0, 16, (2, 101), generator=torch.Generator().manual_seed(7))
    phase = 0 if kind == "speakers" else 7
    plain = model.forward_by_blocks(codes, given, phase)[:, 20:]
    expected = gradients(model, plain)
    model.in_triton = True
    outputs = model(codes, 20, model.condition(given, phase))
    torch.testing.assert_close(outputs, plain, rtol=1e-4, atol=1e-4)
    compare(gradients(model, outputs), expected, 1e-4)
