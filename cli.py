"""The command line: one short function per command, which parses, calls one function and prints one result."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError

app = typer.Typer(
    name="wavegen",
    help="Train WaveNet on a folder of audio, and hear it.",
    epilog="Start with: wavegen demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Root of all that is written (default: $WAVEGEN_DATA, else ./data).")
]
SPEAKER = "NAME|NAME:WEIGHT,..."
EngineName = Annotated[
    str,
    typer.Option(
        metavar="auto|cpu|cuda|graph|torch", help="Which engine generates; auto takes the fastest that can run."
    ),
]
USUAL_TEMPERATURE = "Below 1: safer; above 1: wilder; 0: always the likeliest (default: 1; for vocoding 0.8)."
Refine = Annotated[
    int | None,
    typer.Option(
        min=0,
        metavar="TURNS",
        help="Turns that move vocoded sound towards its frames; 0 leaves what was sampled (default: 64).",
    ),
]

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
CheckpointName = Annotated[
    str | None, typer.Argument(metavar="[CHECKPOINT]", help="A file, a run's name, or nothing for the newest run.")
]

SegmentationData = Annotated[
    str | None,
    typer.Argument(
        metavar="[DATASET]", help="A folder, or a name such as voc, cityscapes, coco, ade20k; none: built-in shapes."
    ),
]
SegmentationCheckpoint = Annotated[
    str, typer.Argument(metavar="CHECKPOINT", help="A run's name, a file, or a deeplab_*.pth of data/pretrained.")
]
Scales = Annotated[str, typer.Option(help="Average over these sizes of the image, such as 0.5,1,1.5.")]
Flip = Annotated[bool, typer.Option("--flip", help="Average over the mirrored image too.")]
Window = Annotated[
    int | None,
    typer.Option(help="Slide windows of so many pixels over the image (default: only over very large ones)."),
]
OutputStride = Annotated[
    int | None, typer.Option(metavar="8|16", help="For files that do not say it (default: as trained).")
]
CocoClassesOption = Annotated[
    str | None, typer.Option(help="For COCO: voc, its 21 classes (default), or all, background and COCO's own 80.")
]


@app.command()
def train(
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PATH]...", help="Folders and files of audio; none: the built-in corpus."),
    ] = None,
    preset: Annotated[
        str, typer.Option(help="tiny, small, base, large, or auto: small on a CPU, base on a GPU.")
    ] = "auto",
    minutes: Annotated[
        float | None, typer.Option(help="Train for so long (default: 30, if --max-steps is not given).")
    ] = None,
    max_steps: Annotated[int | None, typer.Option(help="Train for so many optimizer steps.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the run (default: after the folder).")] = None,
    resume: Annotated[
        str | None, typer.Option(help="Go on with this run, exactly where its last checkpoint stands.")
    ] = None,
    sample_rate: Annotated[
        int | None, typer.Option(help="Hz to resample to (default: the commonest rate of the files, at most 16000).")
    ] = None,
    split_by: Annotated[
        str | None, typer.Option(metavar="REGEX", help="Keep files whose match is equal on one side of the split.")
    ] = None,
    speakers: Annotated[
        str | None,
        typer.Option(
            metavar="folder|csv:FILE|regex:PATTERN",
            help="Learn voices by name: the sub-folder, a table, or a group in the path says who speaks in a file.",
        ),
    ] = None,
    condition: Annotated[
        str | None, typer.Option(metavar="mel", help="Learn to turn mel frames into sound, for: wavegen vocode")
    ] = None,
    head: Annotated[
        str | None,
        typer.Option(
            metavar="mu-law|logistics|gaussian",
            help="Predict mu-law codes (default), or 16-bit samples by a mixture of logistics or by one Gaussian.",
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the weights and of the order of the windows.")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file of settings, laid over the preset.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="SECTION.FIELD=VALUE", help="One setting; may be repeated.")
    ] = None,
    logger: Annotated[
        str, typer.Option(help="tensorboard, wandb (also offline, WANDB_MODE=offline) or none.")
    ] = "tensorboard",
    data_dir: DataDir = None,
) -> None:
    """Train a WaveNet on audio; keep its best and last checkpoint."""
    from wavenet_app.training.command import run_training
    from wavenet_app.training.run import RunOptions

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
        resume=resume,
        logger=logger,
    )
    run_training(options, DataFolder.at(data_dir), console=_console(), preview=_preview, judge=_judge)


@app.command()
def sample(
    checkpoint: CheckpointName = None,
    seconds: Annotated[float, typer.Option(min=0.01, help="Length of each clip.")] = 2.0,
    clips: Annotated[
        int | None,
        typer.Option("--clips", "-n", min=1, help="How many, side by side (default: 1, or one for each --prime)."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same audio.")] = 0,
    temperature: Annotated[
        float, typer.Option(min=0, help="Below 1: safer; above 1: wilder; 0: always the likeliest.")
    ] = 1.0,
    top_k: Annotated[int, typer.Option(min=0, help="Pick among the k likeliest codes only; 0 for all.")] = 0,
    top_p: Annotated[
        float, typer.Option(min=0, max=1, help="Pick among the likeliest codes that hold this probability.")
    ] = 1.0,
    speaker: Annotated[str | None, typer.Option(metavar=SPEAKER, help="Who speaks (default: all in turn).")] = None,
    prime: Annotated[
        list[Path] | None,
        typer.Option(metavar="CLIP|FOLDER", help="Continue this recording; several take turns over the clips."),
    ] = None,
    prime_seconds: Annotated[
        float | None, typer.Option(min=0.001, help="Take so much of its end (default: what the model can see).")
    ] = None,
    keep_prime: Annotated[
        bool, typer.Option("--keep-prime", help="Put the primed recording before what is generated.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the clips (default: generated/ in the data folder).")
    ] = None,
    engine: EngineName = "auto",
    precision: Annotated[
        str | None,
        typer.Option(
            metavar="float32|bfloat16|int8",
            help="Of the weights; less is faster (default: float32; with --play less if float32 cannot keep up).",
        ),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Cores for one engine.")] = 1,
    rank: Annotated[
        bool, typer.Option("--rank", help="Number the clips by likelihood, and redo those that ran away.")
    ] = False,
    keep: Annotated[int | None, typer.Option(min=1, help="With --rank: keep only so many, the most likely.")] = None,
    play: Annotated[bool, typer.Option("--play", help="Play it while it is made, and write the WAV.")] = False,
    device: Annotated[
        str | None, typer.Option(metavar="NAME|INDEX", help="Where to play; see: wavegen devices.")
    ] = None,
    forever: Annotated[
        bool, typer.Option("--forever", help="Until stopped with Ctrl-C; with --play or --stdout.")
    ] = False,
    stdout: Annotated[
        bool, typer.Option("--stdout", help="Write the WAV to a pipe while it is made, and no file.")
    ] = False,
    raw: Annotated[
        bool, typer.Option("--raw", help="With --stdout: no header, only 16-bit samples, the lower byte first.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Generate audio: a WAV and a picture of its spectrogram per clip."""
    from fast_gen.generation.command import SampleRequest, run_sampling

    folder = DataFolder.at(data_dir)
    request = SampleRequest(
        checkpoint=checkpoint,
        seconds=seconds,
        clips=clips,
        seed=seed,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        primes=tuple(prime or ()),
        prime_seconds=prime_seconds,
        keep_prime=keep_prime,
        out=out or folder.generated,
        engine=engine,
        precision=precision,
        threads=threads,
        rank=rank,
        keep=keep,
        speaker=speaker,
    )
    if not (play or forever or stdout or raw or device is not None):
        run_sampling(request, folder, console=_console())
        return
    from fast_gen.playing.command import LiveRequest, run_live

    pipe = sys.stdout.buffer if stdout else None
    live = LiveRequest(play=play, device=device, forever=forever, pipe=pipe, raw=raw)
    run_live(request, live, folder, console=_console(stderr=stdout))


