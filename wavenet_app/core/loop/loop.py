"""The training loop, shared by audio and images; the only file that knows Lightning."""

from __future__ import annotations

import csv
import io
import logging
import math
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.utilities import move_data_to_device
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from torch import Tensor, nn

from wavenet_app.core.checkpoint import read_checkpoint, write_checkpoint
from wavenet_app.core.errors import UserError
from wavenet_app.core.files import write_whole
from wavenet_app.core.loop.interrupts import handlers_restored, note_interrupts
from wavenet_app.core.loop.process_group import ProcessGroup, process_group

HistoryRow = dict[str, float]


class Task(ABC):
    """What is to be learned: a model, its data, its loss and its score, all that the loop does not want to know.

    With more than one process it is pickled, and each process learns on its own copy.

    Attributes:
        model: the module whose parameters are trained.
        kind: kind of the checkpoints, as `checkpoint.read_checkpoint` asks for it.
        loss_measure: what the loss is called in the logs, such as "bits".
        score_measure: what the score is called there.
        higher_is_better: whether a better model has a higher score.
    """

    model: nn.Module
    kind: str
    loss_measure: str
    score_measure: str
    higher_is_better: bool = False

    @abstractmethod
    def training_batches(self, start_step: int, rank: int, world_size: int) -> Iterable[Any]:
        """Returns batches without end; the first is the one that step `start_step` of any run would see.

        Process `rank` of `world_size` gets batches that no other process gets.
        """

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
    def tally(self, model: nn.Module, batch: Any) -> Tensor:
        """Returns what the averaged `model` makes of a validation batch, as numbers that add up over batches.

        Such as the sum of a score and the count to divide it by, or a confusion matrix; always of the same shape.
        """

    @abstractmethod
    def score(self, tally: Tensor) -> float:
        """Returns the score that follows from the sum of all tallies (float64, on the CPU); nan if nothing counted."""

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
        processes: processes that take each step together, each with a batch of its own.
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
    processes: int = 1
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
        best: best validation score.
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
    status = _status(task, resume)
    if _progress(plan, status) >= 1:
        return status
    with process_group(plan.processes, partial(_follow, task, plan, resume)) as group:
        return _fit(task, plan, watcher, resume, group)


def _follow(task: Task, plan: FitPlan, resume: dict[str, Any] | None, group: ProcessGroup) -> None:
    with quiet_lightning():
        _fit(task, plan, Watcher(), resume, group)


