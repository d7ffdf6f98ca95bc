"""Matplotlib figures without global state, and PNG files of them that appear whole or not at all."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from wavenet_app.core.errors import UserError
from wavenet_app.core.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 120


def new_figure(height: float, width: float = 10.0, dots_per_inch: int = DOTS_PER_INCH) -> Figure:
    """Returns an empty figure that belongs to the caller alone: no global state of matplotlib is read or changed.

    Args:
        height: in inches.
        width: in inches.
        dots_per_inch: resolution of its files.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=dots_per_inch, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def write_png(path: Path, figure: Figure) -> None:
    """Writes a figure as a PNG, and makes its folder; the file appears whole or not at all.

    Raises:
        UserError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            figure.savefig(file, format="png")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from None


def png_bytes(figure: Figure, dots_per_inch: int = DOTS_PER_INCH) -> bytes:
    """Returns a figure as a PNG file, to be put into something else."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dots_per_inch)
    return buffer.getvalue()
