"""`wavegen inspect`: the report of the data doctor, with the training time on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rich.console import Console

from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.device import training_device
from wavenet_app.core.options import make_console
from wavenet_app.core.terminal import progress_bar
from wavenet_app.inspection.examine import examine
from wavenet_app.inspection.timing import seconds_per_epoch
from wavenet_app.inspection.view import render
from wavenet_app.network.model import product_dtype
from wavenet_app.network.stack.skip_sum import kernels_to_compile


def run_inspection(paths: Sequence[str], folder: DataFolder, *, console: Console, as_json: bool) -> None:
    """Examines folders and files of audio and prints the report.

    Raises:
        UserError: a path does not exist or holds no audio.
    """
    sources = [folder.data_set(path) for path in paths]
    progress_console = make_console(stderr=True)
    with progress_bar(progress_console, "decoding") as on_decode:
        report = examine(sources, cache_dir=folder.cache, progress=on_decode)
    if report.corpus is not None:
        num_samples = round(report.corpus.training_seconds * report.corpus.sample_rate)
        device = training_device()
        waiting = kernels_to_compile(device, product_dtype("auto", device))
        with progress_console.status(f"timing a training step of each preset{f', after {waiting}' if waiting else ''}"):
            report = replace(report, seconds_per_epoch=seconds_per_epoch(num_samples, device))
    if as_json:
        console.print_json(report.to_json())
    else:
        console.print(render(report))
