"""A minimal training task: a straight line, learned from batches that depend only on their number."""

import itertools
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from wavenet_app.core.checkpoint import read_checkpoint
from wavenet_app.core.loop.plan import FitPlan, FitStatus, Watcher
from wavenet_app.core.loop.task import Task


class Endless(torch.utils.data.IterableDataset):
    """Calls `batch` with start, start + stride, ..."""

    def __init__(self, batch: Callable[[int], Any], start: int, stride: int) -> None:
        self.batch, self.start, self.stride = batch, start, stride

    def __iter__(self) -> Iterator[Any]:
        return map(self.batch, itertools.count(self.start, self.stride))


class Line(Task):
    """Learns y = 3 x + 1 from batches that depend only on their number."""

    kind = "line"
    loss_measure = score_measure = "squares"

    def __init__(self, learning_rate: float = 0.05) -> None:
        self.model = nn.Linear(1, 1)
        with torch.no_grad():
            self.model.weight.zero_()
            self.model.bias.zero_()
        self.rate = learning_rate

    def training_batches(self, start_step: int, rank: int, world_size: int) -> Iterable[Any]:
        return Endless(self._batch, start_step * world_size + rank, world_size)

    def validation_batches(self) -> Iterable[Any]:
        batches = [self._batch(10**6 + number) for number in range(2)]
        return torch.utils.data.DataLoader(batches, batch_size=None, generator=torch.Generator())

    def optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.model.parameters(), lr=self.rate)

    def learning_rate_share(self, step: int, progress: float) -> float:
        return 1 - 0.9 * progress

    def loss(self, batch: Any) -> Tensor:
        return nn.functional.mse_loss(self.model(batch[0]), batch[1])

    def weight(self, batch: Any) -> Tensor:
        return torch.tensor(float(len(batch[0])))

    def tally(self, model: nn.Module, batch: Any) -> Tensor:
        squares = nn.functional.mse_loss(model(batch[0]), batch[1], reduction="sum")
        return torch.stack([squares, torch.tensor(float(len(batch[0])))])

    def score(self, tally: Tensor) -> float:
        squares, count = tally.tolist()
        return squares / count

    def work(self, batch: Any) -> float:
        return len(batch[0])

    def content(self) -> dict[str, Any]:
        return {"config": {"slope": 3}}

    @staticmethod
    def _batch(number: int) -> tuple[Tensor, Tensor]:
        inputs = torch.randn(8, 1, generator=torch.Generator().manual_seed(number))
        return inputs, 3 * inputs + 1


def plan(folder: Path, **changes: Any) -> FitPlan:
    settings: dict[str, Any] = {
        "run_dir": folder,
        "tensorboard_dir": None,
        "wandb_dir": None,
        "max_steps": 60,
        "minutes": None,
        "gradient_clip": 10.0,
        "ema_decay": 0.9,
        "validate_seconds": 0.02,
        "checkpoint_seconds": 0.0,
        "accelerator": "cpu",
    }
    return FitPlan(**{**settings, **changes})


def weights(path: Path) -> tuple[list[Tensor], list[Tensor]]:
    content = read_checkpoint(path, "line")
    return list(content["weights"].values()), list(content["training"]["weights"].values())


def stop_at(step: int, number: signal.Signals):
    def on_step(status: FitStatus) -> None:
        if status.step == step:
            os.kill(os.getpid(), number)

    return Watcher(on_step=on_step)
