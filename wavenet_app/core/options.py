"""Options that several commands share, and the console that they print to."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wavenet_app.core.completion import choices, runs_to_resume, wavenets
from wavenet_app.core.text import without_control_characters

if TYPE_CHECKING:
    from rich.console import Console


def finite(value: float | None) -> float | None:
    """Returns the value of an option; refuses nan and infinity, which pass every limit or none."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is no length of time or other number")
    return value


DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Folder for everything that is read by name or written ($WAVEGEN_DATA or ./data)."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
CheckpointName = Annotated[
    str | None,
    typer.Argument(
        metavar="CHECKPOINT",
        help="A file, a run or a shipped voice; the newest run if omitted.",
        autocompletion=wavenets,
    ),
]
RunName = Annotated[
    str | None,
    typer.Option("--name", help="Name of the run (default: the name of the data set, and the preset if you give one)."),
]
Minutes = Annotated[
    float | None, typer.Option("--minutes", callback=finite, help="Stop after this many minutes (default: 30).")
]
MaxSteps = Annotated[int | None, typer.Option("--max-steps", help="Stop after this many optimizer steps.")]
Resume = Annotated[
    str | None,
    typer.Option(
        "--resume",
        metavar="RUN",
        help="Resume this run exactly from its last checkpoint.",
        autocompletion=runs_to_resume,
    ),
]
Devices = Annotated[
    str | None,
    typer.Option(
        "--devices",
        metavar="N|0,1|auto",
        help="Train in a process for each GPU, or in N processes without one (default: one GPU, or up to four cores).",
    ),
]
Nodes = Annotated[
    int | None,
    typer.Option("--nodes", min=1, help="Check that torchrun or srun has started this number of machines."),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Read settings from a TOML file or a run's config.json; they override the preset.",
    ),
]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.FIELD=VALUE", help="Change one setting; repeat it for several."),
]
_LOGGERS = "tensorboard|wandb|none"
Logger = Annotated[
    str,
    typer.Option(
        "--logger",
        metavar=_LOGGERS,
        help="Where to log curves; WANDB_MODE=offline works too.",
        autocompletion=choices(_LOGGERS),
    ),
]


@contextmanager
def loading(console: Console) -> Iterator[None]:
    """Shows that a command is starting, around the import of its libraries, which takes seconds."""
    with console.status("loading PyTorch"):
        yield


NOTHING_TRAINED = "stopped before the first step: nothing was trained, so nothing is kept"
UNCHANGED = "stopped before the first step: the run is as it was"
NOTHING_WRITTEN = "stopped; nothing was written"


class SaidStop(KeyboardInterrupt):
    """A KeyboardInterrupt whose line for the user is printed already."""


def say_stopped(stop: KeyboardInterrupt, otherwise: str = "stopped") -> None:
    """Prints what a KeyboardInterrupt says on standard error, or `otherwise` if it says nothing, and only once."""
    if not isinstance(stop, SaidStop):
        with suppress(OSError):
            typer.echo(without_control_characters(str(stop) or otherwise), err=True)


@contextmanager
def stopped_in_words(otherwise: str | Callable[[], str]) -> Iterator[None]:
    """Prints what a KeyboardInterrupt says, such as what is kept, and lets it end the command.

    Args:
        otherwise: printed if it says nothing; called at the interrupt if it is a function.
    """
    try:
        yield
    except KeyboardInterrupt as stop:
        say_stopped(stop, otherwise if isinstance(otherwise, str) else otherwise())
        raise SaidStop(str(stop)) from None


def make_console(*, stderr: bool = False) -> Console:
    """Returns the console that a command prints to."""
    from wavenet_app.core.console import PlainConsole

    return PlainConsole(stderr=stderr)
