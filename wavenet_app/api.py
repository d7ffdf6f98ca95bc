"""Train a WaveNet from Python.

import wavenet_app

run = wavenet_app.train("recordings/", preset="small", minutes=5)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from wavenet_app.core.console import PlainConsole
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.training.command import run_training
from wavenet_app.training.options import RunOptions
from wavenet_app.training.task import TrainingResult


def train(
    paths: str | Path | Sequence[str | Path] = (),
    *,
    preset: str = "auto",
    minutes: float | None = None,
    max_steps: int | None = None,
    name: str | None = None,
    resume: str | None = None,
    sample_rate: int | None = None,
    split_by: str | None = None,
    speakers: str | None = None,
    condition: str | None = None,
    head: str | None = None,
    start_from: str | None = None,
    seed: int | None = None,
    config: str | Path | None = None,
    settings: Sequence[str] = (),
    logger: str = "tensorboard",
    data_dir: str | Path | None = None,
    quiet: bool = False,
) -> TrainingResult:
    """Trains a WaveNet: the same run as `wavegen train` makes, with the same files.

    Only the audio that the command generates for TensorBoard and for its last line is left out; `fast_gen` makes it.

    Args:
        paths: audio folders and files, or their names in the data folder; empty for the built-in corpus.
        preset: "tiny", "small", "base", "large", or "auto".
        minutes: stop after this many minutes; 30 if `max_steps` is None too.
        max_steps: stop after this many optimizer steps.
        name: of the run; None for the name of the data set, followed by the preset unless that is "auto".
        resume: a run to resume exactly from its last checkpoint.
        sample_rate: in Hz; None for the most common rate of the files, at most 16000.
        split_by: regular expression; files with an equal match are on one side of the validation split.
        speakers: who speaks in a file: "folder", "csv:FILE" or "regex:PATTERN".
        condition: "mel" for a vocoder.
        head: "mu-law", "logistics" or "gaussian".
        start_from: a file, run or shipped voice whose weights the run starts with; "none" for random weights, None for
            the nearest shipped voice, if one is near.
        seed: of the initial weights and the training order.
        config: a TOML file of settings, which override the preset.
        settings: single settings such as "model.skip_channels=128".
        logger: "tensorboard", "wandb" or "none".
        data_dir: the data folder; None for $WAVEGEN_DATA, else ./data.
        quiet: whether to print nothing.

    Returns:
        The best checkpoint, its bits per sample on the validation clips, and the baseline to compare them with.

    Raises:
        UserError: a setting, the audio or the disk does not allow it.
    """
    one = isinstance(paths, str | Path)
    options = RunOptions(
        paths=(str(paths),) if one else tuple(str(path) for path in paths),  # type: ignore[union-attr]
        preset=preset,
        config_file=None if config is None else Path(config),
        assignments=tuple(settings),
        name=name,
        sample_rate=sample_rate,
        max_steps=max_steps,
        minutes=minutes,
        split_by=split_by,
        seed=seed,
        speakers=speakers,
        condition=condition,
        head=head,
        start_from=start_from,
        resume=resume,
        logger=logger,
    )
    folder = DataFolder.at(None if data_dir is None else Path(data_dir))
    return run_training(options, folder, console=PlainConsole(quiet=quiet), preview=None, judge=None)
