"""Pictures of structure: layers, queues, grids, and how the packages and the data flow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

BLUE, ORANGE, GREEN, GREY, LIGHT = "#3b6fb6", "#d9822b", "#3f8f5f", "#8a8f98", "#dfe3ea"


def save(path: Path) -> None:
    """Writes the current figure without a date, so that the same picture is the same file."""
    metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
    pyplot.savefig(path, bbox_inches="tight", metadata=metadata, transparent=path.suffix == ".svg")


def dilated(path: Path) -> None:
    """Four layers of taps at spacings 1, 2, 4, 8, and the sixteen samples that one output sees."""
    spacings = (1, 2, 4, 8)
    _, axes = pyplot.subplots(figsize=(8, 3.2))
    seen = {(len(spacings), 15)}
    for layer in range(len(spacings), 0, -1):
        spacing = spacings[layer - 1]
        for column in range(spacing, 16):
            for source in (column, column - spacing):
                bright = (layer, column) in seen
                axes.plot(
                    [source, column],
                    [layer - 1, layer],
                    color=BLUE if bright else LIGHT,
                    linewidth=1.8 if bright else 0.8,
                    zorder=2 if bright else 1,
                )
        seen |= {(layer - 1, column - back) for level, column in seen if level == layer for back in (0, spacing)}
    for layer in range(len(spacings) + 1):
        for column in range(16):
            bright = (layer, column) in seen
            axes.plot(column, layer, "o", markersize=8, color=BLUE if bright else LIGHT, zorder=3)
    axes.plot(15, 4, "o", markersize=11, color=ORANGE, zorder=4)
    labels = ["past samples", *(f"dilation {spacing}" for spacing in spacings)]
    for layer, label in enumerate(labels):
        axes.text(-0.8, layer, label, ha="right", va="center")
    axes.text(15.6, 4, "next sample", ha="left", va="center", color=ORANGE)
    axes.set_axis_off()
    save(path)


def queues(path: Path) -> None:
    """The same layers while generating: a queue for each, of which only both ends are touched."""
    spacings = (1, 2, 4, 8)
    _, axes = pyplot.subplots(figsize=(7, 4.4))
    for layer, spacing in enumerate(spacings):
        left = 8 - spacing
        for place in range(spacing):
            oldest = place == 0
            axes.add_patch(
                Rectangle((left + place, layer), 0.9, 0.5, facecolor=ORANGE if oldest else LIGHT, edgecolor=GREY)
            )
        axes.add_patch(Rectangle((8.3, layer), 0.9, 0.5, facecolor=BLUE, edgecolor=GREY))
        axes.text(-0.4, layer + 0.25, f"dilation {spacing}", ha="right", va="center")
        axes.annotate(
            "", xy=(8.75, layer + 0.98), xytext=(8.75, layer + 0.52), arrowprops={"arrowstyle": "->", "color": BLUE}
        )
        axes.annotate(
            "",
            xy=(9.0, layer + 0.98),
            xytext=(left + 0.45, layer + 0.52),
            arrowprops={"arrowstyle": "->", "color": ORANGE, "connectionstyle": "arc3,rad=-0.12"},
        )
    axes.text(9.6, 4.1, "next sample", va="center", color=BLUE)
    # Below the layers: beside one of them, a line would look like a property of that layer.
    for place, (color, meaning) in enumerate(
        (
            (BLUE, "newest value: pushed onto the queue"),
            (LIGHT, "waits, is not computed again"),
            (ORANGE, "oldest value: popped, the second tap"),
        )
    ):
        axes.add_patch(Rectangle((0, -1.2 - 0.7 * place), 0.9, 0.5, facecolor=color, edgecolor=GREY))
        axes.text(1.3, -0.95 - 0.7 * place, meaning, va="center")
    axes.set_xlim(-2.6, 12.5)
    axes.set_ylim(-2.7, 4.5)
    axes.set_axis_off()
    save(path)


def _reached(rates: Sequence[int], half: int = 16) -> np.ndarray:
    """Returns how many paths lead from each input pixel to the middle output, (side, side), through 3x3 layers."""
    side = 2 * half + 1
    line = np.zeros(side, np.int64)
    line[half] = 1
    for rate in rates:
        line = line + np.roll(line, rate) + np.roll(line, -rate)
    return np.outer(line, line)


def gridding(path: Path) -> None:
    """Which pixels three 3x3 layers read at equal dilations, and at growing ones."""
    figure, all_axes = pyplot.subplots(1, 2, figsize=(7, 3.6))
    for axes, rates in zip(all_axes, ((4, 4, 4), (1, 4, 7)), strict=True):
        paths = _reached(rates)
        axes.imshow(np.where(paths > 0, np.log1p(paths), np.nan), cmap="Blues", vmin=-1)
        share = (paths[4:-4, 4:-4] > 0).mean()
        axes.set_title(f"dilations {', '.join(map(str, rates))}: {share:.0%} of the pixels", fontsize=10)
        axes.set_axis_off()
    figure.tight_layout()
    save(path)


def output_stride(path: Path) -> None:
    """A circle as features at strides 16, 8 and 4 see it."""
    size = 64
    rows, columns = np.mgrid[:size, :size]
    picture = ((rows - 30) ** 2 + (columns - 34) ** 2 < 22**2).astype(float)
    picture[44:, :] = np.maximum(picture[44:, :], (np.abs(columns[44:, :] - 14) < 2).astype(float))
    figure, all_axes = pyplot.subplots(1, 4, figsize=(8, 2.3))
    for axes, stride in zip(all_axes, (1, 4, 8, 16), strict=True):
        blocks = picture.reshape(size // stride, stride, size // stride, stride).mean((1, 3))
        axes.imshow(blocks > 0.5, cmap="Blues", vmin=-0.2, vmax=1.3)
        axes.set_title("the image" if stride == 1 else f"stride {stride}: {(size // stride) ** 2} cells", fontsize=10)
        axes.set_axis_off()
    figure.tight_layout()
    save(path)


def _box(
    axes: Axes, x: float, y: float, text: str, width: float = 2.2, height: float = 0.7, color: str = LIGHT
) -> None:
    axes.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - height / 2), width, height, boxstyle="round,pad=0.05", facecolor=color, edgecolor=GREY
        )
    )
    axes.text(x, y, text, ha="center", va="center", fontsize=9, color="white" if color in (BLUE, ORANGE) else "black")


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], text: str = "", bend: float = 0.0) -> None:
    axes.add_patch(
        FancyArrowPatch(
            start, end, arrowstyle="-|>", mutation_scale=11, color=GREY, connectionstyle=f"arc3,rad={bend}", zorder=0
        )
    )
    if text:
        axes.text((start[0] + end[0]) / 2, (start[1] + end[1]) / 2 + 0.14, text, ha="center", fontsize=8, color=GREY)


def _page(width: float, height: float, scale: float = 0.75) -> Axes:
    _, axes = pyplot.subplots(figsize=(width * scale, height * scale))
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
    axes.set_aspect("equal")
    axes.set_axis_off()
    return axes


def block(path: Path) -> None:
    """The residual block that WaveNet and DeepLab's backbone share."""
    axes = _page(11, 5.2)
    _box(axes, 1.1, 2.6, "input", 1.4)
    _box(axes, 3.6, 2.6, "dilated\nconvolution", 1.9, 0.9, BLUE)
    _box(axes, 6.0, 3.4, "tanh", 1.2, 0.6)
    _box(axes, 6.0, 1.8, "sigmoid", 1.2, 0.6)
    _box(axes, 7.7, 2.6, "\u00d7", 0.6, 0.6)
    _box(axes, 9.7, 3.6, "1\u00d71: residual", 1.9, 0.6, BLUE)
    _box(axes, 9.7, 1.6, "1\u00d71: skip", 1.9, 0.6, BLUE)
    _box(axes, 9.7, 4.8, "+  → next block", 1.9, 0.5)
    _box(axes, 9.7, 0.4, "→ sum of skips", 1.9, 0.5)
    for start, end in (
        ((1.85, 2.6), (2.6, 2.6)),
        ((4.6, 2.8), (5.35, 3.4)),
        ((4.6, 2.4), (5.35, 1.8)),
        ((6.65, 3.4), (7.4, 2.75)),
        ((6.65, 1.8), (7.4, 2.45)),
        ((8.05, 2.75), (8.7, 3.5)),
        ((8.05, 2.45), (8.7, 1.7)),
        ((9.7, 3.95), (9.7, 4.5)),
        ((9.7, 1.25), (9.7, 0.7)),
    ):
        _arrow(axes, start, end)
    _arrow(axes, (1.1, 3.0), (8.7, 4.8), bend=-0.25)
    save(path)


