"""The training loop, shared by audio and images; the only file that knows Lightning."""

from __future__ import annotations

import csv
import io
import math
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import lightning
import torch
from lightning.fabric.utilities import move_data_to_device
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from torch import Tensor, nn

from wavenet_app.checkpoint import write_checkpoint
from wavenet_app.errors import UserError
from wavenet_app.files import write_whole

HistoryRow = dict[str, float]


class Task(ABC):
    """What is to be learned: a model, its data, its loss and its score, all that the loop does not want to know.

    Attributes:
        model: the module whose parameters are trained.
        kind: kind of the checkpoints, as `checkpoint.read_checkpoint` asks for it.
        measure: what loss and score are called in the logs, such as "bits"; lower is better.
    """

    model: nn.Module
    kind: str
    measure: str

    @abstractmethod
    def training_batches(self, start_step: int) -> Iterable[Any]:
        """Returns batches without end; the first is the one that step `start_step` of any run would see."""

    @abstractmethod
    def validation_batches(self) -> Iterable[Any]:
        """Returns the batches that the score is taken on, the same ones every time."""

    @abstractmethod
    def optimizer(self) -> torch.optim.Optimizer:
        """Returns the optimizer; each group's "lr" is its greatest learning rate."""

    @abstractmethod
    def learning_rate_share(self, step: int, progress: float) -> float:
        """Returns the share, 0 to 1, of the greatest learning rate at a step, `progress` (0 to 1) into the budget."""

    @abstractmethod
    def loss(self, batch: Any) -> Tensor:
        """Returns the scalar to be minimised."""

    @abstractmethod
    def score(self, model: nn.Module, batch: Any) -> tuple[Tensor, Tensor]:
        """Returns the sum of the score over a validation batch, by the averaged `model`, and what to divide it by."""

    @abstractmethod
    def work(self, batch: Any) -> float:
        """Returns how much a training batch holds, in what progress is told in, such as seconds of audio."""

    @abstractmethod
    def content(self) -> dict[str, Any]:
        """Returns what checkpoints say beside the weights: config and all that using the model needs."""


@dataclass(frozen=True)
class FitPlan:
    """How long, how often and where to.

    Attributes:
        run_dir: folder of last.pth, best.pth and metrics.csv.
        tensorboard_dir: folder of the TensorBoard events; None for none.
        wandb_dir: folder that holds Weights & Biases' `wandb` folder; None for none.
        max_steps: optimizer steps in all, resumed ones included; None for no such limit.
        minutes: wall-clock minutes in all, resumed ones included; None for no such limit.
        gradient_clip: greatest norm of the gradient.
        ema_decay: decay of the averaged weights; it is reached by warm-up, (1 + step) / (10 + step).
        validate_seconds: time between validations.
        checkpoint_seconds: time between writings of last.pth.
        precision: Lightning's precision, such as "32-true" or "bf16-mixed".
        accelerator: Lightning's accelerator, such as "auto", "cpu" or "gpu".
    """

    run_dir: Path
    tensorboard_dir: Path | None
    wandb_dir: Path | None
    max_steps: int | None
    minutes: float | None
    gradient_clip: float
    ema_decay: float
    validate_seconds: float
    checkpoint_seconds: float
    precision: Any = "32-true"
    accelerator: str = "auto"


@dataclass
class FitStatus:
    """Where a run stands; handed to the watcher, and returned at the end.

    Attributes:
        step: optimizer steps done, resumed ones included.
        seconds: wall-clock seconds spent, resumed ones included.
        progress: share of the budget spent, 0 to 1.
        loss: running mean of the training loss.
        rate: work per second of training, validation not counted.
        history: one row a validation: step, seconds, train, validation, learning_rate.
        best: lowest validation score.
        interrupted: name of the signal that ended the run early, if one did.
        improved: whether the latest validation was the best so far.
    """

    step: int = 0
    seconds: float = 0.0
    progress: float = 0.0
    loss: float = math.nan
    rate: float = math.nan
    history: list[HistoryRow] = field(default_factory=list)
    best: float = math.inf
    interrupted: str | None = None
    improved: bool = False


@dataclass(frozen=True)
class Watcher:
    """What a caller wants to be told; called from the loop, so it should be quick.

    Attributes:
        on_step: called after every step.
        on_validation: called after every validation, with the averaged model and TensorBoard's writer or None.
    """

    on_step: Callable[[FitStatus], None] = lambda _status: None
    on_validation: Callable[[FitStatus, nn.Module, Any], None] = lambda _status, _model, _writer: None


