"""The training loop, shared by audio and images: optimizer steps, validations and checkpoints, driven by Lightning."""

from __future__ import annotations

import logging
import math
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice
from typing import Any

import lightning
import torch
from lightning.fabric.plugins.environments import LightningEnvironment
from torch import Tensor

from wavenet_app.core.checkpoint import write_checkpoint
from wavenet_app.core.errors import UserError
from wavenet_app.core.files import keep_as
from wavenet_app.core.loop.averaging import AveragedModel
from wavenet_app.core.loop.checkpoints import checkpoint_content, initial_status, write_metrics
from wavenet_app.core.loop.failures import stopped, without_memory
from wavenet_app.core.loop.graphed_training import GraphedTraining
from wavenet_app.core.loop.interrupts import handlers_restored, note_interrupts
from wavenet_app.core.loop.loggers import finish_loggers, loggers_of
from wavenet_app.core.loop.media import media_of
from wavenet_app.core.loop.plan import FitPlan, FitStatus, Watcher, progress_of
from wavenet_app.core.loop.process_group import ProcessGroup, StartRanks, process_group
from wavenet_app.core.loop.resume import load_optimizer, load_weights
from wavenet_app.core.loop.scoring import summed_tally
from wavenet_app.core.loop.task import Task
from wavenet_app.core.runs import previous_of
from wavenet_app.core.tensors import not_finite

DIVERGED = 1e9
"""A mean loss that no run comes back from; not knowing anything costs 16 bits, a single bad batch far more."""

_LOSS_SHARE = 0.02  # of a step in the running mean of the loss


def fit(
    task: Task,
    plan: FitPlan,
    *,
    watcher: Watcher,
    resume: dict[str, Any] | None = None,
    start_ranks: StartRanks = process_group,
) -> FitStatus:
    """Trains until the budget is spent, or SIGINT or SIGTERM asks to stop; writes last.pth, best.pth and metrics.csv.

    The last.pth before stays as last.previous.pth. Weights in the checkpoints are the averaged ones, ready for use; the
    raw ones stand under "training", with all that an exact resume needs. A run that only `max_steps` limits, resumed
    from any last.pth, ends on the CPU with the same bits as an uninterrupted one; under `minutes` the learning rate
    follows the clock.

    Args:
        task: what to learn.
        plan: how long and where to.
        watcher: what to call after steps and validations.
        resume: content of a last.pth to resume.
        start_ranks: starts the other ranks; by default as processes of this one.

    Returns:
        The final status.

    Raises:
        UserError: the training diverged, or a checkpoint cannot be written.
    """
    status = initial_status(task, resume)
    if progress_of(plan, status) >= 1:
        return status
    with start_ranks(plan.processes, partial(_fit_quietly, task, plan, resume)) as group:
        return _fit(task, plan, watcher, resume, group)


def _fit_quietly(task: Task, plan: FitPlan, resume: dict[str, Any] | None, group: ProcessGroup) -> None:
    with quiet_lightning():
        _fit(task, plan, Watcher(), resume, group)


def _fit(task: Task, plan: FitPlan, watcher: Watcher, resume: dict[str, Any] | None, group: ProcessGroup) -> FitStatus:
    loop = _Loop(task, plan, watcher, resume, group)
    trainer = lightning.Trainer(
        accelerator=plan.accelerator,
        devices=1 if group.device_index is None else [group.device_index],
        plugins=[LightningEnvironment()],  # the ranks are ours: Lightning must not look for a launcher
        precision=plan.precision,
        max_steps=-1,
        max_epochs=-1,
        # steps in graphs clip by themselves
        gradient_clip_val=None if plan.cuda_graphs else plan.gradient_clip,
        num_sanity_val_steps=0,
        logger=loggers_of(plan) if group.is_rank_zero else False,
        log_every_n_steps=50,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    # Lightning sets handlers of its own at the start; the loop sets ours after that, and the caller's come back here
    try:
        with handlers_restored(), _quiet_log_threads():
            trainer.fit(loop, task.training_batches(loop.status.step, group.rank, group.size))
    except BaseException as error:
        loop.save_progress()
        if isinstance(error, SystemExit):
            raise KeyboardInterrupt from None  # Ctrl-C before the first step or a second one: Lightning exits with 1
        if isinstance(error, OSError):
            raise stopped(plan, loop.status, error) from None
        if isinstance(error, torch.OutOfMemoryError):
            raise without_memory(task, loop.status) from None
        raise
    finally:
        finish_loggers(trainer.loggers)
    return loop.status


@contextmanager
def _quiet_log_threads() -> Iterator[None]:
    """Leaves a failed write of TensorBoard's thread to this thread, which gets the same error at its next write."""
    before = threading.excepthook
    threading.excepthook = lambda failure: None if isinstance(failure.exc_value, OSError) else before(failure)
    try:
        yield
    finally:
        threading.excepthook = before


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silences what Lightning prints about devices and tips, while a view of ours is on the screen."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning.*")
            yield
    finally:
        logger.setLevel(level)


