"""`wavegen train` from options to result, told to a terminal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console

from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.device import training_device
from wavenet_app.core.loop.loop import quiet_lightning
from wavenet_app.corpus.baseline import corpus_baselines
from wavenet_app.corpus.corpus import Corpus
from wavenet_app.corpus.view import show_corpus
from wavenet_app.network.stack.skip_sum import kernels_to_compile, missing_kernels
from wavenet_app.training.run import RunOptions, prepare_run
from wavenet_app.training.task import Preview, TrainingResult, WaveNetTask, train, validation_windows
from wavenet_app.training.view import DecodeView, TrainingView, show_result, show_start

Judge = Callable[[Path, Corpus], str]
"""Says in a line what a checkpoint is like, given the corpus that it was trained on."""


def run_training(
    options: RunOptions, folder: DataFolder, *, console: Console, preview: Preview | None, judge: Judge | None
) -> TrainingResult:
    """Trains as the options say, and prints what a user wants to know before, during and after.

    Args:
        options: what to train, on what, for how long.
        folder: root of all that is written.
        console: where to.
        preview: makes audio for TensorBoard; None for none.
        judge: says what the finished model is like; None for no such line.

    Raises:
        UserError: the options, the audio or the disk do not allow it.
    """
    device = training_device()
    decoding = DecodeView(console)
    with decoding.progress:
        run = prepare_run(options, folder, device=device, on_decode=decoding.on_decode)
    show_corpus(console, run.corpus)
    with console.status("measuring the classical predictors on this corpus"):
        spans = validation_windows(run.config, run.corpus).spans
        baseline, during = corpus_baselines(run.corpus, spans, coding=run.config.model.coding)
    task = WaveNetTask(run.config, run.corpus, baseline, device)
    dtype = str(task.model.product_dtype).removeprefix("torch.")
    parameters = sum(parameter.numel() for parameter in task.model.parameters())
    show_start(console, run, device=device, dtype=dtype, parameters=parameters)
    _prepare_kernels(console, device, task.model.product_dtype)
    view = TrainingView(console, run.plan, during)
    with view.progress, quiet_lightning():
        result = train(
            task,
            run.plan,
            on_step=view.on_step,
            on_validation=view.on_validation,
            preview=preview,
            resume=run.resume,
        )
    judgement = None
    if judge is not None and result.status.interrupted is None:  # whoever stops a run does not want to wait
        with console.status("listening to what it generates"):
            judgement = judge(result.checkpoint, run.corpus)
    show_result(console, result, run.config.name, judgement)
    if run.plan.tensorboard_dir is not None:
        console.print(
            f"curves: tensorboard --logdir {Path(run.plan.tensorboard_dir).parent}", highlight=False, soft_wrap=True
        )
    return result


def _prepare_kernels(console: Console, device: str, dtype: torch.dtype) -> None:
    """Compiles the kernels here, so that the user knows, and the other processes find them compiled."""
    waiting = kernels_to_compile(device, dtype)
    if waiting is not None:
        console.print(waiting, highlight=False)
    missing = missing_kernels(device, dtype)
    if device == "cpu" and missing is not None:
        console.print(f"[yellow]note:[/yellow] training goes on without compiled kernels, slower: {missing}")
