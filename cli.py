"""The command line `wavegen`: adds the commands of the packages, and has those that join several packages."""

from __future__ import annotations

import io
import os
import re
import shlex
import shutil
import sys
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from fast_gen import cli as audio
from fast_gen.publishing.cli import publish
from fast_gen.vocoding.cli import mel
from segmentation import cli as images
from studio.cli import studio
from wavenet_app.cli import inspect, train_command, voices
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.core.options import AsJson, CheckpointName, DataDir, finite, make_console, say_stopped
from wavenet_app.core.published import AbsentDataSetError
from wavenet_app.core.text import without_control_characters
from wavenet_app.core.usage import UsageError, missing_value, usage_line
from wavenet_app.core.version import version_line
from wavenet_app.downloads.cli import data

STOPPED = 130
"""Exit code after Ctrl-C, as shells have it."""

AUDIO, IMAGES, MODELS, DATA = "Audio", "Images", "Models", "Data sets"


class _Commands(TyperGroup):
    """The commands; one that Ctrl-C ends says so in a line, with the exit code that typer gives it."""

    def invoke(self, ctx: Any) -> Any:
        """Runs the command of a context."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            say_stopped(stop)
            raise typer.Exit(STOPPED) from None


app = typer.Typer(
    name="wavegen",
    cls=_Commands,
    help="Train WaveNet on a folder of audio, and hear it.",
    epilog="Start with: wavegen sample kathleen --play, or wavegen demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(version_line())
        raise typer.Exit


@app.callback()
def wavegen(
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Train WaveNet on a folder of audio, and hear it."""


def _preview(model: Any, config: Any, num_samples: int, conditioning: Any) -> Any:
    from fast_gen.evaluation.for_training import preview

    return preview(model, config, num_samples, conditioning)


def _judge(checkpoint: Path, corpus: Any, say: Any) -> Any:
    from fast_gen.evaluation.for_training import judge

    return judge(checkpoint, corpus, say)


def demo(
    minutes: Annotated[float, typer.Option(callback=finite, min=0.01, help="Training time.")] = 3.5,
    data_dir: DataDir = None,
) -> None:
    """Train a small model on built-in plucked strings, and generate audio with it."""
    from fast_gen.generation.command import run_sampling
    from fast_gen.generation.session import SampleRequest
    from wavenet_app.training.command import run_training
    from wavenet_app.training.options import RunOptions

    folder, console = DataFolder.at(data_dir), make_console()
    options = RunOptions(preset="tiny", minutes=minutes, logger="none")
    result = run_training(options, folder, console=console, preview=None, judge=_judge)
    request = SampleRequest(checkpoint=str(result.checkpoint), seconds=4.0, out=folder.generated)
    run_sampling(request, folder, console=console)
    typed = _typed_command()
    console.print(
        "\nThat was a model of plucked strings. Next, your own recordings:\n"
        f"  {typed} inspect FOLDER    check the recordings before training\n"
        f"  {typed} train FOLDER      train for half an hour; Ctrl-C stops early and keeps the model\n"
        f"  {typed} sample            generate audio with the newest model\n"
        f"  {typed} data              list the published data sets, and how to get them",
        highlight=False,
        soft_wrap=True,
    )


def _typed_command() -> str:
    """Returns what to type to run wavegen again: its name if it is on the path, else how it was run.

    Inside `uv run`, which names itself in UV, the path holds the environment; the user's shell does not have it.
    """
    uv = os.environ.get("UV")
    if uv and Path("pyproject.toml").is_file():
        own = Path(uv)
        shown = own.relative_to(Path.cwd()) if own.is_relative_to(Path.cwd()) else own
        return f"{'uv' if shutil.which('uv') else shlex.quote(str(shown))} run wavegen"
    return "wavegen" if shutil.which("wavegen") else shlex.quote(sys.argv[0])


