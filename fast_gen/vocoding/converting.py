"""Mel frames of other programs, held against those of a model and converted where that is possible."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fast_gen.vocoding.bands import Bands, taken_over
from fast_gen.vocoding.making import VALUES, Making, Normalisation, likely_values
from fast_gen.vocoding.training_options import training_options
from wavenet_app.audio.mel import Frames, MelFrames
from wavenet_app.core.errors import UserError

SAME, CONVERTED, ABOUT, KEPT, REFUSED = "the same", "converted", "converted, about", "kept", "cannot be converted"
TAKEN = "taken as the same"
_STATED = {"scale": "{}", "norm": "{}", "window": "{:,}", "hop": "{:,}", "sample_rate": "{:,} Hz"}


@dataclass(frozen=True)
class Row:
    """One property of the frames.

    Attributes:
        what: its name.
        found: of the file, with how that is known.
        wanted: by the model.
        outcome: SAME, CONVERTED, ABOUT, KEPT, TAKEN or REFUSED, with a reason behind it where there is one.
    """

    what: str
    found: str
    wanted: str
    outcome: str


@dataclass(frozen=True)
class Conversion:
    """What is known of frames, and what becomes of them.

    Attributes:
        making: how they were made; everything is known but `values`, which may be None.
        bands: of a frame.
        normalisation: of the values, or None.
        statistics: (2, bands), mean and standard deviation of each band that the values were divided by, or None.
        gain: factor on the waveform that the frames still need.
        mel: the frames of the model.
        rows: all properties.
    """

    making: Making
    bands: int
    normalisation: Normalisation | None
    statistics: NDArray[np.floating] | None
    gain: float
    mel: MelFrames
    rows: list[Row]

    @property
    def refused(self) -> list[Row]:
        """The properties that cannot be converted."""
        return [row for row in self.rows if row.outcome.startswith(REFUSED)]

    def of(self, frames: NDArray[np.floating]) -> Frames:
        """Returns frames (frames, bands) as the model takes them."""
        values: NDArray[np.floating] = np.asarray(frames, np.float32)
        if self.statistics is not None:
            values = values * self.statistics[1] + self.statistics[0]
        if self.normalisation is not None:
            values = self.normalisation.undone(values)
        assert self.making.values is not None
        logarithms = VALUES[self.making.values][1](values)
        theirs, ours = bands_of(self.making, self.mel), own_bands(self.mel)
        if theirs != ours:
            logarithms = taken_over(logarithms, theirs, ours, float(self.mel.silence))
        return np.maximum(logarithms + np.float32(math.log(self.gain)), self.mel.silence).astype(np.float32)


def own_making(mel: MelFrames) -> Making:
    """Returns how the frames of a model are made."""
    settings = mel.mel
    return Making(
        "ln", mel.sample_rate, mel.hop, settings.n_fft, settings.fmin, settings.fmax, "htk", "none", centred=False
    )  # fmt: skip


def bands_of(making: Making, mel: MelFrames) -> Bands:
    """Returns the bands of frames that have as many as the model."""
    known = making.or_else(own_making(mel))
    assert known.sample_rate is not None
    assert known.window is not None
    assert known.fmin is not None
    assert known.fmax is not None
    assert known.scale is not None
    assert known.norm is not None
    return Bands(
        known.sample_rate, known.window, mel.mel.n_mels, known.fmin, known.fmax, known.scale, known.norm
    )  # fmt: skip


def own_bands(mel: MelFrames) -> Bands:
    """Returns the bands of the model."""
    return bands_of(own_making(mel), mel)


def planned(
    frames: NDArray[np.floating],
    turned: bool,
    stated: Making,
    mel: MelFrames,
    *,
    normalisation: Normalisation | None = None,
    statistics: NDArray[np.floating] | None = None,
    gain: float = 1.0,
) -> Conversion:
    """Returns what becomes of frames, without converting them.

    Args:
        frames: (frames, bands), as saved.
        turned: whether the file holds (bands, frames).
        stated: what the user says of them.
        mel: the frames of the model.
        normalisation: of the values.
        statistics: (2, bands), mean and standard deviation.
        gain: factor on the waveform.
    """
    own = own_making(mel)
    made = stated.or_else(own)
    values, said = _values(frames, stated, normalisation, statistics)
    order = "(bands, frames)", "(frames, bands)"
    rows = [
        Row("order", order[not turned], order[1], CONVERTED if turned else SAME),
        Row("values", said, VALUES["ln"][0], _values_outcome(values, normalisation, statistics)),
        _count(frames.shape[1], mel.mel.n_mels),
    ]
    for what, field in (("sample rate", "sample_rate"), ("hop", "hop"), ("window", "window")):
        rows.append(_exact(what, field, stated, own))
    rows += [_range(stated, own), *_scales(stated, made, own), _centring(stated, mel)]
    wanted = f"as in training, factor {gain:g}" if gain != 1 else "as in training"
    rows.append(Row("level", "as saved", wanted, CONVERTED if gain != 1 else f"{KEPT}; --gain changes it"))
    made = Making(**{**vars(made), "values": values})
    return Conversion(made, frames.shape[1], normalisation, statistics, gain, mel, rows)


def _values(
    frames: NDArray[np.floating],
    stated: Making,
    normalisation: Normalisation | None,
    statistics: NDArray[np.floating] | None,
) -> tuple[str | None, str]:
    """Returns which of `VALUES` frames hold, or None, and that in words.

    Raises:
        UserError: they cannot be what the user says.
    """
    if normalisation is not None:
        return "db", "normalised decibels, as --normalised says"
    lowest, highest = float(frames.min()), float(frames.max())
    span = f"{lowest:.4g} to {highest:.4g}"
    if stated.values in ("magnitude", "power") and statistics is None and lowest < 0:
        raise UserError(
            f"{VALUES[stated.values][0]} cannot be below 0, and the lowest value is {lowest:.4g}; say what the values "
            "are, such as --values ln"
        )
    if stated.values is not None:
        return stated.values, f"{span}: {VALUES[stated.values][0]}, as stated"
    if statistics is not None:
        return "ln", f"{span}: normalised by --statistics, taken as natural logarithms"
    likely = likely_values(lowest, highest)
    if likely is not None:
        return likely[0], f"{span}: {VALUES[likely[0]][0]}, for {likely[1]}"
    if lowest >= 0:
        return None, f"{span}: magnitudes, powers or normalised values"
    return "ln", f"{span}: taken as natural logarithms of magnitudes, as nothing says otherwise"


def _values_outcome(
    values: str | None, normalisation: Normalisation | None, statistics: NDArray[np.floating] | None
) -> str:  # fmt: skip
    if values is None:
        return f"{REFUSED}: say which"
    return SAME if values == "ln" and normalisation is None and statistics is None else CONVERTED


def _exact(what: str, field: str, stated: Making, own: Making) -> Row:
    """Returns the row of a property that no conversion changes."""
    wanted = getattr(own, field)
    found = getattr(stated, field)
    shown = _STATED[field]
    if found is None:
        return Row(what, "not stated", shown.format(wanted), TAKEN)
    return Row(what, shown.format(found), shown.format(wanted), SAME if found == wanted else REFUSED)


def _count(found: int, wanted: int) -> Row:
    return Row("bands in a frame", f"{found}", f"{wanted}", SAME if found == wanted else REFUSED)


def _range(stated: Making, own: Making) -> Row:
    assert own.fmin is not None
    assert own.fmax is not None
    wanted = f"{own.fmin:,g} to {own.fmax:,g} Hz"
    if stated.fmin is None and stated.fmax is None:
        return Row("bands", "not stated", wanted, TAKEN)
    low = own.fmin if stated.fmin is None else stated.fmin
    high = own.fmax if stated.fmax is None else stated.fmax
    found = f"{low:,g} to {high:,g} Hz"
    if (low, high) == (own.fmin, own.fmax):
        return Row("bands", found, wanted, SAME)
    spans = low <= own.fmin and high >= own.fmax
    return Row("bands", found, wanted, ABOUT if spans else f"{REFUSED}: they leave out what the model hears")


def _scales(stated: Making, made: Making, own: Making) -> list[Row]:
    rows = []
    for what, field, outcome in (("mel scale", "scale", ABOUT), ("band weights", "norm", CONVERTED)):
        wanted = getattr(own, field)
        if getattr(stated, field) is None:
            rows.append(Row(what, "not stated", wanted, TAKEN))
        else:
            found = getattr(made, field)
            rows.append(Row(what, found, wanted, SAME if found == wanted else outcome))
    return rows


def _centring(stated: Making, mel: MelFrames) -> Row:
    wanted = "half a hop after f x hop"
    if stated.centred is None:
        return Row("centre of frame f", "not stated", wanted, TAKEN)
    if not stated.centred:
        return Row("centre of frame f", wanted, wanted, SAME)
    late = 1_000 * mel.hop / 2 / mel.sample_rate
    return Row("centre of frame f", "f x hop", wanted, f"{KEPT}; the sound comes {late:.1f} ms later")


def refusal(conversion: Conversion, name: str) -> UserError:
    """Returns the error that says in a line what cannot be converted, and what to do."""
    rows = conversion.refused
    if [row.what for row in rows] == ["values"]:
        return UserError(f"{name} holds {rows[0].found}; say which: --values magnitude, --values power or --normalised")
    differ = ", ".join(f"{row.what} {row.found} instead of {row.wanted}" for row in rows if row.what != "values")
    again = f"{name} cannot be converted: {differ}; compute the frames again with the model's settings"
    try:
        options = " ".join(training_options(conversion.making, conversion.bands))
    except UserError as error:
        return UserError(f"{again}; no vocoder can be trained for them ({error})")
    return UserError(f"{again}, or train a vocoder for them with {options}, and convert them for that one")