def _fit(task: Task, plan: FitPlan, watcher: Watcher, resume: dict[str, Any] | None, group: ProcessGroup) -> FitStatus:
    loop = _Loop(task, plan, watcher, resume, group)
    trainer = lightning.Trainer(
        accelerator=plan.accelerator,
        devices=1,
        precision=plan.precision,
        max_steps=-1,
        max_epochs=-1,
        gradient_clip_val=plan.gradient_clip,
        num_sanity_val_steps=0,
        logger=_loggers(plan) if group.leads else False,
        log_every_n_steps=50,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    # Lightning sets handlers of its own when it begins, so the loop sets ours after that, within these
    with handlers_restored():
        trainer.fit(loop, task.training_batches(loop.status.step, group.rank, group.size))
    return loop.status


def read_unfinished(path: Path, kind: str, otherwise: str) -> dict[str, Any]:
    """Returns the content of a checkpoint that `fit` can go on from.

    Args:
        path: the file.
        kind: as the task has it.
        otherwise: what to do if it cannot be gone on from.

    Raises:
        UserError: the file cannot be read, is of another kind, or was exported.
    """
    content = read_checkpoint(path, kind)
    if "training" not in content:
        raise UserError(f"{path} was exported without its training state; {otherwise}")
    return content


def score_of(task: Task, model: nn.Module, batches: Iterable[Any]) -> float:
    """Returns the score of a model over batches; nan where nothing counts."""
    summed = _summed_tally(task, model, batches)
    return math.nan if summed is None else task.score(summed)


def _summed_tally(task: Task, model: nn.Module, batches: Iterable[Any]) -> Tensor | None:
    """Returns the sum of the tallies, None of no batch at all."""
    device = next(model.parameters()).device
    summed: Tensor | None = None
    with torch.inference_mode():
        for batch in batches:
            # doubles count exactly to 2^53; not every device has them
            tally = task.tally(model, move_data_to_device(batch, device)).cpu().double()
            summed = tally if summed is None else summed + tally
    return summed


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Holds back Lightning's talk of devices and tips while another view is on the screen."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning.*")
            yield
    finally:
        logger.setLevel(level)


def training_device() -> str:
    """Returns "cuda", "mps" or "cpu": the first that this machine has, as Lightning chooses.

    Raises:
        UserError: torch sees a GPU that nothing can be computed on; training on the CPU takes so much longer that it is
            for the user to choose.
    """
    if torch.cuda.is_available():
        try:
            torch.zeros(1, device="cuda")
        except (RuntimeError, AssertionError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise UserError(
                f"the GPU cannot be used ({reason}); mend that, or train on the CPU by setting CUDA_VISIBLE_DEVICES=-1"
            ) from None
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def multiplies_bfloat16(device: str) -> bool:
    """Returns whether the hardware multiplies bfloat16 natively.

    Args:
        device: "cpu", "cuda" or "mps".
    """
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device == "cpu":
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return False


def _status(task: Task, resume: dict[str, Any] | None) -> FitStatus:
    if resume is None:
        return FitStatus(best=-math.inf if task.higher_is_better else math.inf)
    training = resume["training"]
    return FitStatus(
        step=training["step"],
        seconds=training["seconds"],
        loss=training["loss"],
        best=training["best"],
        history=list(resume["history"]),
    )


def _progress(plan: FitPlan, status: FitStatus) -> float:
    by_steps = status.step / plan.max_steps if plan.max_steps else 0.0
    by_clock = status.seconds / (60 * plan.minutes) if plan.minutes else 0.0
    return min(1.0, max(by_steps, by_clock))


class _Loop(lightning.LightningModule):
    """One process's part: it steps on its own batches; the leader also decides, tells and writes."""

    def __init__(
        self, task: Task, plan: FitPlan, watcher: Watcher, resume: dict[str, Any] | None, group: ProcessGroup
    ) -> None:
        super().__init__()
        self.task, self.plan, self.watcher, self.group = task, plan, watcher, group
        self.model = task.model
        self.averaged = deepcopy(task.model).requires_grad_(False)
        self.resumed = resume["training"] if resume else None
        if resume:
            self.model.load_state_dict(resume["training"]["weights"])
            self.averaged.load_state_dict(resume["weights"])
        self.status = _status(task, resume)
        self.earlier_seconds = self.status.seconds
        self.started = self.written = self.validated = time.monotonic()
        self.paused = 0.0
        self.work_done = 0.0
        self.first_step = self.status.step
        self.running = torch.tensor(0.0)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        optimizer = self.task.optimizer()
        for group in optimizer.param_groups:
            group["greatest_lr"] = group["lr"]
        if self.resumed:
            optimizer.load_state_dict(self.resumed["optimizer"])
        return optimizer

    def on_train_start(self) -> None:
        self.started = self.written = self.validated = time.monotonic()
        if self.group.leads:
            note_interrupts(self._on_interrupt)

    def _on_interrupt(self, name: str) -> None:
        self.status.interrupted = name

    def training_step(self, batch: Any, batch_index: int) -> Tensor:
        loss = self.task.loss(batch)
        self.work_done += self.task.work(batch)
        # a running mean over some fifty steps, kept on the device so that the step does not wait for it
        before = self.running if self.status.step > self.first_step else loss.detach()
        self.running = before.lerp(loss.detach(), 0.02)
        return loss

    def on_after_backward(self) -> None:
        self.group.average_gradients(self.model)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        share = self.task.learning_rate_share(self.status.step, _progress(self.plan, self.status))
        for group in optimizer.param_groups:
            group["lr"] = group["greatest_lr"] * share

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_index: int) -> None:
        status = self.status
        now = time.monotonic()
        status.step += 1
        status.seconds = self.earlier_seconds + now - self.started
        status.progress = _progress(self.plan, status)
        training_seconds = status.seconds - self.earlier_seconds - self.paused
        status.rate = self.group.size * self.work_done / max(training_seconds, 1e-9)
        self._average()
        if status.step % 10 == 0:
            self._check_loss()
        self.watcher.on_step(status)
        validates, stops = self._agree(now)
        if validates or stops:
            self._validate()
        elif self.group.leads and now - self.written > self.plan.checkpoint_seconds:
            self._check_loss()
            self._write("last")
        if stops:
            self.trainer.should_stop = True

    def _agree(self, now: float) -> tuple[bool, bool]:
        """Takes the leader's clock, and its word on whether to validate and whether to stop."""
        status = self.status
        due = now - self.validated >= self.plan.validate_seconds
        asked = status.interrupted is not None
        status.seconds, validates, interrupted = self.group.leaders([status.seconds, due, asked])
        return bool(validates), bool(interrupted) or _progress(self.plan, status) >= 1

    def on_train_end(self) -> None:
        if self.group.leads:
            self._check_loss()
            self._write("last")

    def _validate(self) -> None:
        began = time.monotonic()
        self.averaged.eval()
        self._take_leaders_buffers()
        mine = islice(self.task.validation_batches(), self.group.rank, None, self.group.size)
        with self.trainer.precision_plugin.forward_context():
            summed = self._over_all_processes(_summed_tally(self.task, self.averaged, mine))
        if self.group.leads:
            self._check_loss()
            self._record(math.nan if summed is None else self.task.score(summed))
        self.validated = time.monotonic()
        self.paused += self.validated - began

    def _take_leaders_buffers(self) -> None:
        """Gives the averaged model the leader's buffers, which its checkpoint holds, that the score be of that.

        Such as batch norm's statistics, which each process takes from its own batches.
        """
        buffers = list(self.averaged.buffers())
        if self.group.size == 1 or not buffers:
            return
        theirs = torch.tensor(
            self.group.leaders(torch.cat([one.flatten().double() for one in buffers]).tolist()), dtype=torch.float64
        )
        for own, values in zip(buffers, theirs.split([one.numel() for one in buffers]), strict=True):
            own.copy_(values.view_as(own))

    def _over_all_processes(self, summed: Tensor | None) -> Tensor | None:
        """Returns the sum over all processes; one that got no batch takes its shape from the leader, who gets first."""
        if self.group.size == 1:
            return summed
        numel = int(self.group.leaders([0 if summed is None else summed.numel()])[0])
        own = [0.0] * numel if summed is None else summed.flatten().tolist()
        total = torch.tensor(self.group.sums(own), dtype=torch.float64)
        return (total if summed is None else total.view(summed.shape)) if numel else None

    def _record(self, score: float) -> None:
        status = self.status
        row = {
            "step": status.step,
            "seconds": round(status.seconds, 3),
            "train": status.loss,
            "validation": score,
            "learning_rate": self.trainer.optimizers[0].param_groups[0]["lr"],
        }
        status.history.append(row)
        status.improved = score > status.best if self.task.higher_is_better else score < status.best
        if status.improved:
            status.best = score
            self._write("best")
        for logger in self.trainer.loggers:
            logger.log_metrics(
                {f"{self.task.loss_measure}/train": row["train"], f"{self.task.score_measure}/validation": score},
                status.step,
            )
            logger.log_metrics({"learning_rate": row["learning_rate"], "rate": status.rate}, status.step)
        self._write("last")
        self.watcher.on_validation(status, self.averaged, self._tensorboard())

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
