"""The Frechet distance between two sets of clips, on a cepstral embedding that needs no network.

It has the form of the Frechet audio distance (Kilgour et al. 2019, after Heusel et al. 2017, equation 6), but its
embedding is not VGGish: its values cannot be compared with a published FAD, only with each other at the same rate,
gain and amount of audio.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from wavenet_app.evaluation.sound_frames import HOP_SECONDS, Floats, frames, log_mel

PATCH_SECONDS = 0.5
CEPSTRA = 12  # few, so that some dozens of patches suffice to estimate the covariance


def embed(waveforms: Iterable[NDArray[np.floating]], sample_rate: int) -> Floats:
    """Returns a point in 24 dimensions for each patch of 0.5 s, every quarter of a second: shape (patches, 24).

    Each is the mean and the standard deviation, over the patch, of cepstra 0 to 11: the orthonormal cosine transform
    of 40 mel bands in dB, divided by the root of 40, so that squares are dB^2 of a smoothed mel spectrum.

    Args:
        waveforms: clips of shape (samples,), at one gain; a clip shorter than a patch gives one shorter patch.
        sample_rate: in Hz.
    """
    from scipy.fft import dct

    points = []
    for waveform in waveforms:
        bands = log_mel(waveform, sample_rate)
        cepstra = dct(bands, norm="ortho", axis=1)[:, :CEPSTRA] / np.sqrt(bands.shape[1])
        patch = min(round(PATCH_SECONDS / HOP_SECONDS), len(cepstra))
        patches = np.stack([frames(column, patch, max(1, patch // 2)) for column in cepstra.T])
        points.append(np.concatenate([patches.mean(axis=2), patches.std(axis=2)]).T)
    return np.concatenate(points)


def frechet_distance(one: Floats, other: Floats) -> float:
    """Returns |m - m'|^2 + tr(C + C' - 2 (C C')^(1/2)) of the means and covariances of two sets of points.

    It is biased upwards for few points, so compare only sets of equal size.

    Args:
        one: shape (points, dimensions).
        other: shape (other points, dimensions).

    Returns:
        The distance in the squared unit of the points; NaN if a set has fewer than two.

    >>> points = np.random.default_rng(0).normal(size=(100, 3))
    >>> round(frechet_distance(points, points + [2.0, 0.0, 0.0]), 6)
    4.0
    """
    if min(len(one), len(other)) < 2:
        return float("nan")
    covariances = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    # Apart from rounding, the eigenvalues of a product of two such matrices are real and not negative.
    roots = np.sqrt(np.maximum(np.linalg.eigvals(covariances[0] @ covariances[1]).real, 0.0))
    means = ((one.mean(axis=0) - other.mean(axis=0)) ** 2).sum()
    return float(max(0.0, means + np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * roots.sum()))
