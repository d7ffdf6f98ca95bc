"""Training with several processes on the CPUs of one machine: speed-up, and what communication takes of a step.

    python benchmarks/training_scaling.py small base

Each row trains on equal windows of random codes, in bfloat16 where the processor multiplies it. The rows of a preset
alternate over the rounds; the table shows medians. Weak scaling gives each process the batch that one has alone;
strong scaling divides that batch. "apart" are processes that share nothing: what the machine allows. "exchange" is the
time of the one sum over the gradients where all processes begin it together, "waiting" the rest of the time in it: for
a process that is late.
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import torch
import torch.distributed
from torch import nn
from train_speed import machine

from wavenet_app.config import preset
from wavenet_app.core.loop.process_group import ProcessGroup, process_group
from wavenet_app.heads import mean_bits
from wavenet_app.network.model import WaveNet, product_dtype

WARM_UP = 3
EXCHANGES = 30


class Row(NamedTuple):
    """One way to train.

    Attributes:
        processes: number of processes.
        threads: of each process.
        batch: windows of each process.
        exchanges: whether the processes average their gradients; without, they show what the machine allows.
    """

    processes: int
    threads: int
    batch: int
    exchanges: bool = True


def take_steps(name: str, row: Row, window: int, steps: int, folder: Path, group: ProcessGroup) -> None:
    """Trains in one rank and writes seconds a step, in the average, and of an exchange, to the folder."""
    torch.set_num_threads(row.threads)
    config = preset(name).model.model_copy(update={"prediction": None})
    model = WaveNet(config, torch.Generator().manual_seed(0))
    model.product_dtype = product_dtype("auto", "cpu", model.head)
    codes = torch.randint(256, (row.batch, window + 1), generator=torch.Generator().manual_seed(group.rank))
    mask = torch.ones(row.batch, window, dtype=torch.bool)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    weight = mask.sum()

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        loss = mean_bits(model.head.bits(model(codes[:, :-1]), codes[:, 1:]), mask)
        group.own_sum(loss, weight).backward()
        began = time.perf_counter()
        if row.exchanges:
            group.average_gradients(model, loss.detach(), weight)
        taken = time.perf_counter() - began
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return taken

    for _ in range(WARM_UP):
        step()
    group.sum([0.0])
    began = time.perf_counter()
    averaging = sum(step() for _ in range(steps))
    seconds = (time.perf_counter() - began) / steps
    exchanges = []
    for _ in range(EXCHANGES):
        group.sum([0.0])
        started = time.perf_counter()
        group.average_gradients(model, torch.tensor(0.0), weight)
        exchanges.append(time.perf_counter() - started)
    numbers = sum(parameter.numel() for parameter in model.parameters())
    result = [seconds, averaging / steps, statistics.median(exchanges), numbers]
    (folder / str(group.rank)).write_text(json.dumps(result))


def measured(name: str, row: Row, window: int, steps: int) -> list[float]:
    """Returns seconds a step, in the average, of an exchange, and the number of parameters, of the slowest rank."""
    with tempfile.TemporaryDirectory() as folder:
        part = functools.partial(take_steps, name, row, window, steps, Path(folder))
        with process_group(row.processes, part) as group:
            part(group)
        found = [json.loads(path.read_text()) for path in Path(folder).iterdir()]
    return [max(column) for column in zip(*found, strict=True)]


def compare(name: str, rows: list[Row], window: int, rounds: int, steps: int) -> None:
    """Prints the rows of a preset; the first one is what the others are compared with."""
    found: dict[Row, list[list[float]]] = {row: [] for row in rows}
    for _ in range(rounds):
        for row, results in found.items():
            results.append(measured(name, row, window, steps))
    rates = {}
    for row, results in found.items():
        seconds, averaging, exchange, parameters = (statistics.median(column) for column in zip(*results, strict=True))
        rates[row] = row.processes * row.batch * window / seconds
        alone = next(rates[one] for one in rates if one.processes == 1 and one.threads == 1)
        shares = "| | "
        exchanges = row.processes > 1 and row.exchanges
        if exchanges:
            shares = f"| {exchange / seconds:.1%} | {max(0.0, averaging - exchange) / seconds:.1%} "
        sent = f"{4 * parameters / 1e6:.2f} MB" if exchanges else ""
        windows = f"{row.processes} x {row.batch}{'' if row.exchanges else ' apart'}"
        print(
            f"| {name} | {windows} | {row.threads} | {1000 * seconds:.0f} | {rates[row]:,.0f} | "
            f"{rates[row] / alone:.2f} {shares}| {sent} |",
            flush=True,
        )


def main() -> None:
    """Measures all presets and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("presets", nargs="*", default=["small", "base"])
    parser.add_argument("--window", type=int, default=6144)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    many = arguments.processes
    print(machine("cpu"))
    print("| preset | windows | threads each | ms a step | samples/s | speed-up | exchange | waiting | sent a step |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in arguments.presets:
        rows = [Row(1, 1, 1), Row(1, many, 1), Row(many, 1, 1), Row(many, 1, 1, exchanges=False), Row(1, 1, many)]
        compare(name, rows, arguments.window, arguments.rounds, arguments.steps)


if __name__ == "__main__":
    main()