@app.command()
def vocode(
    checkpoint: Annotated[str, typer.Argument(help="A model trained with --condition mel: a file or a run's name.")],
    source: Annotated[
        Path, typer.Argument(metavar="IN", help="A recording, a folder of them, or mel frames (.npy, .pt).")
    ],
    speaker: Annotated[str | None, typer.Option(metavar=SPEAKER, help="Whose voice, of a model with speakers.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same audio.")] = 0,
    temperature: Annotated[float | None, typer.Option(min=0, help=USUAL_TEMPERATURE)] = None,
    top_k: Annotated[int, typer.Option(min=0, help="Pick among the k likeliest codes only; 0 for all.")] = 0,
    top_p: Annotated[
        float, typer.Option(min=0, max=1, help="Pick among the likeliest codes that hold this probability.")
    ] = 1.0,
    refine: Refine = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the results (default: generated/ in the data folder).")
    ] = None,
    engine: EngineName = "auto",
    precision: Annotated[
        str, typer.Option(metavar="float32|bfloat16|int8", help="Of the weights; less is faster.")
    ] = "float32",
    threads: Annotated[int, typer.Option(min=1, help="Cores for one engine.")] = 1,
    data_dir: DataDir = None,
) -> None:
    """Turn recordings or saved mel frames into sound by a trained voice; what was cut short is gone on with."""
    from fast_gen.engines.sampling import VOCODING_TEMPERATURE
    from fast_gen.vocoding.command import VocodeRequest, run_vocoding
    from fast_gen.vocoding.refine import USUAL_TURNS

    folder = DataFolder.at(data_dir)
    request = VocodeRequest(
        checkpoint=checkpoint,
        source=source,
        out=out or folder.generated,
        speaker=speaker,
        seed=seed,
        temperature=VOCODING_TEMPERATURE if temperature is None else temperature,
        top_k=top_k,
        top_p=top_p,
        turns=USUAL_TURNS if refine is None else refine,
        engine=engine,
        precision=precision,
        threads=threads,
    )
    run_vocoding(request, folder, console=_console())


