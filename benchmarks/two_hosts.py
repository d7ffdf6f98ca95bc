"""Trains in two network namespaces, which are two hosts to the kernel, and in two processes of one host: same weights?

    sudo python benchmarks/two_hosts.py AUDIO --preset small --steps 60

The namespaces are joined by a virtual cable that `tc` shapes to `--gigabits`; add `--delay` (milliseconds, one way)
where the kernel has netem. Each one runs torchrun, as the page "Several GPUs and machines" says. Prints seconds a step
of both, the bytes that each host sent a step, and whether the weights are equal, bit for bit.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from wavenet_app.core.checkpoint import read_checkpoint

HOSTS = (("wavegen-a", "cable-a", "10.9.0.1"), ("wavegen-b", "cable-b", "10.9.0.2"))


def root(*command: str) -> None:
    """Runs a command of the system, and ends with its error if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr.strip()}")


@contextmanager
def two_hosts(gigabits: float, delay: float) -> Iterator[None]:
    """Makes the namespaces and the cable, and removes them."""
    for namespace, _, _ in HOSTS:
        root("ip", "netns", "add", namespace)
    try:
        root("ip", "link", "add", HOSTS[0][1], "type", "veth", "peer", "name", HOSTS[1][1])
        for namespace, cable, address in HOSTS:
            root("ip", "link", "set", cable, "netns", namespace)
            inside = ("ip", "netns", "exec", namespace)
            root(*inside, "ip", "addr", "add", f"{address}/24", "dev", cable)
            root(*inside, "ip", "link", "set", cable, "up")
            root(*inside, "ip", "link", "set", "lo", "up")
            rate = ("rate", f"{gigabits}gbit", "burst", "256kb", "latency", "20ms")
            root(*inside, "tc", "qdisc", "add", "dev", cable, "root", "handle", "1:", "tbf", *rate)
            if delay:
                root(*inside, "tc", "qdisc", "add", "dev", cable, "parent", "1:1", "netem", "delay", f"{delay}ms")
        yield
    finally:
        for namespace, _, _ in HOSTS:
            subprocess.run(["ip", "netns", "del", namespace], check=False)


def sent(namespace: str, cable: str) -> int:
    """Returns the bytes that a host has sent."""
    command = ["ip", "netns", "exec", namespace, "cat", "/proc/net/dev"]
    table = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    line = next(line for line in table.splitlines() if line.strip().startswith(f"{cable}:"))
    return int(line.partition(":")[2].split()[8])


def train(name: str, arguments: argparse.Namespace, launcher: list[str]) -> list[str]:
    """Returns the command of a training."""
    options = [
        "--name",
        name,
        "--preset",
        arguments.preset,
        "--max-steps",
        str(arguments.steps),
        "--start-from",
        "none",
    ]
    return [sys.executable, *launcher, "-m", "wavenet_app", "train", arguments.audio, *options, "--logger", "none"]


def on_two_hosts(arguments: argparse.Namespace, environment: dict[str, str]) -> float:
    """Trains; returns the bytes that a host sent for each step, with those of the start."""
    running = []
    for number, (namespace, cable, address) in enumerate(HOSTS):
        launcher = ["-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1", "--rdzv-backend", "c10d"]
        launcher += ["--rdzv-endpoint", f"{HOSTS[0][2]}:29500", "--rdzv-conf", f"is_host={int(number == 0)}"]
        launcher += ["--local-addr", address]
        command = [*train("two-hosts", arguments, launcher), "--nodes", "2"]
        running.append(
            subprocess.Popen(
                ["ip", "netns", "exec", namespace, *command],
                env={**environment, "GLOO_SOCKET_IFNAME": cable},
                stdout=subprocess.DEVNULL,
            )
        )
    codes = [process.wait() for process in running]
    if any(codes):
        raise SystemExit("a training failed")
    return sent(HOSTS[1][0], HOSTS[1][1]) / arguments.steps


def main() -> None:
    """Trains, compares and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("audio", help="folder of recordings")
    parser.add_argument("--preset", default="small")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--gigabits", type=float, default=1.0)
    parser.add_argument("--delay", type=float, default=0.0)
    arguments = parser.parse_args()
    arguments.audio = str(Path(arguments.audio).resolve())
    with tempfile.TemporaryDirectory() as data:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "WAVEGEN_DATA": data}
        subprocess.run(
            [*train("one-host", arguments, []), "--devices", "2"],
            env=environment,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        with two_hosts(arguments.gigabits, arguments.delay):
            traffic = on_two_hosts(arguments, environment)
        runs = {name: Path(data) / "checkpoints" / name for name in ("one-host", "two-hosts")}
        one, two = (read_checkpoint(run / "last.pth", "wavenet")["training"]["weights"] for run in runs.values())
        equal = all(torch.equal(one[name], two[name]) for name in one)
        for name, run in runs.items():
            with (run / "metrics.csv").open(newline="") as table:
                rows = list(csv.DictReader(table))
            steps, seconds = int(rows[-1]["step"]), float(rows[-1]["seconds"])
            print(f"{name}: {seconds / steps:.3f} s a step over {steps} steps")
    numbers = sum(tensor.numel() for tensor in one.values())
    print(f"gradients {4 * numbers / 1e6:.2f} MB; each host sent {traffic / 1e6:.2f} MB a step, start included")
    print(f"weights equal, bit for bit: {equal}")


if __name__ == "__main__":
    main()
