"""Receptive fields as pictures: the touched inputs, where the gradient's energy lies, and how far it spreads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wavenet_app.core.figures import new_figure, write_png
from wavenet_app.core.receptive_field.effective import spread
from wavenet_app.core.receptive_field.report import SHARES, FieldReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = "magma"
NET_COLOURS = {"untrained": "C7", "trained": "C1"}

_RANGE_DECIBELS = 60.0
_FLOOR = 1e-30
_BINS_PER_OCTAVE = 6


def write_field_picture(path: Path, report: FieldReport) -> None:
    """Writes `field_figure` as a PNG; the file appears whole or not at all.

    Raises:
        UserError: the file cannot be written.
    """
    write_png(path, field_figure(report))


def field_figure(report: FieldReport) -> Figure:
    """Returns the picture of a report, of one dimension or two, untrained and trained side by side."""
    return _line_figure(report) if report.touched.ndim == 1 else _map_figure(report)


def _line_figure(report: FieldReport) -> Figure:
    """Back from the newest sample, where the output stands: what is touched, each sample's energy, and its sum."""
    figure = new_figure(height=7.0)
    strip, levels, shares = figure.subplots(3, 1, sharex=True, height_ratios=[1, 6, 6])
    # from the newest sample back, counted from 1, because a logarithmic axis has no 0
    newest_first = slice(None, None, -1)
    steps = np.arange(1, len(report.touched) + 1)
    figure.suptitle(
        f"receptive field of {report.name}: {report.field[0]:,} samples, "
        f"{report.milliseconds(report.field[0]):.1f} ms, {report.touched_share:.1%} of them touched"
    )
    strip.pcolormesh(
        [*steps, len(steps) + 1], [0, 1], report.touched[newest_first][None], cmap="Blues", vmin=0, vmax=1.4
    )
    strip.set_yticks([])
    strip.set_ylabel("touched", rotation=0, ha="right", va="center")
    for net, energy in report.energies.items():
        if not energy.any():
            continue
        colour = NET_COLOURS[net]
        decibels = 10 * np.log10(np.maximum(energy[newest_first] / energy.max(), _FLOOR))
        levels.plot(steps, decibels, color=colour, alpha=0.35, linewidth=0.6)
        levels.plot(*_smoothed(energy[newest_first]), color=colour, label=f"{net}, mean over a sixth of an octave")
        grown = spread(energy, report.place)
        shares.plot(grown.distances + 1, grown.shares, color=colour, label=net, drawstyle="steps-post")
        _mark_radii(shares, report, net, offset=1)
    levels.set_ylim(-_RANGE_DECIBELS - 20, 3)
    levels.set_ylabel("energy of the gradient\n(dB under the greatest)")
    shares.set_ylabel("share of the energy\nnot older than this")
    shares.set_ylim(0, 1.08)
    shares.set_xscale("log")
    shares.set_xlim(1, len(steps) + 1)
    shares.set_xlabel(f"distance from the newest sample, plus one, in samples   ({report.inputs})")
    above = strip.secondary_xaxis("top", functions=(report.milliseconds, lambda time: time * _rate(report) / 1000))
    above.set_xlabel("ms")
    _legend(levels)
    _legend(shares)
    return figure


