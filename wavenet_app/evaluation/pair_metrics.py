"""Metrics that compare a test waveform with an aligned reference, for vocoded audio.

Both waveforms have the shape (samples,), the same length, rate and gain, and are aligned in time: no metric shifts or
stretches them. Spectra are limited from below to -80 dB relative to a sine of full scale, because 8-bit audio contains
only quantisation noise below that.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wavenet_app.core.extras import how_to_install
from wavenet_app.evaluation.sound_frames import Floats, frame_lengths, log_mel, power_spectra

Waveform = NDArray[np.floating]

MIN_POWER = 1e-8
CEPSTRA = 13
# Window and hop in seconds: the three resolutions of Yamamoto et al. 2020, table 1, at their 24 kHz.
RESOLUTIONS = ((600 / 24_000, 120 / 24_000), (1_200 / 24_000, 240 / 24_000), (240 / 24_000, 50 / 24_000))


@dataclass(frozen=True)
class Measure:
    """The value of a metric, or why it has none.

    Attributes:
        value: the value; NaN if there is none.
        missing: one clause that says why there is no value, or None.
    """

    value: float
    missing: str | None = None


def stft_distance(reference: Waveform, test: Waveform, sample_rate: int) -> float:
    """Returns the multi-resolution STFT distance; 0 for equal waveforms.

    Spectral convergence plus mean absolute difference of the natural logarithms of the magnitudes, averaged over three
    resolutions. Source: Yamamoto et al. 2020, "Parallel WaveGAN", section 2.2, equations 4 to 6; the windows and hops
    are theirs in seconds, so the distance has the same meaning at any rate.

    Raises:
        ValueError: the waveforms differ in shape or are not of shape (samples,).
    """
    _check(reference, test)
    total = 0.0
    for window_seconds, hop_seconds in RESOLUTIONS:
        length, hop = max(4, round(window_seconds * sample_rate)), max(1, round(hop_seconds * sample_rate))
        points = 2 ** (length - 1).bit_length()
        wanted, found = (
            np.sqrt(np.maximum(power_spectra(waveform, length, hop, points), MIN_POWER))
            for waveform in (reference, test)
        )
        total += float(np.linalg.norm(wanted - found) / np.linalg.norm(wanted))
        total += float(np.abs(np.log(wanted) - np.log(found)).mean())
    return total / len(RESOLUTIONS)


def log_spectral_distance(reference: Waveform, test: Waveform, sample_rate: int) -> float:
    """Returns the log-spectral distance in dB: RMS over frequency, then mean over frames of 32 ms.

    Source: Gray and Markel 1976, "Distance measures for speech processing", the L2 norm of the log spectra.

    Raises:
        ValueError: the waveforms differ in shape or are not of shape (samples,).
    """
    _check(reference, test)
    length, hop = frame_lengths(sample_rate)
    wanted, found = (
        10 * np.log10(np.maximum(power_spectra(waveform, length, hop, length), MIN_POWER))
        for waveform in (reference, test)
    )
    return float(np.sqrt(((wanted - found) ** 2).mean(axis=1)).mean())


def mel_cepstral_distortion(reference: Waveform, test: Waveform, sample_rate: int) -> float:
    """Returns the mel-cepstral distortion in dB, mean over frames of 32 ms, by cepstra 1 to 13.

    Source: Kubichek 1993, "Mel-cepstral distance measure for objective speech quality assessment": 10 / ln 10 x
    sqrt(2 sum (c - c')^2), where the log amplitude is c0 + sum of c_m cos(m x frequency). In the orthonormal cosine
    transform C of N mel bands in dB that is sqrt(sum (C - C')^2 / N): the RMS difference in dB of the smoothed mel
    spectra, without their level (cepstrum 0). Values from other mel scales or cepstra are not comparable.

    Raises:
        ValueError: the waveforms differ in shape or are not of shape (samples,).
    """
    _check(reference, test)
    wanted, found = (_cepstra(waveform, sample_rate) for waveform in (reference, test))
    return float(np.sqrt(((wanted - found) ** 2).sum(axis=1)).mean())


def intelligibility(reference: Waveform, test: Waveform, sample_rate: int) -> Measure:
    """Returns STOI, 0 to 1, higher is better, computed by the package pystoi.

    Source: Taal et al. 2011, "An algorithm for intelligibility prediction of time-frequency weighted noisy speech".

    Raises:
        ValueError: the waveforms differ in shape or are not of shape (samples,).
    """
    _check(reference, test)
    try:
        from pystoi import stoi
    except ImportError:
        return Measure(np.nan, f"not installed: pystoi; {how_to_install('eval')}")
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # without this, it returns 1e-5 for too little speech
        try:
            return Measure(float(stoi(reference, test, sample_rate)))
        except RuntimeWarning:
            return Measure(np.nan, "less than 0.4 s of sound")


def perceived_quality(reference: Waveform, test: Waveform, sample_rate: int) -> Measure:
    """Returns PESQ as a mean opinion score, 1 to 4.6, higher is better, computed by the package pesq.

    Wide band (ITU-T P.862.2) at 16 kHz, to which other rates are resampled; narrow band (P.862) at 8 kHz and below.

    Raises:
        ValueError: the waveforms differ in shape or are not of shape (samples,).
    """
    _check(reference, test)
    try:
        import pesq
    except ImportError:
        return Measure(np.nan, f"not installed: pesq; {how_to_install('eval')} (it needs a C compiler)")
    import soxr

    rate, mode = (8_000, "nb") if sample_rate <= 8_000 else (16_000, "wb")
    at_rate = [
        np.asarray(waveform, dtype=np.float32)
        if sample_rate == rate
        else soxr.resample(np.asarray(waveform, dtype=np.float32), sample_rate, rate)
        for waveform in (reference, test)
    ]
    if not np.asarray(test).any():
        return Measure(np.nan, "the test waveform is digital silence")
    try:
        return Measure(float(pesq.pesq(rate, *at_rate, mode)))
    except pesq.PesqError as error:
        reason = error.args[0] if error.args else type(error).__name__
        return Measure(np.nan, reason.decode() if isinstance(reason, bytes) else str(reason))


PAIR_METRICS: Mapping[str, Callable[[Waveform, Waveform, int], float | Measure]] = {
    "multi-resolution STFT distance": stft_distance,
    "log-spectral distance (dB)": log_spectral_distance,
    "mel-cepstral distortion (dB)": mel_cepstral_distortion,
    "STOI (higher is better)": intelligibility,
    "PESQ (higher is better)": perceived_quality,
}
"""Label -> function of (reference, test, sample_rate); tables show these labels."""


def _check(reference: Waveform, test: Waveform) -> None:
    shapes = np.shape(reference), np.shape(test)
    if shapes[0] != shapes[1] or len(shapes[0]) != 1 or not shapes[0][0]:
        raise ValueError(f"reference and test must both have the shape (samples,) and the same length, not {shapes}")


def _cepstra(waveform: Waveform, sample_rate: int) -> Floats:
    """Returns cepstra 1 to 13 of each frame, shape (frames, 13), scaled so that squares add up to dB^2."""
    from scipy.fft import dct

    bands = log_mel(waveform, sample_rate)
    cepstra: Floats = dct(bands, norm="ortho", axis=1)[:, 1 : CEPSTRA + 1] / np.sqrt(bands.shape[1])
    return cepstra
