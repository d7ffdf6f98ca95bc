"""Options that several commands of fast_gen share, as typer reads them."""

from __future__ import annotations

from typing import Annotated

import typer

from wavenet_app.audio.formats import FORMATS
from wavenet_app.core.completion import choices
from wavenet_app.core.options import finite

Seed = Annotated[int, typer.Option(min=0, max=2**63 - 1, help="The same seed gives the same audio.")]
TopK = Annotated[int, typer.Option(min=0, help="Sample from the K most likely codes only; 0 for all.")]
TopP = Annotated[
    float,
    typer.Option(
        callback=finite, min=0, max=1, help="Sample from the most likely codes that hold this much probability."
    ),
]
MinP = Annotated[
    float,
    typer.Option(
        callback=finite,
        min=0,
        max=1,
        help="Leave out codes less than this many times as likely as the most likely one.",
    ),
]
Temperature = Annotated[
    float | None,
    typer.Option(
        callback=finite,
        min=0,
        help="Lower is safer, higher is wilder; 0 takes the most likely code (default: 0.97; 1 for 16-bit samples).",
    ),
]
EvalTemperature = Annotated[
    float | None,
    typer.Option(
        callback=finite,
        min=0,
        help="Lower is safer, higher is wilder (default: 0.97; 0.6 for a vocoder).",
    ),
]
QuietTemperature = Annotated[
    float | None,
    typer.Option(
        callback=finite,
        min=0,
        help="That of quiet parts; lower makes pauses longer (default: 1, or --temperature if it is 0 or above 1).",
    ),
]
VocodingTemperature = Annotated[
    float | None,
    typer.Option(callback=finite, min=0, help="Lower is safer, higher is wilder (default: 0.6)."),
]
Refine = Annotated[
    int | None,
    typer.Option(
        min=0,
        metavar="TURNS",
        help="Iterations that pull vocoded audio towards its mel frames; 0 keeps it as sampled (default: 64).",
    ),
]
ENGINES = "auto|cpu|cluster|pipeline|cuda|graph|torch"
PRECISION_NAMES = "float32|bfloat16|int8"
Engine = Annotated[
    str,
    typer.Option(
        metavar=ENGINES,
        help="Engine to generate with; auto picks the fastest available.",
        autocompletion=choices(ENGINES),
    ),
]
Threads = Annotated[int, typer.Option(min=1, help="CPU cores for the engine.")]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="|".join(FORMATS),
        help="Format of the files (default: as --out says, else wav).",
        autocompletion=choices("|".join(FORMATS)),
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")]
Shards = Annotated[
    str | None,
    typer.Option("--shard", metavar="I/N", help="Of many files: make part I of N, on each of several machines."),
]
Processes = Annotated[
    int | None,
    typer.Option("--processes", min=1, max=1_024, help="For many files: processes (default: one a core)."),
]
Gpus = Annotated[
    str | None, typer.Option("--devices", metavar="0,1", help="For many files: GPUs, with a process each.")
]