class _Loop(lightning.LightningModule):
    """The part of one rank: it steps on its own batches; rank 0 also decides, reports and writes."""

    def __init__(
        self, task: Task, plan: FitPlan, watcher: Watcher, resume: dict[str, Any] | None, group: ProcessGroup
    ) -> None:
        super().__init__()
        self.task, self.plan, self.watcher, self.group = task, plan, watcher, group
        self.model = task.model
        self.average = AveragedModel(task.model, plan.ema_decay)
        self.averaged = self.average.model
        self.resumed = resume["training"] if resume else None
        if resume:
            load_weights(self.model, resume["training"]["weights"])
            load_weights(self.averaged, resume["weights"])
        self.status = initial_status(task, resume)
        self.earlier_seconds = self.status.seconds
        self.started = self.written = self.validated = time.monotonic()
        self.wrote_last = self.diverged = self.between_steps = False
        self.saved_step = self.status.step
        self.paused = 0.0
        self.work_done = 0.0
        self.first_step = self.status.step
        self.step_loss = self.step_weight = torch.tensor(0.0)
        self.running: Tensor | None = None if math.isnan(self.status.loss) else torch.tensor(self.status.loss)
        self.automatic_optimization = not plan.cuda_graphs
        self.graphed: GraphedTraining | None = None

    def configure_optimizers(self) -> torch.optim.Optimizer:
        optimizer = self.task.optimizer()
        for group in optimizer.param_groups:
            group["greatest_lr"] = group["lr"]
        if self.resumed:
            load_optimizer(optimizer, self.resumed["optimizer"])
        return optimizer

    def on_train_start(self) -> None:
        self.started = self.written = self.validated = time.monotonic()
        self.between_steps = True
        if self.plan.cuda_graphs:
            self.graphed = GraphedTraining(self.task, self.plan, self.trainer.optimizers[0], self.watcher.on_note)
        if self.group.is_rank_zero:
            note_interrupts(self._on_interrupt)

    def _on_interrupt(self, name: str) -> None:
        self.status.interrupted = name

    def training_step(self, batch: Any, batch_index: int) -> Tensor:
        self.between_steps = False
        self.work_done += self.task.work(batch)
        if self.graphed is not None:
            self.graphed.set_rate(self._rate_share())
            loss = self.graphed.step(batch)
            self._note_loss(loss)
            return loss
        loss = self.task.loss(batch)
        self.step_loss = loss.detach()
        if self.group.size > 1:  # a rank on its own needs no weight
            self.step_weight = self.task.weight(batch)
        return self.group.own_sum(loss, self.step_weight)

    def on_after_backward(self) -> None:
        self._note_loss(self.group.average_gradients(self.model, self.step_loss, self.step_weight))

    def _note_loss(self, loss: Tensor) -> None:
        """Takes a loss into the running mean over some fifty steps, which stays on the device: no step waits for it.

        The first steps of a run count alike, so that their mean does not depend on one step; a resumed run continues
        with the mean of its checkpoint.
        """
        before = loss if self.running is None else self.running.to(loss.device)
        self.running = before.lerp(loss, max(_LOSS_SHARE, 1 / (self.status.step + 1)))

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        share = self._rate_share()
        for group in optimizer.param_groups:
            group["lr"] = group["greatest_lr"] * share

    def _rate_share(self) -> float:
        return self.task.learning_rate_share(self.status.step, progress_of(self.plan, self.status))

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_index: int) -> None:
        status = self.status
        now = time.monotonic()
        status.step += 1
        status.seconds = self.earlier_seconds + now - self.started
        status.progress = progress_of(self.plan, status)
        training_seconds = status.seconds - self.earlier_seconds - self.paused
        status.rate = self.group.size * self.work_done / max(training_seconds, 1e-9)
        self.average.update(status.step)
        self.between_steps = True
        if status.step % 10 == 0:
            self._check_loss()
        self.watcher.on_step(status)
        validates, stops = self._agree(now)
        if status.interrupted:
            self.watcher.on_note(f"{status.interrupted}: validating and saving; another Ctrl-C saves at once")
        if validates or stops:
            self._validate()
        elif self.group.is_rank_zero and now - self.written > self.plan.checkpoint_seconds:
            self._check_loss()
            self._write("last")
        if stops:
            self.trainer.should_stop = True

    def _agree(self, now: float) -> tuple[bool, bool]:
        """Takes rank 0's clock, and its decisions to validate and to stop; returns both."""
        status = self.status
        due = now - self.validated >= self.plan.validate_seconds
        asked = status.interrupted is not None
        status.seconds, validates, interrupted = self.group.broadcast([status.seconds, due, asked])
        return bool(validates), bool(interrupted) or progress_of(self.plan, status) >= 1

    def on_train_end(self) -> None:
        if self.group.is_rank_zero:
            self._check_loss()
            self._write("last")

    def save_progress(self) -> None:
        """Writes last.pth after an error between two steps, such as lost audio, unless the weights are ruined."""
        unsaved = self.status.step > self.saved_step
        if self.group.is_rank_zero and self.between_steps and unsaved and not self.diverged:
            with suppress(Exception):  # the error that ended the training is the one to report
                self._write("last")

    def _validate(self) -> None:
        began = time.monotonic()
        self.averaged.eval()
        self._take_buffers_of_rank_zero()
        mine = islice(self.task.validation_batches(), self.group.rank, None, self.group.size)
        with self.trainer.precision_plugin.forward_context():
            summed = self._over_all_ranks(summed_tally(self.task, self.averaged, mine))
        if self.group.is_rank_zero:
            self._check_loss()
            self._record(math.nan if summed is None else self.task.score(summed))
        self.validated = time.monotonic()
        self.paused += self.validated - began

    def _take_buffers_of_rank_zero(self) -> None:
        """Gives the averaged model the buffers of rank 0, which the checkpoint holds, so that the score is of that.

        Buffers are such as batch norm's statistics, which each rank takes from its own batches.
        """
        buffers = list(self.averaged.buffers())
        if self.group.size == 1 or not buffers:
            return
        theirs = torch.tensor(
            self.group.broadcast(torch.cat([one.flatten().double() for one in buffers]).tolist()), dtype=torch.float64
        )
        for own, values in zip(buffers, theirs.split([one.numel() for one in buffers]), strict=True):
            own.copy_(values.view_as(own))

    def _over_all_ranks(self, summed: Tensor | None) -> Tensor | None:
        """Returns the sum over all ranks; a rank without a batch takes the length from rank 0, which has the first."""
        if self.group.size == 1:
            return summed
        numel = int(self.group.broadcast([0 if summed is None else summed.numel()])[0])
        own = [0.0] * numel if summed is None else summed.flatten().tolist()
        total = torch.tensor(self.group.sum(own), dtype=torch.float64)
        return (total if summed is None else total.view(summed.shape)) if numel else None

    def _record(self, score: float) -> None:
        status = self.status
        row = {
            "step": status.step,
            "seconds": round(status.seconds, 3),
            "train": status.loss,
            "validation": score,
            "learning_rate": float(self.trainer.optimizers[0].param_groups[0]["lr"]),
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
        self.watcher.on_validation(status, self.averaged, media_of(self.trainer.loggers))

    def _check_loss(self) -> None:
        self.status.loss = self.status.loss if self.running is None else float(self.running)
        if self.status.step > self.first_step and not abs(self.status.loss) < DIVERGED:
            raise self._diverged(f"the loss is {self.status.loss:.3g}")

    def _diverged(self, what: str) -> UserError:
        """Returns the error that ends a run whose weights are ruined, with the step and the learning rate."""
        self.diverged = True
        last = self.plan.run_dir / "last.pth"
        kept = f"{last} is from before" if last.exists() else "no checkpoint has been written yet"
        rate = float(self.trainer.optimizers[0].param_groups[0]["lr"])
        return UserError(
            f"the training diverged: {what} at step {self.status.step}, at a learning rate of {rate:.3g}; "
            f"lower training.learning_rate. {kept}"
        )

    def _write(self, name: str) -> None:
        status = self.status
        content = checkpoint_content(self.task, self.averaged, self.trainer.optimizers[0], status)
        ruined = not_finite(content)  # a step can ruin the weights before the loss shows it
        if ruined is not None:
            raise self._diverged(f"{ruined} is no longer finite")
        path = self.plan.run_dir / f"{name}.pth"
        if name == "last" and self.wrote_last:
            # not the file that an earlier process left, which may be damaged while the one before it is whole
            keep_as(path, previous_of(path))
        write_checkpoint(path, self.task.kind, content)
        write_metrics(self.plan.run_dir / "metrics.csv", status.history)
        if name == "last":
            self.written, self.wrote_last, self.saved_step = time.monotonic(), True, self.status.step
