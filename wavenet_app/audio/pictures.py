"""Waveforms as pictures: a spectrogram under its waveform, and several spectrograms on one colour scale."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wavenet_app.core.figures import new_figure, write_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

WINDOW_SECONDS = 1024 / 16_000
# More columns than a picture has pixels would only cost time and memory.
GREATEST_COLUMNS = 2_000
RANGE_DECIBELS = 80.0
FLOOR = 1e-10
COLOURS = "magma"


class Scale(NamedTuple):
    """The limits of the axes of a picture.

    Attributes:
        reach: greatest amplitude.
        top: greatest level, in dB; the least one is `RANGE_DECIBELS` below.
    """

    reach: float
    top: float


def common_scale(waveforms: Iterable[NDArray[np.floating]], sample_rate: int) -> Scale:
    """Returns one scale for the pictures of several waveforms (samples,), at least one.

    >>> common_scale([np.zeros(4), np.array([0.5, -0.8, 0.5])], 8_000).reach
    0.8
    """
    scales = [_own_scale(waveform, spectrogram(waveform, sample_rate)[0]) for waveform in waveforms]
    return Scale(max(scale.reach for scale in scales), max(scale.top for scale in scales))


def spectrogram(waveform: NDArray[np.floating], sample_rate: int) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Returns the level of every frequency over time: Hann windows of 64 ms, about 16 ms apart.

    Args:
        waveform: shape (samples,).
        sample_rate: in Hz.

    Returns:
        Levels in dB relative to a sine of full scale, shape (frequencies, columns), and each column's centre in
        seconds, shape (columns,). Frequencies run evenly from 0 to half the sample rate.
    """
    points = max(2 * round(WINDOW_SECONDS * sample_rate / 2), 2)
    hop = max(points // 4, -(-len(waveform) // GREATEST_COLUMNS))
    starts = np.arange(0, max(len(waveform), 1), hop)
    padded = np.pad(np.asarray(waveform, dtype=np.float32), (points // 2, points))
    window = np.hanning(points + 1)[:-1].astype(np.float32)
    levels = np.empty((points // 2 + 1, len(starts)), dtype=np.float32)
    for column, start in enumerate(starts):
        magnitude = np.abs(np.fft.rfft(padded[start : start + points] * window))
        levels[:, column] = 20 * np.log10(np.maximum(magnitude * 2 / window.sum(), FLOOR))
    return levels, starts / sample_rate


def spectrogram_figure(
    waveform: NDArray[np.floating], sample_rate: int, title: str = "", scale: Scale | None = None
) -> Figure:
    """Returns a figure with the waveform in a strip above its spectrogram.

    No global state of matplotlib is read or changed.

    Args:
        waveform: shape (samples,); may be empty.
        sample_rate: in Hz.
        title: above the picture.
        scale: limits of the axes; None for the waveform's own.

    Raises:
        ValueError: the waveform has another shape or is not finite.
    """
    samples = _checked(waveform)
    levels, times = spectrogram(samples, sample_rate)
    reach, top = scale or _own_scale(samples, levels)
    figure = new_figure(height=5.0)
    strip, picture = figure.subplots(2, 1, sharex=True, height_ratios=[1, 3])
    _draw_waveform(strip, samples, sample_rate, reach)
    strip.set_title(title)
    image = _draw_spectrogram(picture, levels, times, sample_rate, top)
    picture.set_xlabel("time (s)")
    figure.colorbar(image, ax=[strip, picture], label="level (dB)", pad=0.02)
    return figure


def comparison_figure(waveforms: Mapping[str, NDArray[np.floating]], sample_rate: int) -> Figure:
    """Returns a figure with one spectrogram above another, all on one colour scale and one time scale.

    Args:
        waveforms: title -> samples, each of shape (samples,), in the order from top to bottom.
        sample_rate: of all of them, in Hz.

    Raises:
        ValueError: there is no waveform, or one has another shape or is not finite.
    """
    if not waveforms:
        raise ValueError("there are no waveforms to compare")
    drawn = {title: spectrogram(_checked(waveform), sample_rate) for title, waveform in waveforms.items()}
    top = max(float(levels.max()) for levels, _ in drawn.values())
    figure = new_figure(height=1.0 + 2.4 * len(drawn))
    axes = figure.subplots(len(drawn), 1, sharex=True, squeeze=False)[:, 0]
    for picture, (title, (levels, times)) in zip(axes, drawn.items(), strict=True):
        image = _draw_spectrogram(picture, levels, times, sample_rate, top)
        picture.set_title(title)
    longest = max(len(waveform) for waveform in waveforms.values())
    axes[-1].set_xlim(0, max(longest / sample_rate, WINDOW_SECONDS))
    axes[-1].set_xlabel("time (s)")
    figure.colorbar(image, ax=list(axes), label="level (dB)", pad=0.02)
    return figure


def write_spectrogram(path: Path, waveform: NDArray[np.floating], sample_rate: int, title: str = "") -> None:
    """Writes `spectrogram_figure` as a PNG; the file appears whole or not at all.

    Raises:
        UserError: the file cannot be written.
        ValueError: the waveform has another shape or is not finite.
    """
    write_png(path, spectrogram_figure(waveform, sample_rate, title))


def write_comparison(path: Path, waveforms: Mapping[str, NDArray[np.floating]], sample_rate: int) -> None:
    """Writes `comparison_figure` as a PNG; the file appears whole or not at all.

    Raises:
        UserError: the file cannot be written.
        ValueError: there is no waveform, or one has another shape or is not finite.
    """
    write_png(path, comparison_figure(waveforms, sample_rate))


def _checked(waveform: NDArray[np.floating]) -> NDArray[np.floating]:
    samples = np.asarray(waveform)
    if samples.ndim != 1 or not np.isfinite(samples).all():
        raise ValueError(f"a waveform must be finite and of shape (samples,), not {samples.shape}")
    return samples


def _own_scale(samples: NDArray[np.floating], levels: NDArray[np.float32]) -> Scale:
    return Scale(max(float(np.abs(samples).max()) if len(samples) else 0.0, 1e-3), float(levels.max()))


def _draw_waveform(axes: Axes, samples: NDArray[np.floating], sample_rate: int, reach: float) -> None:
    # The lowest and highest sample of each column keep every peak, unlike plain decimation.
    step = max(-(-len(samples) // GREATEST_COLUMNS), 1)
    if len(samples):
        starts = np.arange(0, len(samples), step)
        low, high = np.minimum.reduceat(samples, starts), np.maximum.reduceat(samples, starts)
        axes.fill_between(starts / sample_rate, low, high, linewidth=0.6, edgecolor="C0")
    axes.set_ylim(-1.05 * reach, 1.05 * reach)
    axes.set_ylabel("amplitude")


def _draw_spectrogram(
    axes: Axes, levels: NDArray[np.float32], times: NDArray[np.float64], sample_rate: int, top: float
) -> AxesImage:
    hop = float(times[1] - times[0]) if len(times) > 1 else WINDOW_SECONDS
    image = axes.imshow(
        levels,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        cmap=COLOURS,
        vmin=top - RANGE_DECIBELS,
        vmax=top,
        extent=(times[0] - hop / 2, times[-1] + hop / 2, 0.0, sample_rate / 2_000),
    )
    axes.set_facecolor(image.cmap(0.0))  # after the end of a shorter clip
    axes.set_xlim(0, max(float(times[-1]), hop))
    axes.set_ylabel("frequency (kHz)")
    return image
