"""The melody: the phase of the voice within its period as conditioning, from mel frames or from their waveform.

Given the past samples, a network hardly needs frames to continue a voice, so it does not learn to take the pitch from
them, and drifts when it generates. With the phase of the voice at every step, it learns to follow. Source of the idea:
the sine excitation of Wang et al. 2019, "Neural source-filter-based waveform model for statistical parametric speech
synthesis", section 3.1; here the sine is conditioning.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from wavenet_app.config import MELODY_CHANNELS, MelConfig

Frames = NDArray[np.float32]
Floats = NDArray[np.float64]

LOWEST_PITCH, HIGHEST_PITCH = 75.0, 500.0
"""Range of the pitch, in Hz."""

_PERIODS_A_SECOND = 16_000  # resolution of the periods that are compared
_HIGHEST_HARMONIC = 2_000.0  # Hz; above, the bands are too wide to separate harmonics
_NEIGHBOURS = np.array([0.25, 0.5, 0.25])
_LOOKAHEAD = 2  # frames: the next one for interpolating pitch, and the neighbour of that one
# 95 % of the unvoiced frames of speech are below the first, 95 % of the voiced ones above the sum.
_LEAST_LIKENESS, _LIKENESS_RANGE = 0.12, 0.25
_AVERAGED_SECONDS = 0.025  # over which the phase of the waveform is averaged


class Melody:
    """Finds the pitch of mel frames and the phase of the voice at each step.

    The bands are spread over the frequencies again; the cosine transform of the magnitudes below 2 kHz is then an
    autocorrelation, whose peak is at the period. In voiced frames of read speech (80 bands, window of 50 ms) 95 % of
    these periods are within 3 % of those of the waveform.

    Attributes:
        beyond: frames that `of_waveform` needs as context on both sides.

    Args:
        mel: resolved settings of the frames.
        bank: the weight of each frequency in each band, (n_fft // 2 + 1, n_mels).
        sample_rate: in Hz.
    """

    def __init__(self, mel: MelConfig, bank: NDArray[np.float32], sample_rate: int) -> None:
        self.mel = mel
        self.sample_rate = sample_rate
        self._reach = round(_AVERAGED_SECONDS * sample_rate / 2)
        self.beyond = _LOOKAHEAD + -(-self._reach // mel.hop)
        frequencies = np.linspace(0, sample_rate / 2, len(bank))
        low = np.minimum(frequencies / _HIGHEST_HARMONIC, 1)
        share = bank / np.maximum(bank.sum(axis=1, keepdims=True), 1e-9) / np.maximum(bank.sum(axis=0), 1e-9)
        self._spread = (share * (0.5 + 0.5 * np.cos(np.pi * low))[:, None]).T.astype(np.float64)
        first, last = (round(_PERIODS_A_SECOND / pitch) for pitch in (HIGHEST_PITCH, LOWEST_PITCH))
        self._seconds = np.arange(first, last + 1) / _PERIODS_A_SECOND
        self._cosines = np.cos(2 * np.pi * frequencies[:, None] * self._seconds)

    def pitch(self, frames: Frames) -> tuple[Floats, Floats]:
        """Returns the pitch in Hz and the confidence of voicing, 0 to 1, (frames - 2,) each: without the end frames.

        Args:
            frames: (frames, n_mels), as `MelFrames` makes them.
        """
        likeness = np.stack([self._likeness(frame) for frame in frames]) if len(frames) else np.zeros((0, 1))
        count = max(0, len(frames) - 2)
        smoothed = sum(weight * likeness[place : place + count] for place, weight in enumerate(_NEIGHBOURS))
        assert isinstance(smoothed, np.ndarray)
        rows = np.arange(count)
        peak = np.clip(smoothed.argmax(axis=1), 1, len(self._seconds) - 2) if count else rows
        before, at, after = (smoothed[rows, peak + step] for step in (-1, 0, 1))
        # the top of the parabola through the peak and its neighbours
        curvature = np.minimum(before - 2 * at + after, -1e-9)
        aside = np.clip(0.5 * (before - after) / curvature, -1, 1)
        hertz = 1 / (self._seconds[peak] + aside / _PERIODS_A_SECOND)
        return hertz, np.clip((at - _LEAST_LIKENESS) / _LIKENESS_RANGE, 0, 1)

    def of_frames(self, pieces: Iterable[Frames], silence: Frames) -> Iterator[Frames]:
        """Yields frames with their melody after the bands, (frames, columns); the phase is integrated from the pitch.

        The result does not depend on how the frames are cut into pieces.

        Args:
            pieces: (frames, n_mels), all frames of a clip.
            silence: (1, n_mels), a frame of silence, which surrounds the clip.
        """
        cycles = 0.0
        edge = held = silence.repeat(_LOOKAHEAD, axis=0)
        for piece in chain(pieces, [edge]):
            held = np.concatenate([held, piece])
            count = len(held) - 2 * _LOOKAHEAD
            if count < 1:
                continue
            turns, sure, cycles = self._turns(held, cycles)
            yield self._joined(held[_LOOKAHEAD : _LOOKAHEAD + count], turns, sure)
            held = held[count:]

    def of_waveform(self, frames: Frames, waveform: NDArray[np.float32]) -> Frames:
        """Returns frames with their melody after the bands, (frames, columns); the phase is that of the waveform.

        The waveform is demodulated by the phase integrated from the pitch of the frames; the phase that is left is
        added to it. The first and last two frames have no melody, which is zeros.

        Args:
            frames: (frames, n_mels).
            waveform: (frames x hop,), of these frames.
        """
        from scipy.signal import fftconvolve

        count = len(frames) - 2 * _LOOKAHEAD
        joined = np.zeros((len(frames), self.mel.columns), np.float32)
        joined[:, : self.mel.n_mels] = frames
        if count < 1:
            return joined
        turns, sure, _ = self._turns(frames, 0.0)
        hold, hop = self.mel.hold, self.mel.hop
        centres = np.arange(len(turns)) * hold + (hold - 1) / 2
        within = waveform[_LOOKAHEAD * hop : (_LOOKAHEAD + count) * hop].astype(np.float64)
        angle = 2 * np.pi * np.interp(np.arange(len(within)), centres, turns)
        window = np.hanning(2 * self._reach + 1)
        ahead = np.angle(fftconvolve(within * np.exp(-1j * angle), window, mode="same"))
        places = np.arange(len(turns)) * hold + hold // 2
        inner = frames[_LOOKAHEAD : _LOOKAHEAD + count]
        joined[_LOOKAHEAD : _LOOKAHEAD + count] = self._joined(inner, turns + ahead[places] / (2 * np.pi), sure)
        return joined

    def _likeness(self, frame: Frames) -> Floats:
        """Returns the autocorrelation of a frame at each period, (periods,), at most 1."""
        # one frame at a time, as a product over many frames rounds differently from one over few
        magnitudes = np.exp(frame.astype(np.float64)) @ self._spread
        likeness: Floats = (magnitudes @ self._cosines) / (magnitudes.sum() + 1e-3)
        return likeness

    def _turns(self, frames: Frames, begun: float) -> tuple[Floats, Floats, float]:
        """Returns cycles at the middle of each step and the confidence, of all frames but two at both ends.

        Args:
            frames: (frames, n_mels).
            begun: cycles at the start of the first step; those at the end of the last step are returned last.
        """
        hertz, sure = self.pitch(frames)
        upsampling, count = self.mel.upsampling, len(frames) - 2 * _LOOKAHEAD
        # middles of the steps, in frames from the middle of the first frame with a pitch
        places = (np.arange(count * upsampling) + 0.5) / upsampling + 0.5
        lower = places.astype(np.int64)
        share = places - lower
        cycles_a_step = self.mel.hold / self.sample_rate * hertz[lower] ** (1 - share) * hertz[lower + 1] ** share
        # summed from the start, so that the result is the same however the frames are cut
        ends = np.cumsum(np.concatenate([[begun], cycles_a_step]))
        return ends[:-1] + cycles_a_step / 2, sure[lower] * (1 - share) + sure[lower + 1] * share, float(ends[-1])

    def _joined(self, frames: Frames, turns: Floats, sure: Floats) -> Frames:
        steps = np.stack([sure * np.cos(2 * np.pi * turns), sure * np.sin(2 * np.pi * turns), sure], axis=1)
        width = self.mel.upsampling * MELODY_CHANNELS
        return np.concatenate([frames, steps.reshape(len(frames), width).astype(np.float32)], axis=1)
