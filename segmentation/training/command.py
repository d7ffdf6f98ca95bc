"""`wavegen seg-train` from options to result, with what the terminal shows."""

from __future__ import annotations

from rich.console import Console

from segmentation.training.options import SegmentationOptions
from segmentation.training.run import prepare_run
from segmentation.training.task import SegmentationResult, train
from segmentation.training.view import TrainingView, show_result, show_start
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.device import training_device
from wavenet_app.core.launch import Launch
from wavenet_app.core.loop.batch_search import fitting_batch
from wavenet_app.core.loop.devices import on_devices
from wavenet_app.core.loop.kept import kept_explained
from wavenet_app.core.loop.loop import quiet_lightning
from wavenet_app.core.loop.meeting import leading
from wavenet_app.core.loop.process_group import StartRanks
from wavenet_app.core.settings import override
from wavenet_app.core.terminal import progress_bar


def run_training(
    options: SegmentationOptions, folder: DataFolder, *, console: Console, launch: Launch | None = None
) -> SegmentationResult:
    """Trains as the options say, and prints what a user wants to know before, during and after.

    Args:
        options: what to train.
        folder: the data folder.
        console: to print to.
        launch: the place of this process among those that a launcher has started; None without a launcher.

    Raises:
        UserError: the options, the images or the disk do not allow it, or a rank is missing or ended.
    """
    device = training_device()
    options, gpus = on_devices(options, device, launch)
    with leading(launch, device, gpus) as start_ranks:
        return _trained(options, folder, device, start_ranks, console)


def _trained(
    options: SegmentationOptions, folder: DataFolder, device: str, start_ranks: StartRanks, console: Console
) -> SegmentationResult:
    with progress_bar(console, "reading") as on_mask:
        run = prepare_run(options, folder, device=device, on_mask=on_mask)
    if run.config.training.fit_batch:
        with console.status("finding the largest batch that fits the GPU"):
            found = fitting_batch(run.task, run.plan, device)
        run.task.config = override(run.config, found.changes)
        run.notes.append(str(found))
    with kept_explained(run.plan, "seg-train"):
        show_start(console, run, device)
        view = TrainingView(console)
        with view.progress, quiet_lightning():
            result = train(
                run.task,
                run.plan,
                on_step=view.on_step,
                on_validation=view.on_validation,
                on_broken=view.on_broken,
                on_note=view.on_note,
                resume=run.resume,
                start_ranks=start_ranks,
            )
    show_result(console, run, result)
    return result