def fit(task: Task, plan: FitPlan, *, watcher: Watcher, resume: dict[str, Any] | None = None) -> FitStatus:
    """Trains until the budget is spent, or SIGINT or SIGTERM asks to stop; leaves last.pth, best.pth and metrics.csv.

    Weights in the checkpoints are the averaged ones, ready for use; the raw ones stand under "training", with all that
    an exact resume needs. A run that is limited by `max_steps` alone, and resumed from any last.pth, ends on the CPU
    with the same bits as one that ran through; under `minutes` the learning rate follows the clock.

    Args:
        task: what to learn.
        plan: how long and where to.
        watcher: whom to tell.
        resume: content of a last.pth to go on from.

    Returns:
        The final status.

    Raises:
        UserError: the loss is no longer a number, or a checkpoint cannot be written.
    """
    loop = _Loop(task, plan, watcher, resume)
    if loop.budget_spent():
        return loop.status
    trainer = lightning.Trainer(
        accelerator=plan.accelerator,
        devices=1,
        precision=plan.precision,
        max_steps=-1,
        max_epochs=-1,
        gradient_clip_val=plan.gradient_clip,
        val_check_interval=timedelta(seconds=plan.validate_seconds),
        num_sanity_val_steps=0,
        logger=_loggers(plan),
        callbacks=[_StopOnSignal(loop.status)],
        log_every_n_steps=50,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    with _handlers_restored():
        trainer.fit(loop, loop.training_loader(), loop.validation_loader())
    return loop.status


def mean_score(task: Task, model: nn.Module, batches: Iterable[Any]) -> float:
    """Returns the mean score of a model over batches; nan where nothing counts."""
    device = next(model.parameters()).device
    total = weight = 0.0
    with torch.inference_mode():
        for batch in batches:
            batch_sum, batch_weight = task.score(model, move_data_to_device(batch, device))
            total += float(batch_sum)
            weight += float(batch_weight)
    return total / weight if weight else math.nan


class _Loop(lightning.LightningModule):
    def __init__(self, task: Task, plan: FitPlan, watcher: Watcher, resume: dict[str, Any] | None) -> None:
        super().__init__()
        self.task, self.plan, self.watcher = task, plan, watcher
        self.model = task.model
        self.averaged = deepcopy(task.model).requires_grad_(False)
        self.resumed = resume["training"] if resume else None
        self.status = FitStatus()
        if resume:
            self.model.load_state_dict(resume["training"]["weights"])
            self.averaged.load_state_dict(resume["weights"])
            self.status.step = resume["training"]["step"]
            self.status.seconds = resume["training"]["seconds"]
            self.status.loss = resume["training"]["loss"]
            self.status.best = resume["training"]["best"]
            self.status.history = list(resume["history"])
        self.earlier_seconds = self.status.seconds
        self.started = time.monotonic()
        self.paused = 0.0
        self.work_done = 0.0
        self.written = self.started
        self.totals = [0.0, 0.0]
        self.validation_began = 0.0
        self.first_step = self.status.step
        self.running = torch.tensor(0.0)

    def training_loader(self) -> Iterable[Any]:
        return self.task.training_batches(self.status.step)

    def validation_loader(self) -> Iterable[Any]:
        return self.task.validation_batches()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        optimizer = self.task.optimizer()
        for group in optimizer.param_groups:
            group["greatest_lr"] = group["lr"]
        if self.resumed:
            optimizer.load_state_dict(self.resumed["optimizer"])
        return optimizer

    def progress(self) -> float:
        plan, status = self.plan, self.status
        by_steps = status.step / plan.max_steps if plan.max_steps else 0.0
        by_clock = status.seconds / (60 * plan.minutes) if plan.minutes else 0.0
        return min(1.0, max(by_steps, by_clock))

    def budget_spent(self) -> bool:
        return self.progress() >= 1

    def on_train_start(self) -> None:
        self.started = self.written = time.monotonic()

    def training_step(self, batch: Any, batch_index: int) -> Tensor:
        loss = self.task.loss(batch)
        self.work_done += self.task.work(batch)
        # a running mean over some fifty steps, kept on the device so that the step does not wait for it
        before = self.running if self.status.step > self.first_step else loss.detach()
        self.running = before.lerp(loss.detach(), 0.02)
        return loss

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        share = self.task.learning_rate_share(self.status.step, self.progress())
        for group in optimizer.param_groups:
            group["lr"] = group["greatest_lr"] * share

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_index: int) -> None:
        status = self.status
        status.step += 1
        status.seconds = self.earlier_seconds + time.monotonic() - self.started
        status.progress = self.progress()
        training_seconds = status.seconds - self.earlier_seconds - self.paused
        status.rate = self.work_done / max(training_seconds, 1e-9)
        self._average()
        if status.step % 10 == 0:
            self._check_loss()
        self.watcher.on_step(status)
        if self.budget_spent():
            self.trainer.should_stop = True
        elif time.monotonic() - self.written > self.plan.checkpoint_seconds:
            self._check_loss()
            self._write("last")

    def on_train_end(self) -> None:
        self._check_loss()
        self._write("last")

    def on_validation_start(self) -> None:
        self.totals = [0.0, 0.0]
        self.validation_began = time.monotonic()

    def validation_step(self, batch: Any, batch_index: int) -> None:
        batch_sum, weight = self.task.score(self.averaged, batch)
        self.totals[0] += float(batch_sum)
        self.totals[1] += float(weight)

    def on_validation_end(self) -> None:
        status = self.status
        score = self.totals[0] / self.totals[1] if self.totals[1] else math.nan
        self._check_loss()
        row = {
            "step": status.step,
            "seconds": round(status.seconds, 3),
            "train": status.loss,
            "validation": score,
            "learning_rate": self.trainer.optimizers[0].param_groups[0]["lr"],
        }
        status.history.append(row)
        status.improved = score < status.best
        if status.improved:
            status.best = score
            self._write("best")
        for logger in self.trainer.loggers:
            logger.log_metrics(
                {f"{self.task.measure}/{name}": row[name] for name in ("train", "validation")}, status.step
            )
            logger.log_metrics({"learning_rate": row["learning_rate"], "rate": status.rate}, status.step)
        self._write("last")
        self.watcher.on_validation(status, self.averaged, self._tensorboard())
        self.paused += time.monotonic() - self.validation_began

    def _average(self) -> None:
        decay = min(self.plan.ema_decay, (1 + self.status.step) / (10 + self.status.step))
        with torch.no_grad():
            averaged: list[Tensor] = list(self.averaged.parameters())
            raw: list[Tensor] = list(self.model.parameters())
            torch._foreach_lerp_(averaged, raw, 1 - decay)
            for kept, buffer in zip(self.averaged.buffers(), self.model.buffers(), strict=True):
                kept.copy_(buffer)

    def _check_loss(self) -> None:
        self.status.loss = float(self.running) if self.status.step > self.first_step else self.status.loss
        if self.status.step > self.first_step and not math.isfinite(self.status.loss):
            raise UserError(
                f"the loss is no longer a number at step {self.status.step}; lower training.learning_rate. "
                f"The checkpoints in {self.plan.run_dir} are from before"
            )

    def _write(self, name: str) -> None:
        status = self.status
        training = {
            "weights": self.model.state_dict(),
            "optimizer": self.trainer.optimizers[0].state_dict(),
            "step": status.step,
            "seconds": status.seconds,
            "loss": status.loss,
            "best": status.best,
        }
        content = {"weights": self.averaged.state_dict(), "history": status.history, "training": training}
        write_checkpoint(self.plan.run_dir / f"{name}.pth", self.task.kind, {**self.task.content(), **content})
        _write_metrics(self.plan.run_dir / "metrics.csv", status.history)
        if name == "last":
            self.written = time.monotonic()

    def _tensorboard(self) -> Any:
        for logger in self.trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                return logger.experiment
        return None


