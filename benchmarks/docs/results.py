"""Charts of results, drawn from the tables of the notebook, so that no figure stands in two places."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from diagrams import BLUE, GREEN, GREY, ORANGE, save
from matplotlib import pyplot
from matplotlib.axes import Axes

NOTEBOOK = Path(__file__).resolve().parents[2] / "docs" / "results" / "notebook.md"


def row(heading: str, label: str) -> list[float]:
    """Returns the numbers of the first table row that starts with a label, in the section below a heading."""
    text = NOTEBOOK.read_text(encoding="utf-8")
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0] or text.partition(f"\n## {heading}\n")[2]
    found = re.search(rf"^\| (?:\*\*)?{re.escape(label)}(?:\*\*)? \|(.*)\|$", section, flags=re.MULTILINE)
    if found is None:
        raise LookupError(f"no row {label!r} in {heading!r}")
    return [float(cell.strip(" *").split()[0].replace(",", "")) for cell in found[1].split("|") if cell.strip()]


def _finish(axes: Axes, path: Path, *, x: str, y: str, limits: tuple[float, float]) -> None:
    """Names the axes of curves, sets the range of the vertical one, adds the legend, and writes the chart."""
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_ylim(*limits)
    axes.legend(frameon=False)
    save(path)


def bits_over_minutes(path: Path) -> None:
    """Bits per sample over half an hour of training, beside LPC-24."""
    heading = "Half an hour on real speech"
    minutes = row(heading, "minutes")
    _, axes = pyplot.subplots(figsize=(7, 3))
    axes.plot(minutes, row(heading, "bits"), "o-", color=BLUE, label="small, without prediction input")
    soap = "SOAP in the place of Adam"
    axes.plot(row(soap, "minutes"), row(soap, "with SOAP"), "s-", color=ORANGE, label="with prediction input and SOAP")
    axes.axhline(4.048, color=GREY, linestyle="--", label="LPC-24")
    _finish(axes, path, x="minutes of training, two CPU cores", y="bits per sample, held out", limits=(3.5, 4.5))


def bits_over_steps(path: Path) -> None:
    """Bits per sample over 10,000 steps with and without linear prediction as an input and SOAP, beside LPC-24."""
    heading = "Linear prediction as an input"
    steps = row(heading, "steps of two windows")
    _, axes = pyplot.subplots(figsize=(7, 3))
    axes.plot(steps, row(heading, "without it"), "o-", color=BLUE, label="without prediction input")
    axes.plot(steps, row(heading, "with it"), "s-", color=ORANGE, label="with prediction input")
    soap = row("SOAP in the place of Adam", "SOAP, 8e-3, 13,452 in all")
    axes.plot(steps, soap, "^-", color=GREEN, label="with prediction input and SOAP")
    axes.plot(steps, row(heading, "LPC-24"), color=GREY, linestyle="--", label="LPC-24")
    _finish(axes, path, x="steps of two windows, small", y="bits per sample, held out", limits=(3.6, 4.4))


def bits_of_presets(path: Path) -> None:
    """Bits per sample of three presets over minutes of one core, beside LPC-24."""
    heading = "The recipe with the prediction input"
    minutes = row(heading, "minutes of one core")
    _, axes = pyplot.subplots(figsize=(7, 3))
    for preset, mark, color in (("tiny", "^-", GREEN), ("small", "s-", ORANGE), ("base", "o-", BLUE)):
        axes.plot(minutes, row(heading, preset), mark, color=color, label=preset)
    axes.axhline(4.035, color=GREY, linestyle="--", label="LPC-24")
    _finish(axes, path, x="minutes of training, one CPU core", y="bits per sample, held out", limits=(3.6, 4.4))


def generation_speed(path: Path) -> None:
    """Samples a second of one clip on one core, by precision, beside real time, the textbook and what a core allows."""
    text = NOTEBOOK.read_text(encoding="utf-8").partition("\n## Generation speed\n")[2]
    allowed = text.partition("\n### What a core allows\n")[2]
    _, axes = pyplot.subplots(figsize=(7, 3))
    places, names = np.arange(4), ["textbook", "float32", "bfloat16", "int8"]
    textbook = {"small": 1_877, "base": 1_078}
    for offset, preset, color in ((-0.2, "small", BLUE), (0.2, "base", ORANGE)):
        line = re.search(rf"^\| {preset} \| 1 \|(.*)\|$", text, flags=re.MULTILINE)
        assert line is not None
        cells = [float(cell.strip(" *").split()[0].replace(",", "")) for cell in line[1].split("|")]
        speeds = [textbook[preset], cells[0], cells[2], cells[4]]
        bars = axes.bar(places + offset, speeds, 0.38, color=color, label=preset)
        axes.bar_label(bars, [f"{speed / 16_000:.2g}x" for speed in speeds], fontsize=8, padding=-11, color="white")
        limits = [limit(allowed, preset, precision) for precision in names[1:]]
        label = "limit of one core" if preset == "base" else None
        axes.plot(places[1:] + offset, limits, "_", color=GREY, markersize=24, markeredgewidth=2, label=label)
    axes.axhline(16_000, color=GREY, linestyle="--")
    axes.text(-0.45, 17_500, "real time at 16 kHz", fontsize=9, color=GREY)
    axes.set_yscale("log")
    axes.set_ylim(bottom=500)  # low enough that the label of the lowest bar fits into it
    axes.set_xticks(places, names)
    axes.set_ylabel("samples a second, one core")
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(0, 1.02))
    save(path)


def limit(table: str, preset: str, precision: str) -> float:
    """Returns the samples a second that one core allows, from the table of `benchmarks/cpu_roofline.py`."""
    found = re.search(rf"^\| {preset} \| {precision} \|(.*)\|$", table, flags=re.MULTILINE)
    if found is None:
        raise LookupError(f"no row for {preset} in {precision}")
    return float(found[1].split("|")[6].replace(",", ""))


def miou_over_minutes(path: Path) -> None:
    """Mean IoU on CamVid over an hour of training from random weights."""
    text = NOTEBOOK.read_text(encoding="utf-8").partition("\n## Street scenes from random weights (CamVid)\n")[2]
    tables = re.findall(r"^\| minutes \|(.*)\|$|^\| mIoU \|(.*)\|$", text.partition("\n## ")[0], flags=re.MULTILINE)
    numbers = [[float(cell) for cell in (one or other).split("|")] for one, other in tables]
    _, axes = pyplot.subplots(figsize=(7, 3))
    axes.plot(numbers[0], numbers[1], "o-", color=BLUE, label="mobilenet_v3_large")
    axes.plot(numbers[2], numbers[3], "s-", color=ORANGE, label="dilated (WaveNet's block)")
    _finish(axes, path, x="minutes of training, one CPU core", y="mean IoU, %", limits=(25, 60))
