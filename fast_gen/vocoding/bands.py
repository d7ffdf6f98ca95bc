"""Mel bands of other programs, taken over into those of a model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wavenet_app.compiling.librosa_code import compiled_librosa


@dataclass(frozen=True)
class Bands:
    """Triangular bands.

    Attributes:
        sample_rate: in Hz.
        window: samples of the Fourier transform.
        count: of bands.
        fmin: lower edge of the lowest, in Hz.
        fmax: upper edge of the highest, in Hz.
        scale: "htk" or "slaney".
        norm: "none" or "slaney".
    """

    sample_rate: int
    window: int
    count: int
    fmin: float
    fmax: float
    scale: str
    norm: str

    @property
    def centres(self) -> NDArray[np.float64]:
        """The middle of each band, (count,), in Hz."""
        librosa = compiled_librosa()
        edges: NDArray[np.float64] = librosa.mel_frequencies(
            self.count + 2, fmin=self.fmin, fmax=self.fmax, htk=self.scale == "htk"
        )
        return edges[1:-1]

    @property
    def weights(self) -> NDArray[np.float64]:
        """The sum of the weights of each band, (count,); 0 for one that lies between two frequencies."""
        import warnings

        librosa = compiled_librosa()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Empty filters")
            bank = librosa.filters.mel(
                sr=self.sample_rate,
                n_fft=self.window,
                n_mels=self.count,
                fmin=self.fmin,
                fmax=self.fmax,
                htk=self.scale == "htk",
                norm="slaney" if self.norm == "slaney" else None,
                dtype=np.float64,
            )
        return np.asarray(bank).sum(axis=1)


def taken_over(
    logarithms: NDArray[np.floating], theirs: Bands, ours: Bands, silence: float
) -> NDArray[np.float32]:  # fmt: skip
    """Returns frames in other bands: the mean magnitude of a band, interpolated over the frequencies.

    Bands that differ in their norm alone come out exact; others only about, since a band is one number.

    Args:
        logarithms: (frames, count), natural logarithms of magnitudes in `theirs`.
        theirs: the bands of these frames; they span `ours`.
        ours: the bands to return.
        silence: what a band holds that lies between two frequencies.

    Returns:
        (frames, count) of `ours`.
    """
    from_weights, to_weights = theirs.weights, ours.weights
    known, wanted = from_weights > 0, to_weights > 0
    means = np.asarray(logarithms, np.float64)[:, known] - np.log(from_weights[known])
    if theirs.scale == ours.scale and (theirs.fmin, theirs.fmax) == (ours.fmin, ours.fmax):
        found = np.full((len(means), ours.count), silence)
        found[:, known] = means + np.log(to_weights[known])
        return found.astype(np.float32)
    found = np.full((len(means), ours.count), silence)
    right = np.clip(np.searchsorted(theirs.centres[known], ours.centres), 1, known.sum() - 1)
    low, high = theirs.centres[known][right - 1], theirs.centres[known][right]
    share = np.clip((ours.centres - low) / (high - low), 0, 1)
    between = means[:, right - 1] * (1 - share) + means[:, right] * share
    found[:, wanted] = between[:, wanted] + np.log(to_weights[wanted])
    return found.astype(np.float32)