_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _StopOnSignal(lightning.Callback):
    """Ends the loop after the current step at the first SIGINT or SIGTERM; a second one acts as it always did."""

    def __init__(self, status: FitStatus) -> None:
        self.status = status

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        def stop(number: int, _frame: FrameType | None) -> None:
            self.status.interrupted = signal.Signals(number).name
            trainer.should_stop = True
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                signal.signal(number, stop)


@contextmanager
def _handlers_restored() -> Iterator[None]:
    """Puts back the signal handlers of the caller, whatever the loop and Lightning have set."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _loggers(plan: FitPlan) -> list[Logger]:
    loggers: list[Logger] = []
    if plan.tensorboard_dir is not None:
        folder = plan.tensorboard_dir
        loggers.append(TensorBoardLogger(folder.parent, name="", version=folder.name))
    if plan.wandb_dir is not None:
        try:
            from lightning.pytorch.loggers import WandbLogger

            plan.wandb_dir.mkdir(parents=True, exist_ok=True)
            loggers.append(WandbLogger(name=plan.run_dir.name, project="wavegen", save_dir=plan.wandb_dir))
        except ModuleNotFoundError:
            raise UserError(
                "--logger wandb needs the package wandb; install it with: pip install 'wavegen[wandb]'"
            ) from None
    return loggers


def _write_metrics(path: Path, history: list[HistoryRow]) -> None:
    """Writes the history as CSV; whole at every moment, as the checkpoint beside it is."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=["step", "seconds", "train", "validation", "learning_rate"])
    writer.writeheader()
    writer.writerows(history)
    write_whole(path, text.getvalue().encode())
