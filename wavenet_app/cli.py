"""The commands of `wavenet_app`: train, voices and inspect."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from wavenet_app.core.completion import audio_sets, choices, wavenets
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.launch import found_launch
from wavenet_app.core.options import (
    NOTHING_TRAINED,
    UNCHANGED,
    AsJson,
    Assignments,
    ConfigFile,
    DataDir,
    Devices,
    Logger,
    MaxSteps,
    Minutes,
    Nodes,
    Resume,
    RunName,
    loading,
    make_console,
    stopped_in_words,
)
from wavenet_app.heads import HEADS

if TYPE_CHECKING:
    from wavenet_app.training.command import Judge
    from wavenet_app.training.task import Preview


def _presets(incomplete: str) -> list[str]:
    from wavenet_app.config import PRESETS

    return [name for name in (*PRESETS, "auto") if name.startswith(incomplete)]


def train_command(preview: Preview, judge: Judge) -> Callable[..., None]:
    """Returns the command `train`.

    Args:
        preview: generates the audio that is logged while a model trains.
        judge: listens to the finished model.
    """

    def train(
        paths: Annotated[
            list[str] | None,
            typer.Argument(
                metavar="PATH",
                help="Audio folders and files; built-in plucked strings if omitted.",
                autocompletion=audio_sets,
            ),
        ] = None,
        preset: Annotated[
            str,
            typer.Option(
                metavar="tiny|small|base|large|auto",
                help="Size of the model; auto: small on a CPU, base on a GPU.",
                autocompletion=_presets,
            ),
        ] = "auto",
        minutes: Minutes = None,
        max_steps: MaxSteps = None,
        name: RunName = None,
        resume: Resume = None,
        sample_rate: Annotated[
            int | None,
            typer.Option(metavar="HZ", help="Resample to this rate (default: the most common rate, at most 16000)."),
        ] = None,
        split_by: Annotated[
            str | None,
            typer.Option(metavar="REGEX", help="Keep files with an equal match on one side of the validation split."),
        ] = None,
        speakers: Annotated[
            str | None,
            typer.Option(
                metavar="folder|csv:FILE|regex:PATTERN",
                help="Learn a voice per speaker, named by the subfolder, a table, or a group in the path.",
            ),
        ] = None,
        condition: Annotated[
            str | None,
            typer.Option(
                metavar="mel",
                help="Train a vocoder from mel frames; use it with wavegen vocode.",
                autocompletion=choices("mel"),
            ),
        ] = None,
        head: Annotated[
            str | None,
            typer.Option(
                metavar="|".join(HEADS),
                help="Predict mu-law codes (default), or 16-bit samples with a mixture of logistics or a Gaussian.",
                autocompletion=choices("|".join(HEADS)),
            ),
        ] = None,
        start_from: Annotated[
            str | None,
            typer.Option(
                metavar="VOICE|RUN|FILE",
                help="Start with the weights of a trained model, and with its shape unless --preset is given; none for "
                "random weights (default: the nearest shipped voice, if one is near).",
                autocompletion=wavenets,
            ),
        ] = None,
        seed: Annotated[int | None, typer.Option(help="Seed of the initial weights and of the training order.")] = None,
        config: ConfigFile = None,
        set_: Assignments = None,
        logger: Logger = "tensorboard",
        devices: Devices = None,
        nodes: Nodes = None,
        data_dir: DataDir = None,
    ) -> None:
        """Train a WaveNet on audio.

        Keeps the best and the last checkpoint. Ctrl-C stops early and keeps both.
        """
        from wavenet_app.training.options import RunOptions, check_early

        options = RunOptions(
            paths=tuple(paths or ()),
            preset=preset,
            config_file=config,
            assignments=tuple(set_ or ()),
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
            devices=devices,
            nodes=nodes,
        )
        folder, console = DataFolder.at(data_dir), make_console()
        launch = found_launch(os.environ)
        options = options.launched(launch, folder.checkpoints)
        if launch is not None and launch.rank > 0:
            from wavenet_app.core.loop.meeting import follow

            follow(launch)
            return
        check_early(options, folder)
        with stopped_in_words(UNCHANGED if options.resume else NOTHING_TRAINED):
            with loading(console):
                from wavenet_app.core.console import output_may_vanish
                from wavenet_app.training.command import run_training

            with output_may_vanish(console):
                run_training(options, folder, console=console, preview=preview, judge=judge, launch=launch)

    return train


def voices(as_json: AsJson = False) -> None:
    """List the voices that ship with wavegen, which sample, vocode and train --start-from take by name."""
    from wavenet_app.checkpoints.voices_command import run_voices

    run_voices(make_console(), as_json=as_json)


def inspect(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH", help="Audio folders and files.", autocompletion=audio_sets)
    ],
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Check audio before training: files, levels, defects, and how predictable it is."""
    folder = DataFolder.at(data_dir)
    for path in paths:
        folder.data_set(path)
    with loading(make_console(stderr=True)):
        from wavenet_app.inspection.command import run_inspection

    run_inspection(paths, folder, console=make_console(), as_json=as_json)
