"""`wavegen train` from options to result, with its terminal output."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console

from wavenet_app.core.console import print_labelled
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.device import training_device
from wavenet_app.core.launch import Launch
from wavenet_app.core.loop.batch_search import fitting_batch
from wavenet_app.core.loop.devices import on_devices
from wavenet_app.core.loop.kept import explained, kept_explained
from wavenet_app.core.loop.loop import quiet_lightning
from wavenet_app.core.loop.meeting import leading
from wavenet_app.core.loop.process_group import StartRanks
from wavenet_app.core.loop.view import show_curves
from wavenet_app.core.settings import override
from wavenet_app.core.terminal import progress_bar
from wavenet_app.corpus.baseline import Baseline, corpus_baselines
from wavenet_app.corpus.corpus import Corpus
from wavenet_app.corpus.view import show_corpus
from wavenet_app.evaluation.runaway import Judgement
from wavenet_app.network.stack.skip_sum import kernels_to_compile, missing_kernels
from wavenet_app.training.options import RunOptions
from wavenet_app.training.run import Run, prepare_run
from wavenet_app.training.task import Preview, TrainingResult, WaveNetTask, start_score, train, validation_windows
from wavenet_app.training.view import TrainingView, show_result, show_start, unheard

Judge = Callable[[Path, Corpus, Callable[[str], None]], Judgement]
"""Describes the audio of a checkpoint, given the corpus that it was trained on and what takes lines for the user."""


def run_training(
    options: RunOptions,
    folder: DataFolder,
    *,
    console: Console,
    preview: Preview | None,
    judge: Judge | None,
    launch: Launch | None = None,
) -> TrainingResult:
    """Trains as the options say, and prints settings, progress and results.

    Args:
        options: what to train, on which audio and for how long.
        folder: data folder that all output goes to.
        console: console to print to.
        preview: generates audio for the logger; None for none.
        judge: describes the finished model; None for no description.
        launch: the place of this process among those that a launcher has started; None without a launcher.

    Raises:
        UserError: the options are invalid, the audio is unusable, the disk is full, or a rank is missing or ended.
    """
    device = training_device()
    options, gpus = on_devices(options, device, launch)
    with leading(launch, device, gpus) as start_ranks:
        return _trained(options, folder, device, start_ranks, console=console, preview=preview, judge=judge)


def _trained(
    options: RunOptions,
    folder: DataFolder,
    device: str,
    start_ranks: StartRanks,
    *,
    console: Console,
    preview: Preview | None,
    judge: Judge | None,
) -> TrainingResult:
    """Prepares the run, trains, and shows what came out."""
    with progress_bar(console, "decoding") as on_decode:
        run = prepare_run(options, folder, device=device, on_decode=on_decode)
    show_corpus(console, run.corpus)
    with console.status("measuring the classical predictors on this corpus"):
        spans = validation_windows(run.config, run.corpus).spans
        baseline, during = corpus_baselines(run.corpus, spans, coding=run.config.model.coding)
    task = _task(run, baseline, device)
    if run.config.training.fit_batch:
        with console.status("finding the largest batch that fits the GPU"):
            found = fitting_batch(task, run.plan, device)
        run = replace(run, config=override(run.config, found.changes), notes=[*run.notes, str(found)])
        task = _task(run, baseline, device)
    dtype = str(task.model.product_dtype).removeprefix("torch.")
    parameters = sum(parameter.numel() for parameter in task.model.parameters())
    with kept_explained(run.plan, "train"):
        show_start(console, run, device=device, dtype=dtype, parameters=parameters)
        _prepare_kernels(console, device, task.model.product_dtype)
        view = TrainingView(console, during, task.before_training)
        if run.start is not None:
            score = start_score(task)
            view.show_source(score)
            task.before_training = score if math.isfinite(score) else None  # no clip is long enough to measure
        with view.progress, quiet_lightning():
            result = train(
                task,
                run.plan,
                on_step=view.on_step,
                on_validation=view.on_validation,
                preview=preview,
                on_note=view.on_note,
                on_phase=view.on_phase,
                resume=run.resume,
                start_ranks=start_ranks,
            )
    judgement = None
    if judge is not None and result.status.interrupted is None:  # a user who stops a run does not want to wait
        with explained(lambda: unheard(result, run)):
            judgement = judge(result.checkpoint, run.corpus, console.print)
    show_result(console, result, run, judgement, task.before_training)
    show_curves(console, run.plan)
    return result


def _task(run: Run, baseline: Baseline, device: str) -> WaveNetTask:
    """Returns the task of a run, which knows how good the model that it starts from, or started from, was."""
    task = WaveNetTask(run.config, run.corpus, baseline, device, None if run.start is None else run.start.weights)
    task.before_training = run.resume.get("before_training") if run.resume else None
    return task


def _prepare_kernels(console: Console, device: str, dtype: torch.dtype) -> None:
    """Compiles the kernels up front, so the user is informed and the other ranks find them compiled."""
    waiting = kernels_to_compile(device, dtype)
    if waiting is not None:
        console.print(waiting, highlight=False)
    missing = missing_kernels(device, dtype)
    if device == "cpu" and missing is not None:
        print_labelled(console, "note", f"training continues without compiled kernels, which is slower: {missing}")