def info(checkpoint: CheckpointName = None, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Show the settings, size, history and quality of a WaveNet or DeepLab."""
    from segmentation.checkpoints.names import is_deeplab

    folder = DataFolder.at(data_dir)
    if checkpoint is not None and is_deeplab(checkpoint, folder):
        from segmentation.checkpoints.info import run_deeplab_info

        run_deeplab_info(checkpoint, folder, console=make_console(), as_json=as_json)
        return
    from wavenet_app.checkpoints.info import run_info

    run_info(checkpoint, folder, console=make_console(), as_json=as_json)


def export(
    checkpoint: CheckpointName = None,
    name: Annotated[
        str | None,
        typer.Option(help="Writes pretrained/wavenet_NAME.pth or deeplab_*_NAME.pth (default: the run's name)."),
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
    make_console().print(f"{target} ({target.stat().st_size / 1e6:.1f} MB)", highlight=False, soft_wrap=True)


def _check_known(model: str, folder: DataFolder) -> None:
    """Refuses a name that is neither a preset nor a checkpoint, before torch is imported.

    Raises:
        UserError: there is no such preset or checkpoint.
    """
    from segmentation.checkpoints.names import find_of_either_half, pretrained_files
    from segmentation.config import PRESETS as IMAGE_PRESETS
    from wavenet_app.checkpoints.trained import find_checkpoint_or_name_presets
    from wavenet_app.config import PRESETS

    if model in PRESETS or model in IMAGE_PRESETS:
        return
    if find_of_either_half(model, folder) is None and not pretrained_files(model, folder):
        find_checkpoint_or_name_presets(model, folder)


def receptive_field(
    model: Annotated[
        str,
        typer.Argument(
            metavar="CHECKPOINT|PRESET",
            help="A trained WaveNet or DeepLab, or a preset: tiny, small, base, large, mobilenet, dilated, resnet50, "
            "resnet101.",
        ),
    ],
    inputs: Annotated[
        str | None,
        typer.Option(
            metavar="PATH|DATASET",
            help="Audio or images to average over (default: the run's training audio if present, else built-in data).",
        ),
    ] = None,
    count: Annotated[
        int | None, typer.Option(min=1, help="Number of inputs to average over (default: 16 of audio, 4 images).")
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(min=65, max=4097, metavar="PIXELS", help="DeepLab: side of the images (default: 512)."),
    ] = None,
    output_stride: Annotated[
        int | None, typer.Option(metavar="1|2|4|8|16", help="DeepLab: output stride (default: as trained).")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the untrained weights and of the inputs.")] = 0,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Measure which inputs a network reads, where it looks, and where dilations leave gaps."""
    folder = DataFolder.at(data_dir)
    _check_known(model, folder)
    from segmentation.receptive_field import is_segmentation, run_deeplab_field
    from wavenet_app.core.receptive_field.report import FieldRequest
    from wavenet_app.receptive_field import run_wavenet_field

    request = FieldRequest(model, inputs, count, size, output_stride, seed)
    run = run_deeplab_field if is_segmentation(model, folder) else run_wavenet_field
    run(request, folder, console=make_console(), as_json=as_json)


for panel, name, command in (
    (AUDIO, "demo", demo),
    (AUDIO, "train", train_command(_preview, _judge)),
    (AUDIO, "sample", audio.sample),
    (AUDIO, "voices", voices),
    (AUDIO, "vocode", audio.vocode),
    (AUDIO, "mel", mel),
    (AUDIO, "eval", audio.evaluate),
    (AUDIO, "inspect", inspect),
    (AUDIO, "bench", audio.bench),
    (AUDIO, "devices", audio.devices),
    (AUDIO, "studio", studio),
    (IMAGES, "seg-train", images.seg_train),
    (IMAGES, "seg-eval", images.seg_eval),
    (IMAGES, "seg-predict", images.seg_predict),
    (IMAGES, "seg-check", images.seg_check),
    (MODELS, "info", info),
    (MODELS, "export", export),
    (MODELS, "publish", publish),
    (MODELS, "receptive-field", receptive_field),
):
    app.command(name, rich_help_panel=panel)(command)
app.add_typer(data, name="data", rich_help_panel=DATA)


_OUT_OF_MEMORY = re.compile(r"can't allocate memory|out of memory|not enough memory", re.IGNORECASE)
"""What torch says when it gets no memory, of a CPU or a GPU."""


def _fail(message: str) -> NoReturn:
    """Ends the process with one line and exit code 2, also if standard output can take nothing any more."""
    with suppress(OSError):
        sys.stderr.write(f"error: {without_control_characters(message)}\n")
    try:
        sys.stdout.flush()
    except OSError:  # or Python would try once more at its end, and say so
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(2)


def _open_closed_streams() -> None:
    """Opens streams that the caller has closed, or the next file that is opened would be standard output."""
    for number, name in ((0, "stdin"), (1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)
            if descriptor != number:
                os.dup2(descriptor, number)
                os.close(descriptor)
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", closefd=False))


def _got(absent: AbsentDataSetError) -> bool:
    """Offers a data set that a command names and that is absent; returns whether it is here then."""
    if sys.argv[1:2] == ["data"] or not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        return False
    from wavenet_app.downloads.catalogue import data_set
    from wavenet_app.downloads.get import GetRequest, run_get

    one = data_set(absent.name)
    if one.registration:
        return False
    typer.echo(str(absent), err=True)
    if not typer.confirm(f"Get {absent.name} now?", default=False):
        raise typer.Exit(2)
    run_get(GetRequest([(one, one.chosen(()))], yes=True), absent.root, make_console())
    return True


def _run() -> int:
    """Runs the command that was typed, twice if a data set had to be downloaded first; returns the exit code."""
    typed = sys.argv[1:]
    if any(one.startswith("--") and other.startswith("--") for one, other in pairwise(typed)):
        problem = missing_value(typed, typer.main.get_command(app))
        if problem is not None:
            raise UserError(problem)
    try:
        code = app(prog_name="wavegen", standalone_mode=False)
    except AbsentDataSetError as absent:
        if not _got(absent):
            raise
        code = app(prog_name="wavegen", standalone_mode=False)
    return int(code or 0)


def main() -> None:
    """Runs the command line; a UserError becomes one line on standard error and exit code 2."""
    # Spinning threads halve the speed when anything else runs on the machine; this limit costs nothing on an idle
    # one. OpenMP reads it when torch is first imported.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names that the terminal cannot show must not end a command
            stream.reconfigure(errors="replace")
    try:
        code = _run()
        sys.stdout.flush()
        sys.exit(code)
    except typer.Exit as end:
        sys.exit(end.exit_code)
    except UserError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.filename or 'standard output'}: {error.strerror or error}")
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not _OUT_OF_MEMORY.search(str(error)):
            raise
        _fail("there is not enough memory; take a smaller model, shorter audio or fewer clips")
    except UsageError as error:
        if not sys.argv[1:]:
            error.show()  # the help, since there is no command
        else:
            sys.stderr.write(f"error: {usage_line(error, sys.argv[1:], typer.main.get_command(app))}\n")
        sys.exit(2)
    except KeyboardInterrupt as stop:  # outside a command
        say_stopped(stop)
        sys.exit(STOPPED)


if __name__ == "__main__":
    main()
