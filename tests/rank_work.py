"""What other ranks do in tests of process groups, without an import of Lightning: that takes each rank seconds."""

import os
import signal
import sys
import time
from pathlib import Path

import torch
from torch import nn

from wavenet_app.core.loop.process_group import ProcessGroup


def exchange(folder: Path, group: ProcessGroup) -> None:
    model = nn.Linear(3, 2)
    loss, weight = torch.tensor(10.0 * group.rank), torch.tensor(group.rank + 1)  # weights 1, 2, 3
    for number, parameter in enumerate(model.parameters()):
        parameter.grad = torch.full_like(parameter, group.own_sum(loss, weight).item() + number)
    mean = group.average_gradients(model, loss, weight).item()
    means = [parameter.grad.unique().tolist() for parameter in model.parameters()]
    said = group.broadcast([100.0 + group.rank, 0.5]), group.sum([1.0, group.rank])
    (folder / str(group.rank)).write_text(repr((mean, means, *said)))


def fail(group: ProcessGroup) -> None:
    raise ValueError(f"no such clip on {group.rank}")


def vanish(group: ProcessGroup) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fail_late(folder: Path) -> None:
    (folder / "started").touch()
    time.sleep(2.0)
    (folder / "failure-1").write_text("no such clip", encoding="utf-8")
    sys.exit(1)