def _map_figure(report: FieldReport) -> Figure:
    """The touched pixels, the energy of each pixel, and the share within a distance."""
    figure = new_figure(height=8.0, width=4.6 * (1 + len(report.energies)))
    halves: Any = figure.subfigures(2, 1, height_ratios=[5, 3])
    above, below = halves
    panels = above.subplots(1, 1 + len(report.energies), squeeze=False)[0]
    size = " x ".join(f"{extent:,}" for extent in report.field)
    height, width = report.touched.shape
    shown = f" of the {height:,} x {width:,} that are shown" if report.is_cut else " of them"
    figure.suptitle(f"receptive field of {report.name}: {size} pixels, {report.touched_share:.1%}{shown} touched")
    down, right = report.place
    around = (-right - 0.5, width - right - 0.5, height - down - 0.5, -down - 0.5)
    panels[0].imshow(report.touched, cmap="Blues", vmin=0, vmax=1.4, extent=around, interpolation="nearest")
    panels[0].set_title("touched by convolutions" if report.sees_everything else "touched at all")
    _draw_box(panels[0], report)
    for panel, (net, energy) in zip(panels[1:], report.energies.items(), strict=True):
        greatest = max(float(energy.max()), _FLOOR)
        decibels = 10 * np.log10(np.maximum(energy / greatest, _FLOOR))
        image = panel.imshow(
            decibels, cmap=COLOURS, vmin=-_RANGE_DECIBELS, vmax=0, extent=around, interpolation="nearest"
        )
        panel.set_title(f"{net}: circles hold {' and '.join(f'{share:.0%}' for share in SHARES)}")
        _draw_box(panel, report)
        _draw_circles(panel, report, net)
    for panel in panels:
        panel.set_xlabel("pixels from the output's place")
        panel.set_xlim(around[0], around[1])
        panel.set_ylim(around[2], around[3])
    above.colorbar(image, ax=list(panels), label="energy of the gradient (dB under the greatest)", pad=0.02)
    shares = below.subplots()
    for net, energy in report.energies.items():
        if not energy.any():
            continue
        grown = spread(energy, report.place)
        shares.plot(grown.distances, grown.shares, color=NET_COLOURS[net], label=net, drawstyle="steps-post")
        _mark_radii(shares, report, net, offset=0)
    shares.set_xlabel(f"distance from the output's place, in pixels   ({report.inputs})")
    shares.set_ylabel("share of the energy\nwithin this distance")
    shares.set_ylim(0, 1.08)
    shares.set_xlim(0, float(np.hypot(max(down, height - down), max(right, width - right))))
    _legend(shares)
    return figure


def _smoothed(energy: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the middles and the mean levels, in dB under the greatest single energy, of bins of a sixth octave."""
    octaves = np.log2(len(energy) + 1)
    edges = np.unique(np.floor(2 ** np.arange(0, octaves + 1, 1 / _BINS_PER_OCTAVE)).astype(int))
    edges = np.append(edges[edges <= len(energy)], len(energy) + 1)
    means = np.add.reduceat(energy, edges[:-1] - 1) / np.diff(edges)
    middles = np.sqrt(edges[:-1] * (edges[1:] - 1))
    return middles, 10 * np.log10(np.maximum(means / energy.max(), _FLOOR))


def _mark_radii(axes: Axes, report: FieldReport, net: str, *, offset: int) -> None:
    # Labels of the two nets stand on different sides of the curve, since their radii may be all but equal.
    for share, found in zip(SHARES, report.radii[net], strict=True):
        if found is None:
            continue
        above = net == "trained"
        aside, alignment = ((-6, 5), "right") if above and found > 0 else ((6, 5 if above else -11), "left")
        axes.plot([found + offset], [share], "o", color=NET_COLOURS[net], markersize=5)
        axes.annotate(
            f"{share:.0%}: {found:,.0f}",
            (found + offset, share),
            xytext=aside,
            textcoords="offset points",
            ha=alignment,
            fontsize=8,
            color=NET_COLOURS[net],
        )


def _draw_box(axes: Axes, report: FieldReport) -> None:
    from matplotlib.patches import Rectangle

    (above, below), (left, right) = report.reach
    corner = (-left - 0.5, -above - 0.5)
    axes.add_patch(Rectangle(corner, left + right + 1, above + below + 1, fill=False, edgecolor="C2", linewidth=1.2))


def _draw_circles(axes: Axes, report: FieldReport, net: str) -> None:
    from matplotlib.patches import Circle

    for found in report.radii[net]:
        if found is not None:
            axes.add_patch(Circle((0, 0), found, fill=False, edgecolor="white", linewidth=1.0, linestyle="--"))


def _legend(axes: Axes) -> None:
    if axes.get_lines():
        axes.legend(loc="best", fontsize=8, framealpha=1)


def _rate(report: FieldReport) -> int:
    assert report.sample_rate is not None
    return report.sample_rate
