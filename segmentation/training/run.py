"""A segmentation run from its options: settings, images and folders, in that order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from segmentation.checking.check import quick_check
from segmentation.checkpoints.content import SegmentationContent
from segmentation.checkpoints.imagenet import is_at_hand
from segmentation.checkpoints.names import find_pretrained
from segmentation.checkpoints.pretrained import KIND, read_pretrained, start_weights
from segmentation.config import PRESETS, SegmentationConfig, preset
from segmentation.datasets.catalogue import locate, name_of, open_dataset
from segmentation.datasets.dataset import SegmentationDataset
from segmentation.network.deeplab import build_model
from segmentation.training.loss import balanced_weights
from segmentation.training.options import SegmentationOptions
from segmentation.training.recipe import LEAST_VALIDATE_SECONDS, fit_to_budget, fit_to_images, fit_to_start
from segmentation.training.task import SegmentationTask, fit_precision
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.core.loop.devices import default_processes, refuse_processes
from wavenet_app.core.loop.plan import FitPlan, uses_graphs
from wavenet_app.core.run_lock import refuse_locked
from wavenet_app.core.runs import free_name, read_resumed, refuse_beside_resume, refuse_existing
from wavenet_app.core.settings import override, validated


@dataclass(frozen=True)
class SegmentationRun:
    """A run that is ready to train.

    Attributes:
        task: model and data; its config is complete.
        plan: budget and folders.
        resume: content of the checkpoint to resume, or None.
        notes: what the user should know before it starts, a line each.
    """

    task: SegmentationTask
    plan: FitPlan
    resume: dict[str, Any] | None
    notes: list[str] = field(default_factory=list)

    @property
    def config(self) -> SegmentationConfig:
        """All settings."""
        return self.task.config


def prepare_run(
    options: SegmentationOptions,
    folder: DataFolder,
    *,
    device: str,
    on_mask: Callable[[int, int], None] = lambda _done, _total: None,
) -> SegmentationRun:
    """Resolves options into a run, and checks a sample of the images before the training.

    Args:
        options: the options of the user.
        folder: the data folder.
        device: "cpu", "cuda" or "mps"; decides what "auto" means.
        on_mask: called with the number of masks read for the class weights, and of all.

    Raises:
        UserError: a setting, the data set or the run to resume does not exist or fit, or the masks teach nothing.
    """
    options.check_logger()
    resume: dict[str, Any] | None = None
    resume_notes: list[str] = []
    if options.resume:
        resume, resume_notes = read_resumed(
            options.resume,
            folder.segmentation_runs,
            KIND,
            SegmentationContent,
            called="segmentation run",
            otherwise="begin a new run by --set training.start_from={path}",
        )
    config = _settings(options, folder, device) if resume is None else _resumed_settings(options, resume)
    if resume:
        refuse_locked(folder.segmentation_runs / config.name)
    elif options.name:
        refuse_existing(config.name, folder.segmentation_runs)
    argument = config.data.dataset
    training = open_dataset(argument, folder, "train", config.data.format_options)
    validation = open_dataset(argument, folder, "val", config.data.format_options)
    report = quick_check([training, validation])
    notes = [*resume_notes, *training.remarks, *report.warnings, *_file_lines(argument, (training, validation))]
    source = locate(argument, folder)
    # an absolute path, so that the run can be resumed from any current folder
    config = override(config, {"data": {"dataset": None if source is None else str(source.absolute())}})
    base = _base_name(config, options, folder)
    if resume is None:
        config = _of_classes(config, options, training)
    elif list(training.classes) != resume.get("classes"):
        raise UserError(
            f"{training.name} no longer has the classes that the run '{config.name}' began with; begin a new run "
            "without --resume"
        )
    model = build_model(config.model, torch.Generator().manual_seed(config.training.seed))
    if resume is None:
        start = start_weights(model, config.training.start_from, folder)
        if start.from_scratch and config.model.norm == "frozen":
            raise UserError(
                f"model.norm=frozen keeps the statistics of trained weights, but {start.lines[0]}; "
                "or take --set model.norm=batch"
            )
        notes += start.lines
        config = fit_to_images(config, report.splits[0], device)
        config = override(config, {"training": fit_to_start(config.training, from_scratch=start.from_scratch)})
    config = fit_to_budget(config)
    if config.training.processes is None:
        # runs from before this setting existed had one process
        config = override(config, {"training": {"processes": 1 if resume else default_processes(device)}})
    refuse_processes(device, config.training.processes or 1, placed=options.placed)
    weights = _class_weights(config, training, resume, on_mask)
    if not (resume or options.name):  # last, for a name that is taken for nothing is lost
        config = override(config, {"name": free_name(base, folder.segmentation_runs)})
    task = SegmentationTask(config, model, training, validation, device, weights)
    return SegmentationRun(task, _plan(config, options, folder, device), resume, notes)


def _file_lines(argument: str | None, splits: Sequence[SegmentationDataset]) -> list[str]:
    """Returns a line for each reason why files are skipped or repaired, with their number and the first of them."""
    lines = []
    for split in splits:
        for notes, what in ((split.skipped, "skipped"), (split.notes, "repaired or odd")):
            for problem, count in Counter(note.problem for note in notes).most_common():
                first = next(note.path.name for note in notes if note.problem == problem)
                files = f"{count} file is" if count == 1 else f"{count} files are"
                lines.append(f"{split.split}: {files} {what}, {first if count == 1 else f'such as {first}'}: {problem}")
    return [*lines, f"all of them are listed by: wavegen seg-check {argument}"] if lines else []


def _plan(config: SegmentationConfig, options: SegmentationOptions, folder: DataFolder, device: str) -> FitPlan:
    settings = config.training
    tensorboard = folder.tensorboard / "segmentation" / config.name
    return FitPlan(
        run_dir=folder.segmentation_runs / config.name,
        tensorboard_dir=tensorboard if options.logger == "tensorboard" else None,
        wandb_dir=folder.root if options.logger == "wandb" else None,
        max_steps=settings.max_steps,
        minutes=settings.minutes,
        gradient_clip=settings.gradient_clip,
        ema_decay=settings.ema_decay,
        validate_seconds=settings.validate_seconds or LEAST_VALIDATE_SECONDS,
        checkpoint_seconds=settings.checkpoint_seconds,
        processes=settings.processes or 1,
        precision=fit_precision(settings.precision, device),
        accelerator="gpu" if device == "cuda" else device,
        cuda_graphs=uses_graphs(settings.cuda_graphs, device, settings.processes or 1),
    )


def _settings(options: SegmentationOptions, folder: DataFolder, device: str) -> SegmentationConfig:
    chosen = options.preset
    if chosen == "auto":
        chosen = auto_preset(str(options.given("training", "start_from") or "auto"), folder, device)
    return options.applied_to(preset(chosen))


def auto_preset(start_from: str, folder: DataFolder, device: str) -> str:
    """Returns the preset of a run that names none: "dilated", unless trained weights ask for another backbone.

    Args:
        start_from: as in the settings; "auto" looks for ImageNet's weights on this machine alone.
        folder: the data folder.
        device: "cpu", "cuda" or "mps".

    Raises:
        UserError: `start_from` is the name of a file that is absent or cannot be read.
    """
    mobilenet = "mobilenet_v3_large"
    if start_from == "none":
        return "dilated"
    if start_from == "auto":
        backbone = mobilenet if is_at_hand(mobilenet, folder.pretrained) else "dilated"
    elif start_from == "imagenet":
        backbone = mobilenet
    else:
        backbone = read_pretrained(find_pretrained(start_from, folder)).shape["backbone"]
    if backbone == mobilenet:
        return "mobilenet" if device == "cuda" else "small"
    return backbone if backbone in PRESETS else "dilated"


def _resumed_settings(options: SegmentationOptions, resume: dict[str, Any]) -> SegmentationConfig:
    refuse_beside_resume(
        (
            (options.dataset, "the data set"),
            (options.name, "--name"),
            (options.config_file, "--config"),
            *((choice, f"--{name.replace('_', '-')}") for name, choice in options.format_options.items()),
            (options.preset != "auto", "--preset"),
        )
    )
    before = validated(SegmentationConfig, resume["config"])
    after = override(before, options.changes())
    if after.model != before.model:
        raise UserError("--resume keeps the model as it is; leave out --set model..., or begin a new run")
    return after


def _of_classes(
    config: SegmentationConfig, options: SegmentationOptions, training: SegmentationDataset
) -> SegmentationConfig:
    """Returns the settings with the data set's number of classes."""
    asked = options.given("model", "num_classes")
    if asked not in (None, training.num_classes):
        raise UserError(
            f"model.num_classes = {asked}, but {training.name} has {training.num_classes} classes; leave it out"
        )
    return override(config, {"model": {"num_classes": training.num_classes}})


def _class_weights(
    config: SegmentationConfig,
    training: SegmentationDataset,
    resume: dict[str, Any] | None,
    on_mask: Callable[[int, int], None],
) -> list[float] | None:
    if config.training.class_weights != "balanced":
        return None
    before = resume.get("class_weights") if resume else None
    return before or balanced_weights(training, on_mask)


def _base_name(config: SegmentationConfig, options: SegmentationOptions, folder: DataFolder) -> str:
    base = name_of(config.data.dataset, folder)
    return base if options.preset == "auto" else f"{base}-{options.preset}"
