"""The all-pole filter that mel frames give, so that a vocoder makes its excitation and the frames make the spectrum.

A network that samples a waveform drifts away from its frames: in training the true past tells it nearly all that they
say. Here the spectrum and the level are not its task. The recording is filtered by the inverse of what its frames say,
the network learns the rest, which is nearly white and of unit level, and the filter puts the spectrum back onto what
it samples. Source of the idea: Song et al. 2019, "ExcitNet vocoder: A neural excitation model for parametric speech
synthesis systems", section 3; the filter from frames as in Valin and Skoglund 2019, "LPCNet: Improving neural speech
synthesis through linear prediction", section 3.1.

All arithmetic is float64 in an order that does not depend on how frames are cut into pieces.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wavenet_app.config import MelConfig

Floats = NDArray[np.float64]
Frames = NDArray[np.float32]

LEVEL = 1 / 16
"""RMS of the excitation that codes stand for; peaks of 16 times that still fit into [-1, 1]."""

_LAG_HERTZ = 10.0  # smooths the spectrum: no pole is narrower, or a tone between two bands would ring
_WHITENING = 1e-5  # share of the energy added as white noise: the filter spans at most about 50 dB
_LEAST_POWER = 1e-10  # of a frame of digital silence, a third of a step of 16-bit samples
_LEAST_GAIN = 2e-5
_MOST_UPDATES = 4  # of the filter in a frame


class Filters(NamedTuple):
    """The filters of a stretch of frames, each for a share of a frame.

    Attributes:
        coefficients: (steps, order), of each step the weights of the samples 1, 2, ... back.
        gains: (steps,), the level of the excitation, so that the input of the filter has unit level.
    """

    coefficients: Floats
    gains: Floats


class FrameFilter:
    """Makes filters of frames, and takes a waveform to its excitation.

    Attributes:
        order: of the filters.
        hold: samples that share a filter.

    Args:
        mel: resolved settings of the frames, with a filter.
        bank: the weight of each frequency in each band, (n_fft // 2 + 1, n_mels).
        sample_rate: in Hz.
    """

    def __init__(self, mel: MelConfig, bank: NDArray[np.float32], sample_rate: int) -> None:
        assert mel.n_fft is not None
        assert mel.filter_order
        self.order = mel.filter_order
        self._updates = next(count for count in range(_MOST_UPDATES, 0, -1) if mel.hop % count == 0)
        self.hold = mel.hop // self._updates
        weights = bank.astype(np.float64)
        self._used = weights.sum(axis=0) > 1e-9
        weights = weights[:, self._used]
        covered = weights.sum(axis=1)
        inside = np.flatnonzero(covered > 1e-9)
        nearest = inside[np.abs(np.arange(len(covered))[:, None] - inside).argmin(axis=1)]
        # the magnitude of a frequency: the mean magnitudes of its bands, by their weight there
        self._spread = ((weights / np.maximum(covered, 1e-12)[:, None]) / weights.sum(axis=0))[nearest].T
        lags = np.arange(self.order + 1)
        ends = np.ones(len(weights))
        ends[1 : -1 if mel.n_fft % 2 == 0 else None] = 2
        cosines = np.cos(2 * np.pi * np.arange(len(weights))[:, None] * lags / mel.n_fft) * ends[:, None]
        smoothing = np.exp(-0.5 * (2 * np.pi * _LAG_HERTZ * lags / sample_rate) ** 2)
        window = np.sin(np.pi * np.arange(mel.n_fft) / mel.n_fft) ** 2  # Hann's, as of the frames
        # the mean square of a Gaussian magnitude is 4 / pi times its squared mean
        self._lags = cosines * smoothing * (4 / np.pi / mel.n_fft / (window**2).sum())

    def of(self, frames: Frames) -> Filters:
        """Returns the filters of frames, given with one more at both ends: (1 + frames + 1, n_mels).

        Between the middles of two frames the square roots of their magnitudes are interpolated: logarithms would leave
        nearly nothing between silence and a sound that begins, so that its excitation is clipped.
        """
        count = max(0, len(frames) - 2)
        places = (np.arange(count * self._updates) + 0.5) / self._updates + 0.5
        lower = places.astype(np.int64)
        share = (places - lower)[:, None]
        roots = np.exp(0.5 * frames[:, self._used].astype(np.float64))
        roots = roots[lower] * (1 - share) + roots[lower + 1] * share if count else roots[:0]
        # one step at a time, as a product over many rounds differently from one over few
        rows = [np.square(np.square(root) @ self._spread) @ self._lags for root in roots]
        return _solved(np.stack(rows, axis=1) if rows else np.zeros((self.order + 1, 0)))

    def excitation(self, sound: NDArray[np.floating], filters: Filters) -> NDArray[np.float32]:
        """Returns what codes stand for, float32 (samples,), at `LEVEL` and clipped to [-1, 1].

        Args:
            sound: (order + samples,): the waveform after `order` earlier samples.
            filters: of these samples, from the beginning of a step.
        """
        past = np.asarray(sound, np.float64)
        result = np.zeros(len(past) - self.order)
        for step, (row, gain) in enumerate(zip(*filters, strict=True)):
            first = step * self.hold
            piece = past[first : first + self.hold + self.order]
            if len(piece) <= self.order:
                break
            inverse = np.concatenate([[1.0], -row]) * (LEVEL / gain)
            result[first : first + self.hold] = np.convolve(piece, inverse, "valid")
        return np.clip(result, -1, 1).astype(np.float32)


class Synthesis:
    """The filter at work on a clip, from silence on; its state goes on from block to block.

    Args:
        frame_filter: whose filters come.
    """

    def __init__(self, frame_filter: FrameFilter) -> None:
        self._hold = frame_filter.hold
        self._past = np.zeros(frame_filter.order)  # the newest first

    def sound(self, excitation: NDArray[np.floating], filters: Filters) -> NDArray[np.float32]:
        """Returns the waveform of the next excitation, float32 (samples,), clipped to [-1, 1].

        Args:
            excitation: (samples,), at `LEVEL`; only the last block of a clip may end within a step.
            filters: of these samples.
        """
        from scipy.signal import lfilter

        order = len(self._past)
        pieces = []
        for step, (row, gain) in enumerate(zip(*filters, strict=True)):
            piece = excitation[step * self._hold : (step + 1) * self._hold]
            if not len(piece):
                break
            # what the past adds to the first samples, as the state that the filter expects
            state = np.convolve(row[::-1], self._past)[:order][::-1]
            made, _ = lfilter([1.0], np.concatenate([[1.0], -row]), piece * (gain / LEVEL), zi=state)
            self._past = np.concatenate([made[::-1], self._past])[:order]
            pieces.append(made)
        return np.clip(np.concatenate(pieces) if pieces else np.zeros(0), -1, 1).astype(np.float32)


def _solved(lags: Floats) -> Filters:
    """Returns the filters of autocorrelations (order + 1, steps), by Levinson's recursion."""
    order, steps = len(lags) - 1, lags.shape[1]
    lags = lags.copy()
    lags[0] = lags[0] * (1 + _WHITENING) + _LEAST_POWER
    coefficients = np.zeros((order, steps))
    error = lags[0].copy()
    for step in range(order):
        total = lags[step + 1].copy()
        if step:
            total -= np.einsum("ij,ij->j", coefficients[:step], lags[step:0:-1])
        reflection = total / error
        known = coefficients[:step].copy()
        coefficients[:step] = known - reflection * known[::-1]
        coefficients[step] = reflection
        error = error * (1 - reflection * reflection)
    return Filters(np.ascontiguousarray(coefficients.T), np.sqrt(np.maximum(error, _LEAST_GAIN**2)))
