"""Triton's kernels for training, interpreted on the CPU: `test_triton_stack` runs this file in a process of its own."""

import os

assert os.environ.get("TRITON_INTERPRET") == "1", "run with TRITON_INTERPRET=1"

import numpy as np
import pytest
import torch
import triton.language as tl
from torch import Tensor, nn
from triton.runtime.interpreter import InterpreterBuilder, TensorHandle

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


@pytest.fixture
def bfloat16_as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the interpreter round to the nearest and multiply values: it cuts, and takes their bits for integers."""
    cast, dot = InterpreterBuilder.cast_impl, InterpreterBuilder.create_dot

    def widened(handle: TensorHandle) -> TensorHandle:
        if handle.dtype.scalar != tl.bfloat16:
            return handle
        return TensorHandle((handle.data.astype(np.uint32) << 16).view(np.float32), tl.float32)

    def rounding_cast(builder: InterpreterBuilder, source: TensorHandle, wanted: tl.dtype) -> TensorHandle:
        if source.dtype.scalar != tl.float32 or wanted.scalar != tl.bfloat16:
            return cast(builder, source, wanted)
        words = torch.from_numpy(np.ascontiguousarray(source.data)).bfloat16().view(torch.int16).numpy()
        return TensorHandle(words.view(np.uint16), tl.bfloat16)

    def product(builder: InterpreterBuilder, left: TensorHandle, right: TensorHandle, *others: object) -> TensorHandle:
        return dot(builder, widened(left), widened(right), *others)

    monkeypatch.setattr(InterpreterBuilder, "cast_impl", rounding_cast)
    monkeypatch.setattr(InterpreterBuilder, "create_fp_to_fp", lambda builder, *given: builder.cast_impl(*given[:2]))
    monkeypatch.setattr(InterpreterBuilder, "create_dot", product)


@pytest.mark.usefixtures("bfloat16_as_on_a_gpu")
@pytest.mark.parametrize(
    ("shape", "length"),
    [
        ("two taps", 65),
        ("three taps, other widths", 21),
        *(pytest.param(shape, length, marks=pytest.mark.slow) for shape in SHAPES for length in (63, 131)),
    ],
)
def test_in_bfloat16_they_are_as_near_to_the_plain_blocks_as_torch_is(shape: str, length: int) -> None:
    """Outputs and each gradient: both round operands to 8 bits, and the plain blocks in float32 do not."""
    model = net(**SHAPES[shape])
    with torch.no_grad():  # so that no rounding decides whether a ReLU lets a gradient through
        model.output1.bias.add_(100)
        for block in model.blocks:
            block.skip.bias.add_(20)
    codes = torch.randint(0, 16, (2, length), generator=torch.Generator().manual_seed(length))
    plain = model.forward_by_blocks(codes)
    exact = gradients(model, plain) | {"outputs": plain.detach()}
    model.product_dtype = torch.bfloat16
    found = {}
    for model.in_triton in (False, True):
        outputs = model(codes)
        found[model.in_triton] = gradients(model, outputs) | {"outputs": outputs.detach().float()}
    assert found[True].keys() == exact.keys()
    for name, expected in exact.items():
        size = expected.norm().clamp(min=1e-9)
        of_torch, of_triton = ((found[kind][name] - expected).norm() / size for kind in (False, True))
        assert of_triton < 0.02, f"{name}: {of_triton:.2g} from the plain blocks"
        assert of_triton < 1.5 * of_torch + 3e-3, f"{name}: {of_triton:.2g} from the plain blocks, torch {of_torch:.2g}"


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
