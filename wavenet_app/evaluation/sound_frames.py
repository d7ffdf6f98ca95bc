"""Features of the frames of a waveform: level, spectral flatness, power spectrum and log-mel bands."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wavenet_app.compiling.librosa_code import compiled_librosa

Floats = NDArray[np.float64]

FRAME_SECONDS = 0.032
HOP_SECONDS = 0.016
MEL_BANDS = 40
LOWEST_LEVEL = -120.0  # dB, the level of digital silence
# The noise of 8-bit mu-law in a silent band has about this level, which masks anything below.
LOWEST_MEL = -80.0


def frames(waveform: NDArray[np.floating], length: int, hop: int) -> Floats:
    """Returns whole frames, shape (count, length); a waveform shorter than a frame is padded with zeros.

    >>> frames(np.arange(5.0), 3, 2).tolist()
    [[0.0, 1.0, 2.0], [2.0, 3.0, 4.0]]
    """
    samples = np.asarray(waveform, dtype=np.float64)
    if samples.ndim != 1:
        raise ValueError(f"a waveform must have the shape (samples,), not {samples.shape}")
    padded = np.pad(samples, (0, max(0, length - len(samples))))
    return np.lib.stride_tricks.sliding_window_view(padded, length)[::hop]


def frame_lengths(sample_rate: int) -> tuple[int, int]:
    """Returns the usual frame and hop in samples: 32 and 16 ms."""
    return max(4, round(FRAME_SECONDS * sample_rate)), max(1, round(HOP_SECONDS * sample_rate))


def power_spectra(waveform: NDArray[np.floating], length: int, hop: int, points: int) -> Floats:
    """Returns the power of each frequency in each frame, shape (frames, points // 2 + 1).

    Uses Hann windows, scaled so that a sine of full scale on the frequency of a bin has power 1.

    Args:
        waveform: shape (samples,).
        length: length of a frame, in samples.
        hop: distance between frames, in samples.
        points: size of the Fourier transform, at least `length`.
    """
    window = np.hanning(length + 1)[:-1]
    spectrum = np.fft.rfft(frames(waveform, length, hop) * window, points, axis=1)
    return np.abs(spectrum * (2 / window.sum())) ** 2


def levels(waveform: NDArray[np.floating], sample_rate: int) -> Floats:
    """Returns the level of each frame in dB, shape (frames,): its RMS without its mean, relative to 1.

    A sine of full scale has -3 dB; any constant counts as silence.
    """
    deviation = frames(waveform, *frame_lengths(sample_rate)).std(axis=1)
    return np.maximum(20 * np.log10(np.maximum(deviation, 1e-12)), LOWEST_LEVEL)


def flatness(waveform: NDArray[np.floating], sample_rate: int) -> Floats:
    """Returns the flatness of each frame's power spectrum, 0 to 1, shape (frames,).

    It is the geometric over the arithmetic mean of the powers (Gray and Markel 1974, "A spectral-flatness measure for
    studying the autocorrelation method of linear prediction"): about 0.56 for white noise of any level, whose single
    periodograms are not flat, and near 0 for a tone.
    """
    length, hop = frame_lengths(sample_rate)
    power = power_spectra(waveform, length, hop, length)[:, 1:] + 1e-20
    return np.exp(np.log(power).mean(axis=1)) / power.mean(axis=1)


def log_mel(waveform: NDArray[np.floating], sample_rate: int, bands: int = MEL_BANDS) -> Floats:
    """Returns the level of each mel band in each frame, in dB, shape (frames, bands), at least -80.

    0 dB is a sine of full scale whose power is entirely in one band. The bands are librosa's triangles of peak 1 on
    Slaney's mel scale, from 0 to half the sample rate.
    """
    librosa = compiled_librosa()
    length, hop = frame_lengths(sample_rate)
    points = 2 ** (2 * length - 1).bit_length()  # more points than samples, so that the lowest bands contain a bin
    # a sine spreads over the noise bandwidth of the window, 1.5 bins for a Hann window before padding
    power = power_spectra(waveform, length, hop, points) * (length / (1.5 * points))
    weights = librosa.filters.mel(sr=sample_rate, n_fft=points, n_mels=bands, norm=None)
    return np.maximum(10 * np.log10(np.maximum(power @ weights.T, 1e-12)), LOWEST_MEL)