def packages(path: Path) -> None:
    """Which package may import which."""
    axes = _page(11, 6.6, 0.95)
    _box(axes, 5.5, 6.1, "cli.py", 2.2, 0.6, BLUE)
    _box(axes, 5.5, 5.1, "studio: server > playing, segmenting, training > web", 5.2, 0.6)
    _box(
        axes,
        2.2,
        3.6,
        "fast_gen\nevaluation, bench, bulk, playing, publishing\nvocoding > generation > engines",
        4.1,
        1.1,
    )
    _box(
        axes,
        8.8,
        3.6,
        "segmentation\ntraining > evaluation, checking > prediction\ncheckpoints > datasets > network > config",
        4.1,
        1.1,
    )
    _box(
        axes,
        4.0,
        1.5,
        "wavenet_app\ninspection > training > downloads > evaluation\n"
        "checkpoints > corpus > network > audio\nconfig > heads > coding > compiling",
        4.6,
        1.5,
    )
    _box(axes, 9.2, 1.5, "wavenet_app.core\nblock, settings, checkpoints,\nloop", 2.9, 1.2, ORANGE)
    _arrow(axes, (5.5, 5.8), (5.5, 5.42))
    _arrow(axes, (4.8, 4.8), (2.6, 4.2))
    _arrow(axes, (6.2, 4.8), (8.4, 4.2))
    _arrow(axes, (5.4, 4.8), (4.6, 2.35))
    _arrow(axes, (2.6, 3.0), (3.4, 2.35), "all but training")
    _arrow(axes, (8.9, 3.0), (9.1, 2.2), "core only")
    _arrow(axes, (6.4, 1.5), (7.7, 1.5))
    save(path)


