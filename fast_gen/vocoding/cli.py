"""The command `wavegen mel`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wavenet_app.core.completion import choices, wavenets
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.core.near import did_you_mean_path
from wavenet_app.core.options import DataDir, finite, loading, make_console
from wavenet_app.core.swapped import FRAMES, refuse_data_as_model

_MAKERS = "hifi-gan|tacotron2|librosa|torchaudio"
_VALUES = "ln|ln-power|log10|log10-power|db|magnitude|power"


def mel(
    checkpoint: Annotated[
        str,
        typer.Argument(
            metavar="CHECKPOINT",
            help="The vocoder: a file, run or shipped voice.",
            autocompletion=wavenets,
        ),
    ],
    source: Annotated[Path, typer.Argument(metavar="FRAMES", help="Mel frames of another program (.npy, .npz, .pt).")],
    made_by: Annotated[
        str | None,
        typer.Option(
            metavar=_MAKERS,
            help="The program that made them, with its usual settings; the options below change single ones.",
            autocompletion=choices(_MAKERS),
        ),
    ] = None,
    values: Annotated[
        str | None,
        typer.Option(metavar=_VALUES, help="What the values are.", autocompletion=choices(_VALUES)),
    ] = None,
    normalised: Annotated[
        str | None,
        typer.Option(
            metavar="LOW,HIGH,DB,DB",
            help="Values from LOW to HIGH stand for decibels: --normalised=-4,4,-80,20, or 0,1,-80,20 for Tacotron.",
        ),
    ] = None,
    statistics: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Mean and standard deviation that each band was normalised by (.npy)."),
    ] = None,
    gain: Annotated[
        float,
        typer.Option(
            callback=finite,
            min=1e-6,
            max=1e6,
            help="Factor on the waveform that the frames still need: the gain of wavegen info, or 1/32768 = 3.05e-5.",
        ),
    ] = 1.0,
    sample_rate: Annotated[int | None, typer.Option(min=1, metavar="HZ", help="Sample rate of their audio.")] = None,
    hop: Annotated[int | None, typer.Option(min=1, metavar="SAMPLES", help="From frame to frame.")] = None,
    window: Annotated[int | None, typer.Option(min=2, metavar="SAMPLES", help="Of a Fourier transform: n_fft.")] = None,
    fmin: Annotated[
        float | None, typer.Option(callback=finite, min=0, metavar="HZ", help="Lower edge of the lowest band.")
    ] = None,
    fmax: Annotated[
        float | None, typer.Option(callback=finite, min=1, metavar="HZ", help="Upper edge of the highest band.")
    ] = None,
    mel_scale: Annotated[str | None, typer.Option(metavar="htk|slaney", help="Mel scale of the bands.")] = None,
    band_norm: Annotated[
        str | None, typer.Option(metavar="none|slaney", help="Whether each band is divided by its width.")
    ] = None,
    centred: Annotated[
        bool | None,
        typer.Option("--centred/--not-centred", help="Whether frame f is centred on sample f x hop (center=True)."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.npy", help="Write the frames as the vocoder takes them.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Say how mel frames of another program differ from those of a vocoder, and convert them."""
    from wavenet_app.checkpoints.trained import find_checkpoint

    folder = DataFolder.at(data_dir)
    refuse_data_as_model(checkpoint, "mel MODEL", FRAMES)
    find_checkpoint(folder.root, checkpoint)
    if not source.exists():
        raise UserError(f"there is no file {source}{did_you_mean_path(source)}")
    with loading(make_console(stderr=True)):
        from fast_gen.vocoding.making import Making
        from fast_gen.vocoding.mel_command import MelRequest, run_mel

    request = MelRequest(
        checkpoint=checkpoint,
        source=source,
        made_by=made_by,
        stated=Making(values, sample_rate, hop, window, fmin, fmax, mel_scale, band_norm, centred),
        normalised=normalised,
        statistics=statistics,
        gain=gain,
        out=out,
        overwrite=overwrite,
    )
    run_mel(request, folder, console=make_console())
