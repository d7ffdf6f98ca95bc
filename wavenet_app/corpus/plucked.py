"""The built-in corpus: plucked strings playing short pentatonic melodies, synthesised from a seed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 8_000
COUNT = 192  # of 48, `tiny` begins to learn its training clips by heart after two minutes
SECONDS = 4.0
SEED = 0
VERSION = 2  # raise it with every change of the sound: clips are cached

# A minor pentatonic from A3 to C5, in Hz: few pitches, of whose periods (15 to 36 samples) a small net sees many.
PITCHES = (220.00, 261.63, 293.66, 329.63, 392.00, 440.00, 523.25)
# Lengths of notes in seconds; each pattern fills two seconds.
RHYTHMS = ((0.5, 0.5, 0.5, 0.5), (0.25, 0.25, 0.5, 0.5, 0.5), (0.75, 0.25, 0.5, 0.5), (1.0, 0.5, 0.5))

_DECAY_SECONDS = 1.0  # time in which the fundamental falls by 60 dB
_SMOOTHING = 0.25  # weight of the older of two averaged samples; damps high partials
# Standard deviation of the hiss: without it a linear predictor is almost perfect and the baseline means nothing.
_HISS = 10 ** (-45 / 20)
_RELEASE_SECONDS = 0.02  # fade-out before the next note


def plucked_clips(
    sample_rate: int = SAMPLE_RATE, seed: int = SEED, count: int = COUNT, seconds: float = SECONDS
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yields named clips, each a melody of separate notes: waveforms of shape (seconds x sample_rate,) in [-1, 1].

    A clip depends only on the seed and its number, so a larger count keeps the earlier clips.

    Args:
        sample_rate: in Hz.
        seed: seed of the melodies, rhythms and plucks.
        count: number of clips.
        seconds: length of each clip.
    """
    length = round(seconds * sample_rate)
    for index in range(count):
        generator = np.random.default_rng([seed, index])
        clip = np.zeros(length, dtype=np.float32)
        position = 0
        pitch = int(generator.integers(len(PITCHES)))
        while position < length:
            for duration in RHYTHMS[generator.integers(len(RHYTHMS))]:
                samples = min(round(duration * sample_rate), length - position)
                if samples > 0:
                    note = pluck(PITCHES[pitch], samples, sample_rate, generator)
                    clip[position : position + samples] = generator.uniform(0.7, 0.9) * note
                position += samples
                # Small steps, and never the same note twice, make the notes a melody.
                step = int(generator.choice([-2, -1, 1, 2]))
                pitch = pitch + step if 0 <= pitch + step < len(PITCHES) else pitch - step
        clip += _HISS * generator.standard_normal(length, dtype=np.float32)
        yield f"plucked/{index:03d}", clip


def pluck(frequency: float, num_samples: int, sample_rate: int, generator: np.random.Generator) -> NDArray[np.float32]:
    """Returns the sound of one plucked string, peak 1, shape (num_samples,).

    The string is a delay line of one period, first filled with noise, whose output is smoothed and fed back:
    y[t] = x[t] + g (h0 y[t - N] + h1 y[t - N - 1] + h2 y[t - N - 2]). Source: Karplus and Strong 1983, "Digital
    Synthesis of Plucked-String and Drum Timbres"; the weighted average that stretches the decay and the interpolation
    that tunes the loop between whole samples are from Jaffe and Smith 1983, "Extensions of the Karplus-Strong
    Plucked-String Algorithm".

    Args:
        frequency: in Hz, below a tenth of the sample rate.
        num_samples: length, including the release.
        sample_rate: in Hz.
        generator: draws the noise.
    """
    period = sample_rate / frequency
    delay = int(period - _SMOOTHING)
    fraction = period - _SMOOTHING - delay
    taps = np.convolve([1 - _SMOOTHING, _SMOOTHING], [1 - fraction, fraction])
    loss = abs(np.exp(-2j * np.pi / period * np.arange(3)) @ taps)
    feedback = min(0.9999, 10 ** (-3 / (frequency * _DECAY_SECONDS)) / loss)

    excitation = generator.uniform(-1, 1, size=round(period))
    for shift in (1, 2, 3):  # a soft plectrum: few high partials
        excitation = excitation + np.roll(excitation, shift)
    # Removes what would excite the loop at 0 Hz, which is inaudible but where the smoothing damps least.
    weights = feedback ** (-np.arange(len(excitation)) / period)
    excitation -= weights @ excitation / weights.sum()

    history = delay + 2
    line = np.zeros(history + max(num_samples, len(excitation)))
    line[history : history + len(excitation)] = excitation
    # One loop delay at a time: the samples of a block do not depend on each other.
    for start in range(history, len(line), delay):
        stop = min(start + delay, len(line))
        line[start:stop] += feedback * np.convolve(line[start - history : stop - delay], taps, mode="valid")

    note = line[history : history + num_samples]
    release = min(num_samples, round(_RELEASE_SECONDS * sample_rate))
    note[num_samples - release :] *= np.linspace(1, 0, release)
    return (note / max(np.abs(note).max(), 1e-9)).astype(np.float32)