@app.command()
def devices() -> None:
    """List the sound devices that sample --play --device takes."""
    from fast_gen.playing.command import run_devices

    run_devices(_console())


@app.command()
def bench(
    checkpoint: CheckpointName = None,
    verify: Annotated[bool, typer.Option("--verify", help="Hold each engine against the full network.")] = False,
    seconds: Annotated[float, typer.Option(min=1, help="For all engines together, about.")] = 60.0,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Measure every engine, device and precision that this machine can run."""
    from fast_gen.bench.command import BenchRequest, run_bench_command

    request = BenchRequest(checkpoint, seconds, verify)
    progress = _console(stderr=True)
    run_bench_command(request, DataFolder.at(data_dir), console=_console(), progress=progress, as_json=as_json)


@app.command()
def inspect(
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Folders and files of audio.")],
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Look a corpus over before training: files, levels, defects, and how hard it is to predict."""
    from wavenet_app.inspection.command import run_inspection

    run_inspection(paths, DataFolder.at(data_dir), console=_console(), as_json=as_json)


@app.command()
def info(checkpoint: CheckpointName = None, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Show what a checkpoint holds: settings, size, history, and how good it is; of a WaveNet or a DeepLab."""
    from segmentation.checkpoints.names import is_deeplab

    folder = DataFolder.at(data_dir)
    if checkpoint is not None and is_deeplab(checkpoint, folder):
        from segmentation.checkpoints.info import run_deeplab_info

        run_deeplab_info(checkpoint, folder, console=_console(), as_json=as_json)
        return
    from wavenet_app.checkpoints.info import run_info

    run_info(checkpoint, folder, console=_console(), as_json=as_json)


@app.command("eval")
def evaluate(
    checkpoint: CheckpointName = None,
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PATH]...", help="Audio it was not trained on; none: what the run itself held out."),
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=0, help="Held-out audio to measure bits per sample on, at most; 0 for all of it.")
    ] = 60.0,
    clips: Annotated[
        int, typer.Option("--clips", "-n", min=1, help="How many clips to generate; of a vocoder, to vocode.")
    ] = 8,
    clip_seconds: Annotated[float, typer.Option(min=0.1, help="Length of each generated clip.")] = 2.0,
    temperature: Annotated[float | None, typer.Option(min=0, help=USUAL_TEMPERATURE)] = None,
    speaker: Annotated[
        str | None, typer.Option(metavar=SPEAKER, help="Who speaks in the named audio (default: by the run's rule).")
    ] = None,
    refine: Refine = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the generated clips.")] = 0,
    engine: EngineName = "auto",
    report: Annotated[
        Path | None, typer.Option(metavar="OUT.html", help="Write a page with players, spectrograms and curves.")
    ] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Is the model good? Bits per sample beside classical predictors, and what its own clips sound like."""
    from fast_gen.evaluation.command import run_eval
    from fast_gen.evaluation.subject import EvalRequest

    request = EvalRequest(
        checkpoint=checkpoint,
        paths=tuple(paths or ()),
        seconds=seconds,
        clips=clips,
        clip_seconds=clip_seconds,
        temperature=temperature,
        speaker=speaker,
        turns=refine,
        seed=seed,
        engine=engine,
    )
    run_eval(request, DataFolder.at(data_dir), console=_console(), as_json=as_json, page=report)


@app.command()
def export(
    checkpoint: CheckpointName = None,
    name: Annotated[
        str | None,
        typer.Option(
            help="Written as pretrained/wavenet_<name>.pth or deeplab_*_<name>.pth (default: the run's name)."
        ),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Write a checkpoint without its training state, to keep or to share."""
    from segmentation.checkpoints.names import is_deeplab

    folder = DataFolder.at(data_dir)
    if checkpoint is not None and is_deeplab(checkpoint, folder):
        from segmentation.checkpoints.info import export_deeplab

        target = export_deeplab(checkpoint, name, folder)
    else:
        from wavenet_app.checkpoints.trained import export_run

        target = export_run(checkpoint, name, folder)
    _console().print(f"{target} ({target.stat().st_size / 1e6:.1f} MB)", highlight=False, soft_wrap=True)


@app.command()
def demo(
    minutes: Annotated[float, typer.Option(min=0.01, help="Training time.")] = 3.5,
    data_dir: DataDir = None,
) -> None:
    """Train a small model on the built-in plucked strings, generate audio, and say where to look next."""
    from fast_gen.generation.command import SampleRequest, run_sampling
    from wavenet_app.training.command import run_training
    from wavenet_app.training.run import RunOptions

    folder, console = DataFolder.at(data_dir), _console()
    options = RunOptions(preset="tiny", minutes=minutes, logger="none")
    result = run_training(options, folder, console=console, preview=None, judge=_judge)
    request = SampleRequest(checkpoint=str(result.checkpoint), seconds=4.0, out=folder.generated)
    run_sampling(request, folder, console=console)
    console.print(
        "\nThose were plucked strings. Now your own recordings:\n"
        "  wavegen inspect FOLDER    what is in there, and whether it is fit to train on\n"
        "  wavegen train FOLDER      half an hour by default; Ctrl-C keeps what is learnt\n"
        "  wavegen sample            hear the newest model",
        highlight=False,
    )


@app.command()
def seg_check(
    dataset: SegmentationData = None,
    files: Annotated[
        int | None, typer.Option(min=1, help="Read so many images of each split, spread evenly (default: all).")
    ] = None,
    coco_classes: Annotated[
        str, typer.Option(help="For COCO: voc, its 21 classes, or all, background and COCO's own 80.")
    ] = "voc",
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Look an image data set over before training: files, masks, class shares, and a sheet of overlays."""
    from segmentation.checking.command import run_check

    fit_to_train = run_check(
        dataset,
        DataFolder.at(data_dir),
        console=_console(),
        as_json=as_json,
        files=files,
        format_options={"coco_classes": coco_classes},
    )
    if not fit_to_train:
        raise typer.Exit(1)


@app.command()
def receptive_field(
    model: Annotated[
        str,
        typer.Argument(
            metavar="CHECKPOINT|PRESET",
            help="A trained WaveNet or DeepLab, or tiny, small, base, large; mobilenet, dilated, resnet50, resnet101.",
        ),
    ],
    inputs: Annotated[
        str | None,
        typer.Option(
            metavar="PATH|DATASET",
            help="Audio or images to average over (default: a WaveNet's own training audio, if there; else built in).",
        ),
    ] = None,
    count: Annotated[
        int | None, typer.Option(min=1, help="Average over so many (default: 16 stretches of audio, or 4 images).")
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(min=65, max=4097, help="For DeepLab: pixels along a side of the images (default: 513)."),
    ] = None,
    output_stride: Annotated[
        int | None, typer.Option(metavar="8|16", help="For DeepLab: instead of what the file or the preset says.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the untrained weights and of the choices.")] = 0,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Measure how far a net sees, how far it looks, and where its dilations leave holes; with a picture."""
    from segmentation.receptive_field import is_segmentation, run_deeplab_field
    from wavenet_app.core.receptive_field.report import FieldRequest
    from wavenet_app.receptive_field import run_wavenet_field

    request, folder = FieldRequest(model, inputs, count, size, output_stride, seed), DataFolder.at(data_dir)
    run = run_deeplab_field if is_segmentation(model, folder) else run_wavenet_field
    run(request, folder, console=_console(), as_json=as_json)


@app.command()
def seg_train(
    dataset: SegmentationData = None,
    preset: Annotated[
        str,
        typer.Option(help="small, mobilenet, dilated, resnet50, resnet101, or auto: small on a CPU, else mobilenet."),
    ] = "auto",
    minutes: Annotated[
        float | None, typer.Option(help="Train for so long (default: 30, for the built-in shapes 3).")
    ] = None,
    max_steps: Annotated[int | None, typer.Option(help="Train for so many optimizer steps.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the run (default: after the data set).")] = None,
    resume: Annotated[
        str | None, typer.Option(help="Go on with this run, exactly where its last checkpoint stands.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the weights, the crops and their order.")] = None,
    coco_classes: CocoClassesOption = None,
    config: Annotated[Path | None, typer.Option(help="TOML file of settings, laid over the preset.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="SECTION.FIELD=VALUE", help="One setting; may be repeated.")
    ] = None,
    logger: Annotated[
        str, typer.Option(help="tensorboard, wandb (also offline, WANDB_MODE=offline) or none.")
    ] = "tensorboard",
    data_dir: DataDir = None,
) -> None:
    """Train DeepLab on labelled images; keep its best and last checkpoint."""
    from segmentation.training.command import run_training
    from segmentation.training.run import SegmentationOptions

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
    )
    run_training(options, DataFolder.at(data_dir), console=_console())


@app.command()
def seg_eval(
    checkpoint: SegmentationCheckpoint,
    dataset: Annotated[str, typer.Argument(help="A folder, or a name such as voc, cityscapes, coco, ade20k, shapes.")],
    split: Annotated[str, typer.Option(help="train or val.")] = "val",
    images: Annotated[
        int | None, typer.Option(min=1, help="Look at so many images, spread evenly (default: all).")
    ] = None,
    scales: Scales = "1",
    flip: Flip = False,
    window: Window = None,
    output_stride: OutputStride = None,
    coco_classes: CocoClassesOption = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Score a segmentation model on a data set: IoU of every class, mIoU, pixel accuracy, and the protocol."""
    from segmentation.evaluation.command import run_evaluation
    from segmentation.prediction.options import LabelOptions

    run_evaluation(
        LabelOptions(checkpoint, scales, flip, window, output_stride),
        dataset,
        DataFolder.at(data_dir),
        console=_console(),
        as_json=as_json,
        split=split,
        images=images,
        format_options={"coco_classes": coco_classes},
    )


@app.command()
def seg_predict(
    checkpoint: SegmentationCheckpoint,
    path: Annotated[Path, typer.Argument(metavar="IMAGE|FOLDER", help="What is to be labelled.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the results (default: segmentation_results/ in the data folder).")
    ] = None,
    scales: Scales = "1",
    flip: Flip = False,
    window: Window = None,
    output_stride: OutputStride = None,
    data_dir: DataDir = None,
) -> None:
    """Label images: masks in colour, overlays, and masks with the data set's own ids."""
    from segmentation.prediction.command import run_prediction
    from segmentation.prediction.options import LabelOptions

    options = LabelOptions(checkpoint, scales, flip, window, output_stride)
    run_prediction(options, path, DataFolder.at(data_dir), console=_console(), out=out)


def main() -> None:
    """Runs the command line; a UserError becomes one line on standard error and exit code 2."""
    # Threads that wait for each other by spinning halve the speed as soon as anything else runs on the machine; this
    # many turns cost nothing when it is quiet. Read by OpenMP when torch is first imported.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    try:
        app()
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
    except KeyboardInterrupt:  # before typer has taken over, which ends in the same way
        sys.exit(130)


def _console(*, stderr: bool = False) -> Any:
    from rich.console import Console

    return Console(stderr=stderr)


def _preview(model: Any, config: Any, num_samples: int, heard: Any) -> Any:
    from fast_gen.preview import preview

    return preview(model, config, num_samples, heard)


def _judge(checkpoint: Path, corpus: Any) -> str:
    from fast_gen.evaluation.for_training import judge

    return judge(checkpoint, corpus)


if __name__ == "__main__":
    main()
