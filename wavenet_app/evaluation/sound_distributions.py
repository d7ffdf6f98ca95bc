"""Distances between the distributions of audible features of two sets of clips.

The clips of the two sets do not correspond to each other, so only distributions can be compared: of log-mel frames,
pitch, energy and pauses. Scalars are compared by the 1-D Wasserstein distance: the mean distance by which values must
move to turn one distribution into the other, in the unit of the values.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from wavenet_app.compiling.librosa_code import librosa_with_pitch
from wavenet_app.evaluation.sound_frames import HOP_SECONDS, MEL_BANDS, Floats, levels, log_mel

LOWEST_PITCH, HIGHEST_PITCH = 60.0, 1_000.0
SEMITONE_ORIGIN = 55.0  # Hz; semitones are counted from this A
PAUSE_DECIBELS = 35.0
SHORTEST_PAUSE_SECONDS = 0.05
# Wasserstein distances converge long before this many frames, and sorting more only costs time.
MAX_FRAMES = 20_000


@dataclass(frozen=True)
class SoundFeatures:
    """Audible features of a set of clips.

    Attributes:
        log_mel: level of each band in each frame of 32 ms, in dB, shape (frames, bands).
        levels: level of each frame in dB, one array for each clip.
        pitch: pitch of each voiced frame, in semitones above 55 Hz, shape (voiced frames,).
        voiced_share: share of the frames that are voiced.
    """

    log_mel: Floats
    levels: tuple[Floats, ...]
    pitch: Floats
    voiced_share: float

    @property
    def loud(self) -> float:
        """The level in dB that a twentieth of the frames exceed."""
        return float(np.percentile(np.concatenate(self.levels), 95))

    @property
    def pause_threshold(self) -> float:
        """The level in dB below which a frame is a pause, in this set and in any set compared with it."""
        return self.loud - PAUSE_DECIBELS

    def pauses(self, threshold: float) -> Floats:
        """Returns the lengths in seconds of all pauses: at least 50 ms of frames below a level in dB."""
        runs = [
            HOP_SECONDS * sum(1 for _ in run)
            for clip in self.levels
            for quiet, run in groupby(clip < threshold)
            if quiet
        ]
        return np.array([seconds for seconds in runs if seconds >= SHORTEST_PAUSE_SECONDS])

    def pause_share(self, threshold: float) -> float:
        """Returns the share of time in pauses."""
        return float(self.pauses(threshold).sum() / (HOP_SECONDS * sum(map(len, self.levels))))


@dataclass(frozen=True)
class SoundDistances:
    """Distances of a set of clips from a set of real clips; 0 for equal distributions, NaN if one is empty.

    Attributes:
        log_mel: Wasserstein distance of the levels in a mel band, in dB, mean over the bands.
        pitch: distance of the pitches of voiced frames, in semitones.
        energy: distance of the levels of the frames, in dB.
        pauses: distance of the lengths of pauses, in seconds. A pause is 35 dB below the loud frames of the real set.
    """

    log_mel: float
    pitch: float
    energy: float
    pauses: float


def sound_features(waveforms: Iterable[NDArray[np.floating]], sample_rate: int) -> SoundFeatures:
    """Returns the features of a set of clips.

    Pitch is estimated by librosa's pYIN (Mauch and Dixon 2014), from 60 to 1,000 Hz.

    Args:
        waveforms: at least one clip of shape (samples,), all at the same gain.
        sample_rate: in Hz.
    """
    mel, loudness, pitches, frames = [], [], [], 0
    for waveform in waveforms:
        mel.append(log_mel(waveform, sample_rate))
        loudness.append(levels(waveform, sample_rate))
        pitch = semitones(waveform, sample_rate)
        frames += len(pitch)
        pitches.append(pitch[np.isfinite(pitch)])
    pitched = np.concatenate(pitches)
    return SoundFeatures(np.concatenate(mel), tuple(loudness), pitched, len(pitched) / frames)


def sound_distances(real: SoundFeatures, other: SoundFeatures) -> SoundDistances:
    """Returns the distances of `other` from `real`."""
    threshold = real.pause_threshold
    return SoundDistances(
        log_mel=float(
            np.mean([_wasserstein(real.log_mel[:, band], other.log_mel[:, band]) for band in range(MEL_BANDS)])
        ),
        pitch=_wasserstein(real.pitch, other.pitch),
        energy=_wasserstein(np.concatenate(real.levels), np.concatenate(other.levels)),
        pauses=_wasserstein(real.pauses(threshold), other.pauses(threshold)),
    )


def spread_pieces(lengths: Sequence[int], piece: int, count: int) -> list[tuple[int, int]]:
    """Returns (clip, start) of at most `count` pieces of equal length, spread evenly over all the audio.

    Pieces do not overlap, and a clip shorter than a piece gives none.

    Args:
        lengths: lengths of the clips, in samples.
        piece: length of a piece, in samples.
        count: maximum number of pieces.

    >>> spread_pieces([10, 3, 25], 10, 2)
    [(0, 0), (2, 10)]
    """
    every = [(clip, start) for clip, length in enumerate(lengths) for start in range(0, length - piece + 1, piece)]
    if len(every) <= count:
        return every
    # includes both ends, so even and odd choices of pieces cover all of the audio
    return [every[round(index * (len(every) - 1) / max(1, count - 1))] for index in range(count)]


def semitones(waveform: NDArray[np.floating], sample_rate: int) -> Floats:
    """Returns the pitch in semitones above 55 Hz, shape (frames,), NaN where a frame is not voiced."""
    length = 2 ** round(math.log2(3 * sample_rate / LOWEST_PITCH))  # about three periods of the lowest pitch
    frequency, _, _ = librosa_with_pitch().pyin(
        np.asarray(waveform, dtype=np.float64),
        fmin=LOWEST_PITCH,
        fmax=min(HIGHEST_PITCH, sample_rate / 4),
        sr=sample_rate,
        frame_length=length,
        hop_length=max(1, round(HOP_SECONDS * sample_rate)),
        resolution=0.2,  # in semitones; a finer one takes four times as long and does not change the distances
    )
    return 12 * np.log2(frequency / SEMITONE_ORIGIN)


def _wasserstein(one: Floats, other: Floats) -> float:
    from scipy.stats import wasserstein_distance

    if not len(one) or not len(other):
        return math.nan
    thinned = [values[:: -(-len(values) // MAX_FRAMES)] for values in (one, other)]
    return float(wasserstein_distance(*thinned))
