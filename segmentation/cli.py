"""The commands of `segmentation`: seg-train, seg-eval, seg-predict and seg-check."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from wavenet_app.core.completion import choices, deeplabs, image_sets
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.core.launch import found_launch
from wavenet_app.core.near import did_you_mean_path
from wavenet_app.core.options import (
    NOTHING_TRAINED,
    NOTHING_WRITTEN,
    UNCHANGED,
    AsJson,
    Assignments,
    ConfigFile,
    DataDir,
    Devices,
    Logger,
    MaxSteps,
    Nodes,
    Resume,
    RunName,
    finite,
    loading,
    make_console,
    stopped_in_words,
)
from wavenet_app.core.swapped import IMAGE, refuse_data_as_model
from wavenet_app.core.text import without_control_characters

DataSet = Annotated[
    str | None,
    typer.Argument(
        metavar="DATASET",
        help="A folder, or voc, cityscapes, coco or ade20k; built-in shapes if omitted.",
        autocompletion=image_sets,
    ),
]
Checkpoint = Annotated[
    str,
    typer.Argument(
        metavar="CHECKPOINT",
        help="The name of a run, a file, or a deeplab_*.pth in data/pretrained.",
        autocompletion=deeplabs,
    ),
]
Scales = Annotated[str, typer.Option(help="Average over these sizes of the image, such as 0.5,1,1.5.")]
Flip = Annotated[bool, typer.Option("--flip", help="Average over the mirrored image too.")]
Window = Annotated[
    int | None,
    typer.Option(metavar="PIXELS", help="Label the image in overlapping windows of this size (default: only if huge)."),
]
OutputStride = Annotated[
    int | None,
    typer.Option(
        metavar="1|2|4|8|16",
        help="Output stride, for files that do not store it (default: as trained).",
        autocompletion=choices("1|2|4|8|16"),
    ),
]
CocoClasses = Annotated[
    str | None,
    typer.Option(
        "--coco-classes",
        metavar="auto|voc|all",
        autocompletion=choices("auto|voc|all"),
        help="COCO: the 21 classes of VOC, or all categories; auto (default): all unless they are COCO's own.",
    ),
]


def _presets(incomplete: str) -> list[str]:
    from segmentation.config import PRESETS

    return [name for name in (*PRESETS, "auto") if name.startswith(incomplete)]


def seg_train(
    dataset: DataSet = None,
    preset: Annotated[
        str,
        typer.Option(
            metavar="small|mobilenet|dilated|resnet50|resnet101|auto",
            help="Size of the model; auto: dilated, or with ImageNet weights at hand small (CPU) or mobilenet (GPU).",
            autocompletion=_presets,
        ),
    ] = "auto",
    minutes: Annotated[
        float | None,
        typer.Option(callback=finite, help="Stop after this many minutes (default: 30; 3 for the built-in shapes)."),
    ] = None,
    max_steps: MaxSteps = None,
    name: RunName = None,
    resume: Resume = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the initial weights, the crops and their order.")] = None,
    coco_classes: CocoClasses = None,
    config: ConfigFile = None,
    set_: Assignments = None,
    logger: Logger = "tensorboard",
    devices: Devices = None,
    nodes: Nodes = None,
    data_dir: DataDir = None,
) -> None:
    """Train DeepLab on labelled images.

    Keeps the best and the last checkpoint. Ctrl-C stops early and keeps both.
    """
    from segmentation.training.options import SegmentationOptions, check_early

    options = SegmentationOptions(
        dataset=dataset,
        preset=preset,
        config_file=config,
        assignments=tuple(set_ or ()),
        name=name,
        max_steps=max_steps,
        minutes=minutes,
        seed=seed,
        format_options={"coco_classes": coco_classes},
        resume=resume,
        logger=logger,
        devices=devices,
        nodes=nodes,
    )
    folder, console = DataFolder.at(data_dir), make_console()
    launch = found_launch(os.environ)
    options = options.launched(launch, folder.segmentation_runs)
    if launch is not None and launch.rank > 0:
        from wavenet_app.core.loop.meeting import follow

        follow(launch)
        return
    check_early(options, folder)
    with stopped_in_words(UNCHANGED if options.resume else NOTHING_TRAINED):
        with loading(console):
            from segmentation.training.command import run_training
            from wavenet_app.core.console import output_may_vanish

        with output_may_vanish(console):
            run_training(options, folder, console=console, launch=launch)


def seg_eval(
    checkpoint: Checkpoint,
    dataset: Annotated[
        str,
        typer.Argument(
            metavar="DATASET",
            help="A folder, or voc, cityscapes, coco, ade20k or shapes.",
            autocompletion=image_sets,
        ),
    ],
    split: Annotated[
        str, typer.Option(metavar="train|val", help="Which split to score.", autocompletion=choices("train|val"))
    ] = "val",
    images: Annotated[
        int | None, typer.Option(min=1, help="Score this many images, evenly spread (default: all).")
    ] = None,
    scales: Scales = "1",
    flip: Flip = False,
    window: Window = None,
    output_stride: OutputStride = None,
    coco_classes: CocoClasses = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Score a segmentation model: IoU per class, mean IoU and pixel accuracy."""
    folder = DataFolder.at(data_dir)
    refuse_data_as_model(checkpoint, "seg-eval MODEL")
    _check_segmenter(checkpoint, folder)
    with loading(make_console(stderr=True)):
        from segmentation.evaluation.command import run_evaluation
        from segmentation.prediction.options import LabelOptions

    with stopped_in_words(NOTHING_WRITTEN):
        run_evaluation(
            LabelOptions(checkpoint, scales, flip, window, output_stride),
            dataset,
            folder,
            console=make_console(),
            as_json=as_json,
            split=split,
            images=images,
            format_options={"coco_classes": coco_classes},
        )


