"""Kills a training by SIGKILL at random moments and resumes it until it ends; are its weights those of an unbroken run?

    python benchmarks/kill_and_resume.py --kills 20 [--processes 1] [--steps 40]

Trains the preset `tiny` on six generated tones and writes a checkpoint at every step. Only the first process is killed,
as the system does where memory runs out, so the others have to end by themselves. A kill comes a random number of
checkpoints after the start, or at any moment before the first. Runs follow each other until all kills are spent. The
processes are forked from one that has imported torch, so that little time goes to starting. Prints one line.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from itertools import count
from pathlib import Path

import numpy as np
import soundfile
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import cli  # noqa: E402
import wavenet_app.training.command  # noqa: E402, F401 - for the forked processes
from wavenet_app.core.checkpoint import read_checkpoint  # noqa: E402

RATE = 8_000
POLL_SECONDS = 0.002
PATIENCE_SECONDS = 300.0
ORPHAN_SECONDS = 60.0
SMALL = ("--preset", "tiny", "--logger", "none", "--set=training.window=1024", "--set=training.checkpoint_seconds=0")


def write_tones(folder: Path) -> None:
    folder.mkdir()
    times = np.arange(RATE // 2) / RATE
    for number in range(6):
        soundfile.write(folder / f"{number}.wav", 0.5 * np.sin(2 * np.pi * 220 * 2 ** (number / 6) * times), RATE)


def started(folder: Path, *arguments: str) -> int:
    """Runs a command in a forked process of its own session, and returns the process's number."""
    number = os.fork()
    if number:
        return number
    os.setsid()
    os.chdir(folder)
    log = os.open(folder / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.argv = ["wavegen", *arguments]
    try:
        cli.main()
    except SystemExit as end:
        os._exit(int(end.code or 0))
    finally:
        os._exit(1)


def ended(number: int) -> int | None:
    """Returns the exit code of a process, None while it runs."""
    done, status = os.waitpid(number, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if done else None


def killed(number: int, last: Path, choose: random.Random) -> bool:
    """Kills a training at a random moment; returns False if it ended before."""
    checkpoints, began = choose.choice((0, 1, 1, 2, 3, 5)), time.monotonic()
    delay = choose.uniform(0, 5.0 if checkpoints == 0 else 0.1)
    seen, before = 0, _written(last)
    while seen < checkpoints or time.monotonic() - began < delay:
        code = ended(number)
        if code is not None:
            if code:
                raise SystemExit(f"a training ended with exit code {code}; see {last.parents[3] / 'log.txt'}")
            return False
        if time.monotonic() - began > PATIENCE_SECONDS:
            raise SystemExit("a training writes no checkpoint")
        if _written(last) != before:
            seen, before = seen + 1, _written(last)
            began = time.monotonic()
        time.sleep(POLL_SECONDS)
    os.kill(number, signal.SIGKILL)
    os.waitpid(number, 0)
    return True


def _written(last: Path) -> int:
    return last.stat().st_mtime_ns if last.exists() else 0


def orphans(session: int) -> int:
    """Waits until all processes of a session have ended; returns how many did not, and ends them."""
    deadline = time.monotonic() + ORPHAN_SECONDS
    while left := _in_session(session):
        if time.monotonic() > deadline:
            os.killpg(session, signal.SIGKILL)
            return len(left)
        time.sleep(0.05)
    return 0


def _in_session(session: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def tensors(value: object, name: str = "") -> dict[str, torch.Tensor]:
    """Returns all tensors of a checkpoint by the path to them."""
    if isinstance(value, torch.Tensor):
        return {name: value}
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    return {path: tensor for key, one in pairs for path, tensor in tensors(one, f"{name}.{key}").items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--processes", type=int, help="of the training (default: as wavegen chooses)")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    choose, began = random.Random(options.seed), time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="kill_and_resume_"))
    write_tones(folder / "tones")
    fixed = [] if options.processes is None else [f"--set=training.processes={options.processes}"]
    command = ["train", str(folder / "tones"), *SMALL, *fixed, "--max-steps", str(options.steps), "--data-dir", "data"]

    def last_of(name: str) -> Path:
        return folder / "data" / "checkpoints" / name / "last.pth"

    whole = started(folder, *command, "--name", "whole")
    if os.waitstatus_to_exitcode(os.waitpid(whole, 0)[1]):
        raise SystemExit(f"the unbroken run failed; see {folder / 'log.txt'}")
    expected = tensors(read_checkpoint(last_of("whole"), "wavenet"))
    kills = early = left = runs = equal = 0
    for number in count(1):
        name = f"run{number}"
        while True:
            resumed = last_of(name).exists()
            arguments = ["train", "--resume", name, "--data-dir", "data"] if resumed else [*command, "--name", name]
            process = started(folder, *arguments)
            if kills == options.kills:
                if os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]):
                    raise SystemExit(f"the last run failed; see {folder / 'log.txt'}")
                break
            if not killed(process, last_of(name), choose):
                break
            kills += 1
            early += not last_of(name).exists()
            left += orphans(process)
        found = tensors(read_checkpoint(last_of(name), "wavenet"))
        runs += 1
        equal += found.keys() == expected.keys() and all(torch.equal(found[key], expected[key]) for key in expected)
        if kills >= options.kills:
            break
    processes = read_checkpoint(last_of("whole"), "wavenet")["config"]["training"]["processes"]
    print(
        f"{kills} kills ({early} before the first checkpoint) in {runs} runs of {options.steps} steps with {processes} "
        f"processes: {equal} of {runs} end with the {len(expected)} tensors of an unbroken run, bit for bit; {left} "
        f"processes stayed behind; {time.monotonic() - began:.0f} s"
    )
    sys.exit(0 if equal == runs and not left else 1)


if __name__ == "__main__":
    main()