def training(path: Path) -> None:
    """How sound files become a checkpoint and a verdict."""
    axes = _page(13, 4.4)
    _box(axes, 1.2, 3.6, "sound files")
    _box(axes, 4.2, 3.6, "decoded cache\n16 bits, on disk")
    _box(axes, 7.2, 3.6, "clips: split,\ntrimmed, levelled")
    _box(axes, 10.4, 3.6, "batches: codes,\nmask, conditioning", 2.4)
    _box(axes, 10.4, 2.1, "core.loop", 2.4, 0.6, BLUE)
    _box(axes, 7.2, 2.1, "WaveNet", 2.2, 0.6, BLUE)
    _box(axes, 4.2, 2.1, "baseline:\nLPC-24 bits")
    _box(axes, 10.4, 0.6, "checkpoints,\nmetrics, logs", 2.4)
    _box(axes, 7.2, 0.6, "validation bits")
    _box(axes, 4.2, 0.6, "verdict", 2.2, 0.7, ORANGE)
    for start, end in (
        ((2.35, 3.6), (3.05, 3.6)),
        ((5.35, 3.6), (6.05, 3.6)),
        ((8.35, 3.6), (9.15, 3.6)),
        ((10.4, 3.2), (10.4, 2.45)),
        ((8.35, 2.1), (9.15, 2.1)),
        ((10.4, 1.75), (10.4, 1.0)),
        ((9.2, 1.9), (7.9, 1.0)),
        ((6.05, 0.6), (5.35, 0.6)),
        ((4.2, 1.7), (4.2, 1.0)),
        ((6.4, 3.2), (4.9, 2.5)),
    ):
        _arrow(axes, start, end)
    save(path)


def generation(path: Path) -> None:
    """What an engine is given, and what becomes of its codes."""
    axes = _page(13, 4.2)
    _box(axes, 1.4, 3.6, "checkpoint: weights", 2.5)
    _box(axes, 1.4, 2.6, "seed: uniforms", 2.5)
    _box(axes, 1.4, 1.6, "recording: primes", 2.5)
    _box(axes, 1.4, 0.6, "speaker, mel frames", 2.5)
    _box(axes, 5.4, 2.1, "engine\na queue per layer", 2.6, 1.2, BLUE)
    _box(axes, 8.9, 2.1, "codes >\nwaveform chunks", 2.4, 0.9)
    _box(axes, 11.9, 2.7, "file, spectrogram", 2.1)
    _box(axes, 11.9, 1.5, "device, pipe", 2.1)
    for height in (3.6, 2.6, 1.6, 0.6):
        _arrow(axes, (2.7, height), (4.05, 2.1 + 0.35 * (height - 2.1)))
    _arrow(axes, (6.75, 2.1), (7.65, 2.1))
    _arrow(axes, (10.15, 2.25), (10.8, 2.6))
    _arrow(axes, (10.15, 1.95), (10.8, 1.6))
    save(path)
