"""`wavegen seg-train` from options to result, with what the terminal shows."""

from __future__ import annotations

from rich.console import Console

from segmentation.training.options import SegmentationOptions
from segmentation.training.run import prepare_run
from segmentation.training.task import SegmentationResult, train
from segmentation.training.view import TrainingView, show_result, show_start
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.device import training_device
from wavenet_app.core.loop.loop import quiet_lightning
from wavenet_app.core.terminal import progress_bar


def run_training(options: SegmentationOptions, folder: DataFolder, *, console: Console) -> SegmentationResult:
    """Trains as the options say, and prints what a user wants to know before, during and after.

    Raises:
        UserError: the options, the images or the disk do not allow it.
    """
    device = training_device()
    with progress_bar(console, "reading") as on_mask:
        run = prepare_run(options, folder, device=device, on_mask=on_mask)
    show_start(console, run, device)
    view = TrainingView(console)
    with view.progress, quiet_lightning():
        result = train(
            run.task,
            run.plan,
            on_step=view.on_step,
            on_validation=view.on_validation,
            on_broken=view.on_broken,
            resume=run.resume,
        )
    show_result(console, run, result)
    return result