def seg_predict(
    checkpoint: Checkpoint,
    path: Annotated[Path, typer.Argument(metavar="IMAGE|FOLDER", help="An image, or a folder of images.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the results (default: segmentation_results/ in the data folder).")
    ] = None,
    scales: Scales = "1",
    flip: Flip = False,
    window: Window = None,
    output_stride: OutputStride = None,
    data_dir: DataDir = None,
) -> None:
    """Label images of any size.

    Writes a colour mask and a mask of class ids of the image's size, and an overlay with a legend below it.
    """
    folder = DataFolder.at(data_dir)
    refuse_data_as_model(checkpoint, "seg-predict MODEL", IMAGE)
    _check_segmenter(checkpoint, folder)
    if not path.exists():
        raise UserError(f"there is no image or folder {path}{did_you_mean_path(path)}")
    with loading(make_console(stderr=True)):
        from segmentation.prediction.command import run_prediction
        from segmentation.prediction.options import LabelOptions

    options = LabelOptions(checkpoint, scales, flip, window, output_stride)
    run_prediction(options, path, folder, console=make_console(), out=out)


def seg_check(
    dataset: DataSet = None,
    files: Annotated[
        int | None, typer.Option(min=1, help="Read this many images per split, evenly spread (default: all).")
    ] = None,
    coco_classes: CocoClasses = None,
    write_classes: Annotated[
        bool, typer.Option("--write-classes", help="First write classes.txt from the colours or values of the masks.")
    ] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Check an image data set before training: files, masks, class shares, and a sheet of overlays."""
    from segmentation.checking.command import run_check

    if write_classes:
        from segmentation.checking.write_classes import write_classes as write

        typer.echo(without_control_characters(write(dataset, DataFolder.at(data_dir))), err=as_json)
    fit_to_train = run_check(
        dataset,
        DataFolder.at(data_dir),
        console=make_console(),
        as_json=as_json,
        files=files,
        format_options={"coco_classes": coco_classes},
    )
    if not fit_to_train:
        raise typer.Exit(1)


def _check_segmenter(name: str, folder: DataFolder) -> None:
    """Raises a UserError at once, before torch is imported, if there is no such checkpoint."""
    from segmentation.checkpoints.names import find_segmenter

    find_segmenter(name, folder)
