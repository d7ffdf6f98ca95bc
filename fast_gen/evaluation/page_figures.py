"""The figures of the report: bits per sample during training, and the sound of the clips as distributions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from wavenet_app.compiling.librosa_code import compiled_librosa
from wavenet_app.core.figures import new_figure
from wavenet_app.evaluation.sound_distributions import SEMITONE_ORIGIN, SoundFeatures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def history_figure(history: list[dict[str, float]], lpc: float) -> Figure:
    """Returns bits per sample over the steps of training, with the LPC-24 baseline.

    Args:
        history: rows with step, train and validation; at least one.
        lpc: bits per sample of linear prediction; NaN is not drawn.
    """
    figure = new_figure(height=3.2)
    axes = figure.subplots()
    steps = [row["step"] for row in history]
    for name, style in (("train", ":"), ("validation", "-")):
        axes.plot(steps, [row[name] for row in history], style, marker=".", label=name)
    if not math.isnan(lpc):
        axes.axhline(lpc, color="grey", linestyle="--", label="LPC-24")
    axes.set_xlabel("step")
    axes.set_ylabel("bits per sample")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def sound_figure(real: SoundFeatures, generated: SoundFeatures, sample_rate: int) -> Figure:
    """Returns mean spectrum, energy, pitch and pauses of generated beside real clips.

    Args:
        real: of the real clips.
        generated: of the generated ones.
        sample_rate: in Hz.
    """
    librosa = compiled_librosa()
    figure = new_figure(height=6.0)
    spectrum, energy, pitch, pauses = figure.subplots(2, 2).ravel()
    bands = real.log_mel.shape[1]
    centres = librosa.mel_frequencies(n_mels=bands + 2, fmax=sample_rate / 2)[1:-1] / 1000
    threshold = real.pause_threshold
    for features, name, colour in ((real, "real", "C0"), (generated, "generated", "C1")):
        low, middle, high = np.percentile(features.log_mel, [10, 50, 90], axis=0)
        spectrum.plot(centres, middle, color=colour, label=name)
        spectrum.fill_between(centres, low, high, color=colour, alpha=0.2, linewidth=0)
    _histograms(energy, [np.concatenate(features.levels) for features in (real, generated)])
    _histograms(pitch, [SEMITONE_ORIGIN * 2 ** (features.pitch / 12) for features in (real, generated)])
    _histograms(pauses, [features.pauses(threshold) for features in (real, generated)])
    spectrum.set_xlabel("kHz; median, and the range of 80 % of the frames")
    spectrum.set_ylabel("level (dB)")
    spectrum.legend()
    energy.axvline(threshold, color="grey", linestyle="--", linewidth=1)
    energy.set_xlabel("level of a frame (dB); pauses are left of the line")
    pitch.set_xlabel("pitch of voiced frames (Hz)")
    pauses.set_xlabel("length of a pause (s)")
    for axes in (energy, pitch, pauses):
        axes.set_ylabel("density")
    return figure


def _histograms(axes: Axes, sets: list[NDArray[np.float64]]) -> None:
    """Draws the densities of real and generated values over the same bins."""
    edges = np.histogram_bin_edges(np.concatenate(sets), bins=40)
    for values, colour in zip(sets, ("C0", "C1"), strict=True):
        if len(values):
            axes.hist(values, bins=list(edges), density=True, histtype="stepfilled", alpha=0.5, color=colour)
