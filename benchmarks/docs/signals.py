"""Pictures and sounds of signals: coding, bits, linear prediction, the effective receptive field, a shipped voice."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import soundfile
from diagrams import BLUE, GREY, ORANGE, save
from matplotlib import pyplot
from numpy.typing import NDArray
from PIL import Image

from wavenet_app.audio.pictures import write_spectrogram

VOICE, SECONDS, ORDER = "kathleen", 3.0, 24


@cache
def _clip() -> tuple[NDArray[np.float32], int]:
    """Returns a clip of a shipped voice, and its rate in Hz."""
    import fast_gen

    voice = fast_gen.load(VOICE)
    return voice.generate(seconds=SECONDS, seed=0), voice.sample_rate


def mu_law(path: Path) -> None:
    """The mu-law curve, and the error that 256 codes leave beside that of 8 bits in equal steps."""
    x = np.linspace(-1, 1, 2001)
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(8, 3))
    left.plot(x, np.sign(x) * np.log1p(255 * np.abs(x)) / np.log(256), color=BLUE)
    left.plot(x, x, color=GREY, linestyle="--", linewidth=1)
    left.set_xlabel("sample")
    left.set_ylabel("code, from -1 to 1")
    loud = np.logspace(-4, 0, 400)
    steps = np.log(256) * (1 / 255 + loud) * 2 / 256
    right.loglog(loud, steps, color=BLUE, label="256 mu-law codes")
    right.loglog(loud, np.full_like(loud, 2 / 256), color=GREY, linestyle="--", label="256 equal steps")
    right.set_xlabel("size of the sample")
    right.set_ylabel("distance to the next code")
    right.legend(frameon=False)
    figure.tight_layout()
    save(path)


def bits(path: Path) -> None:
    """Three predictions of the next code, and the bits that the code which comes takes under each."""
    codes = np.arange(256)
    happened = 141
    figure, all_axes = pyplot.subplots(1, 3, figsize=(9, 2.6), sharey=True)
    predictions = (
        ("knows nothing", np.ones(256)),
        ("knows the last sample", np.exp(-(((codes - 136) / 14.0) ** 2) / 2)),
        ("knows the voice", np.exp(-np.abs(codes - 140) / 2.2)),
    )
    for axes, (title, weights) in zip(all_axes, predictions, strict=True):
        p = weights / weights.sum()
        axes.fill_between(codes, p, color=BLUE, alpha=0.7, linewidth=0)
        axes.axvline(happened, color=ORANGE)
        axes.set_title(f"{title}: {-np.log2(p[happened]):.1f} bits", fontsize=10)
        axes.set_xlabel("next code")
    all_axes[0].set_ylabel("probability")
    figure.tight_layout()
    save(path)


def _residual(waveform: NDArray[np.float32], rate: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the linear prediction of each sample from the last 24, solved for each 30 ms, and what it misses.

    Source: the autocorrelation method (Makhoul 1975).
    """
    frame = round(0.03 * rate)
    signal = waveform.astype(np.float64)
    predicted = np.zeros_like(signal)
    for start in range(frame, len(signal), frame):
        past = signal[start - frame : start]
        r = np.array([past[: frame - lag] @ past[lag:] for lag in range(ORDER + 1)])
        matrix = r[np.abs(np.subtract.outer(np.arange(ORDER), np.arange(ORDER)))]
        matrix += np.eye(ORDER) * (1e-6 * r[0] + 1e-9)
        weights = np.linalg.solve(matrix, r[1:])
        for place in range(start, min(start + frame, len(signal))):
            predicted[place] = weights @ signal[place - ORDER : place][::-1]
    return predicted, signal - predicted


def prediction(path: Path) -> None:
    """Thirty milliseconds of a voice, what linear prediction says of each sample, and what is left."""
    waveform, rate = _clip()
    predicted, left = _residual(waveform, rate)
    length = round(0.03 * rate)
    start = max(
        range(rate // 4, len(waveform) - length, length),
        key=lambda at: float(np.square(waveform[at : at + length]).sum()),
    )
    part = slice(start, start + length)
    times = 1000 * np.arange(length) / rate
    figure, (top, bottom) = pyplot.subplots(2, 1, figsize=(8, 3.6), sharex=True, sharey=True)
    top.plot(times, waveform[part], color=BLUE, label="sound")
    top.plot(times, predicted[part], color=ORANGE, linewidth=1, label="linear prediction")
    top.legend(frameon=False, ncols=2, loc="upper right")
    bottom.plot(times, left[part], color=GREY)
    bottom.set_ylabel("what is left")
    bottom.set_xlabel("ms")
    figure.tight_layout()
    save(path)


def effective(path: Path) -> None:
    """Where a shipped voice looks: the energy of the gradient with respect to each past sample, added up."""
    import torch

    from wavenet_app.checkpoints.trained import load_trained
    from wavenet_app.core.receptive_field.effective import effective_field
    from wavenet_app.core.shipped import voice_path
    from wavenet_app.receptive_field import newest_logits

    file = voice_path(VOICE)
    assert file is not None
    trained = load_trained(file)
    model = trained.model.requires_grad_(False)
    config, field = trained.config, trained.config.model.receptive_field
    codes = config.model.coding.encode(_clip()[0] * np.float32(config.audio.gain)).astype(np.int64)
    starts = range(0, len(codes) - field, (len(codes) - field) // 6)
    inputs = [model.first_inputs(torch.from_numpy(codes[None, at : at + field]))[0].t() for at in starts]
    energy = effective_field(lambda hidden: newest_logits(model, hidden), inputs, torch.Generator().manual_seed(0))
    share = np.cumsum(energy[::-1]) / energy.sum()
    _, axes = pyplot.subplots(figsize=(8, 2.8))
    axes.semilogx(1 + np.arange(len(share)), share, color=BLUE)
    for level in (0.5, 0.9, 0.99):
        place = int(np.searchsorted(share, level)) + 1
        axes.plot([place, place], [0, level], color=ORANGE, linewidth=1)
        axes.text(place, level - 0.1, f" {level:.0%} within {place}", fontsize=9, ha="left")
    axes.axvline(field, color=GREY, linestyle="--")
    axes.text(field, 0.05, f"receptive field: {field} samples ", fontsize=9, color=GREY, ha="right")
    axes.set_xlabel("samples into the past")
    axes.set_ylabel("share of the energy")
    save(path)


def spectrogram(path: Path) -> None:
    """The first two seconds of the clip, as `wavegen sample` draws them."""
    waveform, rate = _clip()
    write_spectrogram(path, waveform[: 2 * rate], rate, "kathleen-seed0-0")
    Image.open(path).quantize(64).save(path, optimize=True)  # the colour map needs few colours


def _write(path: Path, waveform: NDArray[np.floating], rate: int) -> None:
    soundfile.write(path, 0.7 * waveform / np.abs(waveform).max(), rate, format="MP3", subtype="MPEG_LAYER_III")


def voice_sound(path: Path) -> None:
    """A clip of a shipped voice."""
    _write(path, *_clip())


def coarse_sound(path: Path) -> None:
    """The clip in 16 mu-law codes."""
    from wavenet_app.coding import MuLawCoding

    waveform, rate = _clip()
    coding = MuLawCoding(16)
    _write(path, coding.decode(coding.encode(waveform / np.abs(waveform).max())), rate)


def residual_sound(path: Path) -> None:
    """What linear prediction leaves of the clip, as loud as the clip."""
    waveform, rate = _clip()
    _write(path, _residual(waveform, rate)[1], rate)
