"""Kills one rank of a training that torchrun has started, by SIGKILL at random moments: do all others end, and when?

    python benchmarks/kill_ranks.py --kills 20

Trains the preset `tiny` on six generated tones in two processes, and writes a checkpoint at every step. A kill hits one
of the ranks up to two seconds after the first checkpoint. Then torchrun and every process must end within a minute, and
last.pth must be whole: the last run resumes in one process, then in two. Prints one line.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kill_and_resume import SMALL, orphans, write_tones

from wavenet_app.core.checkpoint import read_checkpoint

MOST_SECONDS = 60.0
PRINTED = "printed.txt"  # what the last training printed


def started(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Starts two ranks by torchrun, in a session of their own."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--max-restarts", "0"]
    return subprocess.Popen(
        [sys.executable, *launcher, "-m", "wavenet_app", "train", *arguments],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "WAVEGEN_DATA": str(folder / "data")},
        stdout=(folder / PRINTED).open("wb"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def rank_process(launcher: int, rank: int) -> int:
    """Returns the process of a rank; torchrun is its parent."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            environment = (folder / "environ").read_bytes().split(b"\0")
        except (OSError, ValueError):
            continue
        if parent == launcher and f"RANK={rank}".encode() in environment:
            return int(folder.name)
    raise SystemExit(f"torchrun has no process of rank {rank}")


def killed(folder: Path, name: str, drawn: random.Random) -> float:
    """Kills one rank of a new run; returns the seconds until torchrun has ended."""
    last = folder / "data" / "checkpoints" / name / "last.pth"
    training = started(folder, "tones", "--name", name, "--max-steps", "1000000", "--start-from", "none", *SMALL)
    while not last.exists():
        if training.poll() is not None:
            print((folder / PRINTED).read_text())
            raise SystemExit(f"the training ended by itself with {training.returncode}")
        time.sleep(0.01)
    victim = rank_process(training.pid, drawn.randrange(2))
    time.sleep(drawn.uniform(0, 2))
    os.kill(victim, signal.SIGKILL)
    began = time.monotonic()
    if training.wait() == 0:
        raise SystemExit("torchrun ended with 0, although a rank was killed")
    seconds = time.monotonic() - began
    if orphans(training.pid):
        raise SystemExit("a process stayed behind")
    read_checkpoint(last, "wavenet")
    return seconds


def main() -> None:
    """Kills, measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    drawn = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        write_tones(folder / "tones")
        seconds = []
        for number in range(options.kills):
            seconds.append(killed(folder, f"run{number}", drawn))
            print(f"kill {number + 1}: all ended after {seconds[-1]:.1f} s", file=sys.stderr)
        name = f"run{options.kills - 1}"
        last = folder / "data" / "checkpoints" / name / "last.pth"
        steps = [read_checkpoint(last, "wavenet")["training"]["step"]]
        for processes in (1, 2):
            more = ["--resume", name, "--max-steps", str(steps[-1] + 3), "--devices", str(processes)]
            subprocess.run(
                [sys.executable, "-m", "wavenet_app", "train", *more, "--logger", "none"],
                env={**os.environ, "WAVEGEN_DATA": str(folder / "data")},
                stdout=subprocess.DEVNULL,
                check=True,
            )
            steps.append(read_checkpoint(last, "wavenet")["training"]["step"])
    in_time = sum(one < MOST_SECONDS for one in seconds)
    print(
        f"{options.kills} kills: {in_time} ended within {MOST_SECONDS:.0f} s (median {statistics.median(seconds):.1f}, "
        f"longest {max(seconds):.1f} s); no process stayed behind; {options.kills} checkpoints are whole; resumed from "
        f"2 processes in 1 and in 2: steps {' -> '.join(map(str, steps))}"
    )


if __name__ == "__main__":
    main()
