"""The first fifteen minutes on a GPU: correctness first, then speed, each step in its own process with a time limit.

    python benchmarks/gpu_quick.py [STEP ...] [--results FILE] [--dry-run]

A step that fails or takes too long does not stop the others. Everything that steps print is appended to the file of
results at once, so nothing is lost when the machine is; the table at the end has a line for each step. With --dry-run
all steps run on the CPU with a tiny model and a few samples: kernels are interpreted, and what only a device can do is
left out and said so.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, NamedTuple

DRY_PATIENCE = 10
"""How many times as long a step may take on the CPU, where kernels are interpreted."""

STEPS_FILE = Path(__file__).with_name("gpu_quick_steps.py")


class Step(NamedTuple):
    """A step of the script.

    Attributes:
        name: of a function in `gpu_quick_steps.py`.
        seconds: after which it is ended.
        what: it finds out.
    """

    name: str
    seconds: int
    what: str


STEPS = (
    Step("device", 30, "import, device, clusters of 12 and 16 blocks that fit at a time"),
    Step("floors", 40, "bandwidth of cache and shared memory, barrier, hop"),
    Step("triton", 120, "Triton, small and base: scores against the CPU, 20 repetitions to the bit"),
    Step("cluster", 60, "cluster, small and base: the same, 1 and 8 clips"),
    Step("cluster_speed", 40, "cluster, samples/s of 1 and 8 clips, and of 1 without weights in registers"),
    Step("triton_speed", 60, "Triton, one clip, with 1 and 3 stages"),
    Step("tiles", 100, "Triton tiles: 1,024 clips in 16 rows with 1 and 3 stages, and in 32; 4,096 in 16 and 32"),
    Step("pipeline", 55, "pipeline, small and base: the same with 40 clips, and samples/s of 1,024 and 4,096"),
    Step("graph", 45, "graph engine, 1 and 128 clips"),
    Step("training", 100, "40 steps of base, 16 windows, against the textbook net"),
    Step("step_graphs", 70, "a training step of base as operations, as Triton's kernels, and each as a CUDA graph"),
    Step("top_p", 60, "Triton, 40 clips with top-p"),
)


class Outcome(NamedTuple):
    """How a step ended.

    Attributes:
        step: which.
        ended: "ok", "failed" or "too long".
        seconds: it took.
        last: line that it printed.
    """

    step: Step
    ended: str
    seconds: float
    last: str


def run_step(step: Step, dry: bool, results: IO[str], command: Sequence[str] | None = None) -> Outcome:
    """Runs a step in a process of its own and appends what it prints to the results.

    Args:
        step: which.
        dry: whether it runs on the CPU.
        results: an open file.
        command: what runs the step; None for `gpu_quick_steps.py`.
    """
    environment = os.environ | ({"TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": ""} if dry else {})
    command = command or [sys.executable, str(STEPS_FILE), step.name, *(["--dry-run"] if dry else [])]
    results.write(f"\n== {step.name}: {step.what}\n")
    results.flush()
    began, lines = time.monotonic(), ""
    # a session of its own, so that what the step starts ends with it
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, start_new_session=True
    ) as process:
        try:
            lines, _ = process.communicate(timeout=step.seconds * (DRY_PATIENCE if dry else 1))
            ended = "ok" if process.returncode == 0 else "failed"
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            lines, _ = process.communicate()
            ended = "too long"
    seconds = time.monotonic() - began
    results.write(f"{lines}\n-- {ended} after {seconds:.0f} s\n")
    results.flush()
    said = [line for line in lines.splitlines() if line.strip()]
    return Outcome(step, ended, seconds, said[-1] if said else "")


def table(outcomes: Sequence[Outcome]) -> str:
    """Returns a table with a line for each step."""
    lines = ["| step | | seconds | limit | last line |", "|---|---|---|---|---|"]
    for step, ended, seconds, last in outcomes:
        lines.append(f"| {step.name} | {ended} | {seconds:.0f} | {step.seconds} | {last[:160].replace('|', '/')} |")
    return "\n".join(lines)


def main() -> None:
    """Runs steps and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("steps", nargs="*", metavar="STEP", help=f"of: {', '.join(step.name for step in STEPS)}")
    parser.add_argument("--results", type=Path, default=Path("gpu-quick.txt"))
    parser.add_argument("--dry-run", action="store_true", help="on the CPU, with a tiny model")
    arguments = parser.parse_args()
    unknown = set(arguments.steps) - {step.name for step in STEPS}
    if unknown:
        parser.error(f"there is no step {', '.join(sorted(unknown))}")
    chosen = [step for step in STEPS if not arguments.steps or step.name in arguments.steps]
    outcomes = []
    with arguments.results.open("a", encoding="utf-8") as results:
        for step in chosen:
            print(f"{step.name} (at most {step.seconds} s): {step.what}", flush=True)
            outcomes.append(run_step(step, arguments.dry_run, results))
        results.write(f"\n{table(outcomes)}\n")
    print(f"\n{table(outcomes)}\n\nall that was printed: {arguments.results}")
    if any(outcome.ended != "ok" for outcome in outcomes):
        sys.exit(1)


if __name__ == "__main__":
    main()
