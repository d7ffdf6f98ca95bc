"""The compiled stack equals PyTorch's, in values and gradients, is the same at every call, and can be done without."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from wavenet_app.network.stack import compiled as compiled_stack
from wavenet_app.network.stack import skip_sum
from wavenet_app.network.stack.compiled import CompiledSkipSum, compile_kernels
from wavenet_app.network.stack.fused import SkipSum
from wavenet_app.network.stack.layout import NEVER_CHANGES, Held

stacks = st.fixed_dictionaries(
    {
        "channels": st.sampled_from([1, 3, 15, 16, 17, 32, 40]),
        "width": st.sampled_from([1, 5, 16, 20, 32]),
        "kernel_size": st.sampled_from([2, 3]),
        "dilations": st.lists(st.sampled_from([1, 2, 3, 8, 30, 100]), min_size=1, max_size=4).map(tuple),
        "batch": st.integers(1, 3),
        "time": st.integers(1, 70),
        "last_projects": st.booleans(),
        "seed": st.integers(0, 99),
        "hold": st.sampled_from([None, 1, 7, 25, 1000]),
        "phase": st.integers(0, 30),
    }
)


def parts_of(stack: dict) -> tuple[Tensor, list[Tensor]]:
    """Returns hidden and the parameters of a stack."""
    generator = torch.Generator().manual_seed(stack["seed"])

    def draw(*size: int, scale: float = 1.0) -> Tensor:
        return (scale * torch.randn(size, generator=generator)).requires_grad_()

    channels, width, taps = stack["channels"], stack["width"], stack["kernel_size"]
    parameters = []
    for layer in range(len(stack["dilations"])):
        parameters += [draw(2 * width, channels, taps, scale=(taps * channels) ** -0.5), draw(2 * width)]
        parameters += [draw(7, width, 1, scale=width**-0.5), draw(7)]
        if layer < len(stack["dilations"]) - 1 or stack["last_projects"]:
            parameters += [draw(channels, width, 1, scale=width**-0.5), draw(channels)]
    return draw(stack["batch"], stack["time"], channels), parameters


def condition_of(stack: dict) -> tuple[Tensor | None, Held]:
    """Returns what is added to the gates, and when."""
    if stack.get("hold") is None:
        return None, NEVER_CHANGES
    held = Held(stack["hold"], stack["phase"])
    steps = (held.phase + stack["time"] - 1) // held.hold + 1
    channels = 2 * stack["width"] * len(stack["dilations"])
    generator = torch.Generator().manual_seed(stack["seed"] + 1)
    return torch.randn(stack["batch"], steps, channels, generator=generator).requires_grad_(), held


def results(operation: type, stack: dict, start: int, dtype: torch.dtype) -> list[Tensor]:
    """Returns the sums and the gradients of all inputs that have one."""
    hidden, parameters = parts_of(stack)
    # a stack may skip what it is not asked for, but then is never asked for what it skipped
    condition, held = condition_of(stack)
    sums = operation.apply(hidden, condition, held, stack["dilations"], start, dtype, *parameters)
    weight = torch.randn(sums.shape, generator=torch.Generator().manual_seed(1))
    inputs = [hidden, *parameters] if condition is None else [hidden, condition, *parameters]
    found = torch.autograd.grad((sums.float() * weight).sum(), inputs, allow_unused=True)
    return [sums, *(gradient for gradient in found if gradient is not None)]


def possible_start(stack: dict, wanted: int) -> int:
    """Returns a start that needs the first step of hidden, as `skip_sum` passes it on."""
    reach = (stack["kernel_size"] - 1) * sum(stack["dilations"])
    return min(wanted, reach, stack["time"] - 1)


def distance(found: Sequence[Tensor], expected: Sequence[Tensor], least: float = 1) -> list[float]:
    """Returns how far each result is off, relative to its norm, or to a least one where nearly all of it cancels."""
    return [
        float(
            (one.detach().double() - other.detach().double()).norm() / other.detach().double().norm().clamp(min=least)
        )
        for one, other in zip(found, expected, strict=True)
    ]


@given(stacks, st.integers(0, 60), st.sampled_from([1, 1000, 2**20]))
@settings(deadline=None, max_examples=60)
def test_float32_equals_the_operations_of_pytorch(stack: dict, wanted: int, piece: int) -> None:
    start = possible_start(stack, wanted)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled_stack, "_PIECE_BYTES", piece)
        found = results(CompiledSkipSum, stack, start, torch.float32)
    assert max(distance(found, results(SkipSum, stack, start, torch.float32))) < 1e-5


@given(stacks, st.integers(0, 60), st.sampled_from([4000, 2**20]))
@example(
    {
        "channels": 1,
        "width": 1,
        "kernel_size": 3,
        "dilations": (2, 1, 1),
        "batch": 1,
        "time": 43,
        "last_projects": False,
        "seed": 99,
        "hold": 7,
        "phase": 10,
    },
    8,
    2**20,
)
@settings(deadline=None, max_examples=40)
def test_bfloat16_is_as_near_to_float32_as_pytorch_is(stack: dict, wanted: int, piece: int) -> None:
    start = possible_start(stack, wanted)
    exact = results(SkipSum, stack, start, torch.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled_stack, "_PIECE_BYTES", piece)
        found = results(CompiledSkipSum, stack, start, torch.bfloat16)
    # a gradient is a sum over the steps: what the roundings of so many terms of size 1 may come to together
    terms = (stack["batch"] * (stack["time"] - start)) ** 0.5
    ours = distance(found, exact, terms)
    theirs = distance(results(SkipSum, stack, start, torch.bfloat16), exact, terms)
    # two roundings more, for where PyTorch's errors happen to cancel
    assert sum(ours) / len(ours) < 2 * sum(theirs) / len(theirs) + 2**-7
    assert max(ours) < 2 * max(theirs) + 2**-5


def test_a_large_net_is_nearer_to_float32_than_pytorch_is() -> None:
    stack = {
        "channels": 32,
        "width": 32,
        "kernel_size": 2,
        "dilations": tuple(2**layer for layer in range(8)) * 2,
        "batch": 2,
        "time": 5000,
        "last_projects": False,
        "seed": 0,
    }
    exact = results(SkipSum, stack, 510, torch.float32)
    assert max(distance(results(CompiledSkipSum, stack, 510, torch.float32), exact)) < 1e-5
    ours = distance(results(CompiledSkipSum, stack, 510, torch.bfloat16), exact)
    theirs = distance(results(SkipSum, stack, 510, torch.bfloat16), exact)
    assert sum(ours) < 1.05 * sum(theirs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("threads", [1, 2])
def test_every_call_gives_the_same_bits(dtype: torch.dtype, threads: int) -> None:
    stack = {
        "channels": 24,
        "width": 20,
        "kernel_size": 3,
        "dilations": (1, 3, 9),
        "batch": 2,
        "time": 5000,
        "last_projects": False,
        "seed": 3,
    }
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        first = results(CompiledSkipSum, stack, 20, dtype)
        shifting = [torch.empty(size) for size in (3, 1001, 77)]  # so that the next arrays lie elsewhere
        for one, other in zip(first, results(CompiledSkipSum, stack, 20, dtype), strict=True):
            assert torch.equal(one, other)
        assert len(shifting) == 3
    finally:
        torch.set_num_threads(before)


def test_numbers_out_of_range_stay_what_they_are() -> None:
    stack = {
        "channels": 16,
        "width": 16,
        "kernel_size": 2,
        "dilations": (1, 2),
        "batch": 1,
        "time": 9,
        "last_projects": False,
        "seed": 3,
    }
    for dtype in (torch.float32, torch.bfloat16):
        for bad, check in ((float("nan"), torch.isnan), (1e30, torch.isfinite)):
            hidden, parameters = parts_of(stack)
            hidden.data[0, 4, 2] = bad
            sums = CompiledSkipSum.apply(hidden, None, NEVER_CHANGES, (1, 2), 0, dtype, *parameters)
            expected = SkipSum.apply(hidden, None, NEVER_CHANGES, (1, 2), 0, dtype, *parameters)
            assert torch.equal(check(sums), check(expected))
            assert torch.isfinite(sums[:, :4]).all()


def test_the_kernels_can_be_compiled_while_a_model_only_infers() -> None:
    with torch.inference_mode():
        assert compile_kernels(torch.float32) is None


def test_what_keeps_the_kernels_away_is_said() -> None:
    assert skip_sum.missing_kernels("cpu", torch.float32) is None
    assert "not for cuda" in str(skip_sum.missing_kernels("cuda", torch.bfloat16))
    assert "float64" in str(skip_sum.missing_kernels("cpu", torch.float64))


WITHOUT_NUMBA = """
import sys, torch
sys.modules["numba"] = None
from wavenet_app.config import preset
from wavenet_app.network.model import WaveNet
from wavenet_app.network.stack.skip_sum import kernels_to_compile, missing_kernels
print(missing_kernels("cpu", torch.float32))
print(kernels_to_compile("cpu", torch.float32))
net = WaveNet(preset("tiny").model, torch.Generator().manual_seed(0))
codes = torch.zeros(1, 20, dtype=torch.int64)
torch.testing.assert_close(net(codes), net.forward_by_blocks(codes))
"""


def test_a_net_does_without_numba(tmp_path: Path) -> None:
    said = subprocess.run(
        [sys.executable, "-c", WITHOUT_NUMBA],
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    reason, waiting = said.splitlines()
    assert "numba cannot be imported" in reason
    assert waiting == "None"


def test_a_compiler_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> None:
        raise RuntimeError("LLVM knows no such machine\nand more")

    monkeypatch.setattr(compiled_stack.kernels, "get_ready", fail)
    assert compiled_stack.compile_kernels(torch.float32) == "numba cannot compile here: LLVM knows no such machine"


FIRST_USE = """
import sys, torch
from wavenet_app.network.model import WaveNet
from wavenet_app.network.stack.skip_sum import kernels_to_compile, missing_kernels
assert "numba" not in sys.modules
print(kernels_to_compile("cpu", torch.bfloat16))
print(missing_kernels("cpu", torch.bfloat16))
print(kernels_to_compile("cpu", torch.bfloat16), "numba" in sys.modules)
"""


@pytest.mark.slow
def test_processes_that_start_together_compile_once_into_a_whole_cache(tmp_path: Path) -> None:
    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", FIRST_USE],
            env={"NUMBA_CACHE_DIR": str(tmp_path), "PATH": "/usr/bin"},
            cwd=Path(__file__).parents[4],
            stdout=subprocess.PIPE,
            text=True,
        )

    for first in (True, False):
        together = [start() for _ in range(2)]
        said = [process.communicate()[0].splitlines()[1:] for process in together]
        assert [lines[0] for lines in said] == ["None"] * 2
        assert all(lines[1].startswith("None ") for lines in said)
        assert any(lines[1] == "None True" for lines in said) == first
    kernels = [path.name.split("-")[0] for path in tmp_path.rglob("*.code")]
    assert len(kernels) == len(set(kernels)) == 5
