"""`wavegen mel` from request to file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from fast_gen.vocoding.converting import Conversion, planned, refusal
from fast_gen.vocoding.making import MAKERS, VALUES, Making, Normalisation
from fast_gen.vocoding.not_stated import not_stated
from fast_gen.vocoding.saved import arranged_frames, check_finite, likely_bands, load_array
from wavenet_app.audio.files import printable
from wavenet_app.audio.mel import MelFrames
from wavenet_app.checkpoints.trained import find_checkpoint, load_trained
from wavenet_app.core.console import print_labelled
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.core.files import replacing

NOTHING_STATED = Making()
_SCALES, _NORMS = ("htk", "slaney"), ("none", "slaney")


@dataclass(frozen=True)
class MelRequest:
    """The options of `wavegen mel`.

    Attributes:
        checkpoint: what `find_checkpoint` takes.
        source: the frames, .npy, .npz or .pt.
        made_by: a name of `MAKERS`, or None.
        stated: what the user says of the frames; it comes before `made_by`.
        normalised: what `Normalisation.parse` takes, or None.
        statistics: a .npy of mean and standard deviation, (2, bands), or None.
        gain: factor on the waveform that the frames still need.
        out: the file to write, or None.
        overwrite: whether `out` may exist.
    """

    checkpoint: str
    source: Path
    made_by: str | None = None
    stated: Making = NOTHING_STATED
    normalised: str | None = None
    statistics: Path | None = None
    gain: float = 1.0
    out: Path | None = None
    overwrite: bool = False


def run_mel(request: MelRequest, folder: DataFolder, *, console: Console) -> None:
    """Prints how frames differ from those of a model, and with `out` writes them as the model takes them.

    Raises:
        UserError: a file or option is invalid, or the frames cannot be converted.
    """
    stated = _stated(request)
    normalisation = None if request.normalised is None else Normalisation.parse(request.normalised)
    if request.out is not None:
        _check_out(request.out, overwrite=request.overwrite)
    trained = load_trained(find_checkpoint(folder.root, request.checkpoint))
    if trained.config.model.mel is None:
        raise UserError(f"{trained.config.name} is not a vocoder; train one with --condition mel")
    mel = MelFrames(trained.config.model.mel, trained.config.audio.sample_rate)
    name = printable(str(request.source))
    saved = load_array(request.source)
    bands = _bands_of(saved, mel)
    frames = arranged_frames(
        saved, bands, name, lambda remark: console.print(f"note: {name} {remark}", highlight=False, soft_wrap=True)
    )
    check_finite(name, frames)
    conversion = planned(
        frames,
        saved.shape[-2:] != frames.shape,
        stated,
        mel,
        normalisation=normalisation,
        statistics=None if request.statistics is None else _read_statistics(request.statistics, bands),
        gain=request.gain,
    )
    _show(conversion, console)
    unsure = None if request.made_by is None else not_stated(request.made_by, stated, mel)
    if unsure is not None:
        print_labelled(console, "warning", unsure)
    if conversion.refused:
        raise refusal(conversion, name)
    if request.out is None:
        return
    made = conversion.of(frames)
    with replacing(request.out) as file:
        np.save(file, made)
    lifted = float(np.mean(made <= mel.silence))
    seconds = len(made) * mel.hop / mel.sample_rate
    console.print(
        f"{printable(str(request.out))}  ({len(made):,} frames, {seconds:.2f} s; {lifted:.1%} of the values are at the "
        "floor)",
        highlight=False,
        soft_wrap=True,
    )


def _stated(request: MelRequest) -> Making:
    """Returns what the user says of the frames, with what the program is known for.

    Raises:
        UserError: a name does not exist.
    """
    for option, value, names in (
        ("--made-by", request.made_by, tuple(MAKERS)),
        ("--values", request.stated.values, tuple(VALUES)),
        ("--mel-scale", request.stated.scale, _SCALES),
        ("--band-norm", request.stated.norm, _NORMS),
    ):
        if value is not None and value not in names:
            raise UserError(f"{option} {value} is not one of {', '.join(names)}")
    if request.normalised is not None and request.stated.values is not None:
        raise UserError("--normalised gives decibels; leave out --values")
    return request.stated.or_else(MAKERS[request.made_by] if request.made_by else Making())


def _check_out(out: Path, *, overwrite: bool) -> None:
    if out.suffix.lower() != ".npy":
        raise UserError(f"--out {out} must end in .npy, which wavegen vocode reads")
    if out.exists() and not overwrite:
        raise UserError(f"{out} exists; choose another --out, or --overwrite")


def _bands_of(saved: NDArray[Any], mel: MelFrames) -> int:
    """Returns how many bands the frames of a file have: as many as the model's where they can."""
    if mel.mel.n_mels in saved.shape[-2:]:
        return mel.mel.n_mels
    return likely_bands(saved.shape) or mel.mel.n_mels


def _read_statistics(path: Path, bands: int) -> NDArray[np.float32]:
    wanted = (2, bands)
    found = load_array(path)
    if found.shape != wanted or not np.isfinite(found).all():
        raise UserError(
            f"{printable(str(path))} holds the shape {found.shape}; --statistics takes mean and standard deviation of "
            f"each band, {wanted}"
        )
    return np.asarray(found, np.float32)


def _show(conversion: Conversion, console: Console) -> None:
    table = Table(box=None, pad_edge=False)
    for title in ("", "file", "model", ""):
        table.add_column(title, overflow="fold")
    for row in conversion.rows:
        table.add_row(row.what, row.found, row.wanted, row.outcome)
    console.print(table)
