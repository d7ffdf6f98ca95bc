"""Benchmarks: their verdicts on goals, the limits they compute, and that they start."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from random_nets import random_net

from fast_gen.engines.gpu.packing import pack
from fast_gen.engines.weights import GeneratorWeights
from wavenet_app.config import preset

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch):
    """Imports one of the benchmarks."""

    def load(name: str) -> ModuleType:
        monkeypatch.syspath_prepend(BENCHMARKS)
        return __import__(name)

    return load


def test_a_goal_is_compared_with_the_best_matching_result(module) -> None:
    goals = module("goals")
    rows = [
        goals.Row("base", 1, "cpu", "float32", 1, 4_000.0, 20.0),
        goals.Row("base", 1, "cpu", "int8", 1, 20_000.0, 45.0),
        goals.Row("base", 1, "cpu", "int8", 2, 30_000.0, 60.0),
        goals.Row("base", 2048, "triton", "bfloat16", 1, 2048 * 16_000.0, 700.0),
        goals.Row("base", 4096, "triton", "bfloat16", 1, 4096 * 15_999.0, 800.0),
    ]
    name = "base, 1 clip, bfloat16 or int8, 1 thread: samples/s"
    reached = goals.Goal(18_000, "samples/s", "base", goals.REDUCED)
    assert goals.verdict(reached, rows) == f"| {name} | 18,000 | 20,000 | cpu int8, 1 thread | reached |"
    missed = goals.Goal(8_000, "samples/s", "base", goals.EXACT)
    assert goals.verdict(missed, rows).endswith("| 4,000 | cpu float32, 1 thread | missed, 50% of it |")
    two_threads = goals.Goal(50, "times as fast", "base", goals.REDUCED, threads=2)
    assert goals.verdict(two_threads, rows).endswith("| 60.0 | cpu int8, 2 threads | reached |")
    streams = goals.Goal(1_000, "clips in real time", "base", goals.REDUCED, clips=None)
    assert goals.verdict(streams, rows).endswith("| 1,000 | 2,048 | triton bfloat16, 1 thread | reached |")
    for goal in (*goals.CPU_GOALS, *goals.GPU_GOALS):
        assert "not measured" in goals.verdict(goal, [])


def test_limits_follow_from_bytes_and_bandwidth(module) -> None:
    gpu = module("gpu_limit")
    measured = gpu.Measured(clock=1.5e9, one_block=100e9, all_blocks=5e12, shared=128.0, barrier=30.0, hop=200.0)
    base = GeneratorWeights.of(random_net(preset("base").model))
    model = pack(base, "cpu", torch.bfloat16)
    size = gpu.weight_bytes(model)
    assert size == 2 * (base.multiply_accumulates + base.residual[-1].size)  # the last one is never read
    assert gpu.streamed(model, measured, 1, 1) == pytest.approx(100e9 / size)
    assert gpu.streamed(model, measured, 32, 32) == pytest.approx(32 * 100e9 / size)
    assert gpu.streamed(model, measured, 3_200, 32) == pytest.approx(3_200 * 5e10 / size)
    rate, chain = gpu.held_in_cluster(model, measured, 2)
    assert rate == pytest.approx(2 * 1.5e9 / (chain.reads + chain.barriers + chain.hops))
    assert chain.hops == 12 * 200.0
    assert gpu.held_in_cluster(pack(base, "cpu", torch.float32), measured, 1) is None
    assert gpu.summary(measured).splitlines()[1] == "cache: 67 bytes per cycle for one block, 3333 for all (5.00 TB/s)"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("name", ["gpu_limit", "gpu_speed"])
def test_without_a_gpu_one_line_says_so(name: str) -> None:
    command = [sys.executable, str(BENCHMARKS / f"{name}.py")]
    ended = subprocess.run(command, cwd=BENCHMARKS.parent, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith("cannot measure here: ")
    assert ended.stderr.count("\n") == 1


def test_a_quick_step_that_fails_or_hangs_does_not_stop_the_others(module, tmp_path: Path) -> None:
    quick = module("gpu_quick")
    step = quick.Step("some", 2, "whether it works")
    commands = {
        "ok": "print('all'); print('right | wrong')",
        "failed": "print('before'); raise SystemExit('no device')",
        # what the step starts must end with it, else the pipe stays open
        "too long": "import subprocess, time; print('began', flush=True); subprocess.run(['sleep', '60'])",
    }
    with (tmp_path / "results.txt").open("a") as results:
        outcomes = [
            quick.run_step(step, False, results, [sys.executable, "-c", command]) for command in commands.values()
        ]
    assert [outcome.ended for outcome in outcomes] == list(commands)
    assert [outcome.last for outcome in outcomes] == ["right | wrong", "no device", "began"]
    assert outcomes[2].seconds < 30
    said = (tmp_path / "results.txt").read_text()
    assert said.count("== some: whether it works") == 3
    assert "before\nno device\n\n-- failed after " in said
    rows = quick.table(outcomes).splitlines()
    assert rows[2].startswith("| some | ok | ")
    assert rows[2].endswith(" | 2 | right / wrong |")
    assert len(rows) == 5


def test_the_quick_steps_exist_and_end_within_fifteen_minutes(module) -> None:
    quick = module("gpu_quick")
    assert sum(step.seconds for step in quick.STEPS) <= 13 * 60  # the rest is for installing and starting
    text = quick.STEPS_FILE.read_text()
    assert all(f"\ndef {step.name}() -> None:" in text for step in quick.STEPS)
    found = subprocess.run(
        [sys.executable, BENCHMARKS / "gpu_quick.py", "nothing"], capture_output=True, text=True, check=False
    )
    assert found.returncode == 2
    assert "there is no step nothing" in found.stderr


@pytest.mark.slow
def test_the_quick_steps_run_dry(tmp_path: Path) -> None:
    command = [sys.executable, BENCHMARKS / "gpu_quick.py", "--dry-run", "--results", tmp_path / "results.txt"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + (tmp_path / "results.txt").read_text()
    assert found.stdout.count(" | ok | ") == 12
