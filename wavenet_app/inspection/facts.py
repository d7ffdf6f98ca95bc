"""Measures one audio file in one pass: level, clipping, silence, bandwidth and fingerprints."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wavenet_app.audio.decoding import BLOCK_FRAMES, SoundReader
from wavenet_app.audio.mono import mono_mix

# A 16-bit sample of 32767 counts as full scale, in any format.
FULL_SCALE = 32_767 / 32_768
# One crest of three equal samples can be chance (a low tone, a quiet file); this many are not.
PLATEAU_RUNS = 3
RUN_SAMPLES = 3
# Below this many quantisation steps, every crest is flat.
LEAST_STEPS = 64
# A rounded crest leaves its top in at most three steps from one sample to the next; a clipped wave falls off its top.
CREST_STEPS = 4
# The greatest sample of A-law and mu-law lies a little above this; below it their steps are too coarse for a verdict.
COMPANDED_SCALE = 0.98
SILENCE_DECIBELS = 50.0
SPECTRUM_POINTS = 1024
SPECTRUM_BANDS = 128
# Resamplers leave images below -100 dB, microphones leave noise above -80 dB, both relative to the strongest band.
EMPTY_BAND_DECIBELS = 80.0
DITHER_MARGIN_DECIBELS = 9.0
INTEGER_BITS = {"PCM_U8": 8, "PCM_S8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}


@dataclass(frozen=True)
class FileFacts:
    """Measurements of one readable file at its own sample rate, of the mono signal that training makes of it.

    Attributes:
        path: path as given or found.
        sample_rate: in Hz.
        channels: number of channels.
        frames: readable samples of one channel.
        format: container, such as FLAC.
        subtype: sample format, such as PCM_16.
        peak: maximum absolute sample, dB relative to full scale; minus infinity for digital silence.
        rms: root mean square, dB relative to full scale.
        offset: mean of the samples (DC), as a fraction of full scale.
        clipped_runs: in all channels, runs of three or more samples at full scale, or at a flat maximum of the file.
        clipped_samples: number of samples in these runs.
        silent_share: share of 10 ms frames that are entirely 50 dB below the peak of the file.
        leading_silence: seconds of such frames at the beginning.
        trailing_silence: seconds of such frames at the end.
        bandwidth: highest frequency in Hz with energy above quantisation noise and above -80 dB of the strongest band.
        damage: what cannot be read, as the end of a sentence about the file; empty for an intact file.
        remarks: other notes for the user, each as the end of a sentence about the file.
        sound_digest: fingerprint of rate, channels and decoded samples.
        byte_digest: fingerprint of the file's bytes.
    """

    path: str
    sample_rate: int
    channels: int
    frames: int
    format: str
    subtype: str
    peak: float
    rms: float
    offset: float
    clipped_runs: int
    clipped_samples: int
    silent_share: float
    leading_silence: float
    trailing_silence: float
    bandwidth: float
    damage: str
    remarks: tuple[str, ...]
    sound_digest: str
    byte_digest: str

    @property
    def seconds(self) -> float:
        """Length of the readable part."""
        return self.frames / self.sample_rate


def measure_file(path: Path) -> FileFacts:
    """Measures a file by decoding it once, a block at a time.

    Memory does not grow with the length of the file, except for the 10 ms peaks (400 bytes per second).

    Raises:
        UnreadableAudioError: nothing can be read, or a sample is NaN or infinite.
    """
    frame_peaks: list[NDArray[np.float32]] = []
    total = squares = 0.0
    mix = mono_mix(path)
    with SoundReader(path) as reader:
        info = reader.info
        upper, lower, spectrum = _Ceiling(info.subtype), _Ceiling(info.subtype), _Spectrum()
        sound = hashlib.blake2b(f"{info.sample_rate} {info.channels} ".encode(), digest_size=16)
        hop = max(info.sample_rate // 100, 1)
        for block in reader.blocks(hop * max(BLOCK_FRAMES // hop, 1)):
            sound.update(block.tobytes())
            upper.add(block)
            lower.add(-block)
            mono = mix(block)
            total += float(mono.sum(dtype=np.float64))
            squares += float(np.square(mono, dtype=np.float64).sum())
            spectrum.add(mono)
            frame_peaks.append(np.maximum.reduceat(np.abs(mono), np.arange(0, len(mono), hop)))
    frames = reader.frames
    peaks = np.concatenate(frame_peaks)
    peak = float(peaks.max())
    silent, leading, trailing = _silence(peaks, peak)
    runs, clipped = (sum(pair) for pair in zip(upper.clipping(), lower.clipping(), strict=True))
    return FileFacts(
        path=str(path),
        sample_rate=info.sample_rate,
        channels=info.channels,
        frames=frames,
        format=info.format,
        subtype=info.subtype,
        peak=_decibels(peak),
        rms=_decibels(math.sqrt(squares / frames)),
        offset=total / frames,
        clipped_runs=runs,
        clipped_samples=clipped,
        silent_share=silent,
        leading_silence=min(leading * hop, frames) / info.sample_rate,
        trailing_silence=min(trailing * hop, frames) / info.sample_rate,
        bandwidth=spectrum.bandwidth(info.subtype) * info.sample_rate / 2,
        damage=reader.damage,
        remarks=tuple(filter(None, (reader.remark, mix.remark))),
        sound_digest=sound.hexdigest(),
        byte_digest=_byte_digest(path),
    )


class _Ceiling:
    """Counts flat runs at the maximum so far; a new maximum resets the count.

    Args:
        subtype: sample format. Integers are clipped at full scale; the values of other formats may go on above it, so
            that only equal ones are flat.
    """

    def __init__(self, subtype: str = "PCM_16") -> None:
        self.value = 0.0
        self._runs = 0
        self._samples = 0
        self._bits = INTEGER_BITS.get(subtype)
        self._companded = subtype in {"ALAW", "ULAW"}

    @property
    def _full(self) -> bool:
        """Says whether the greatest value is full scale, where a single flat run is clipping."""
        if self._companded:
            return self.value >= COMPANDED_SCALE
        return self.value >= FULL_SCALE and (self._bits is not None or self.value <= 1)

    def add(self, block: NDArray[np.float32]) -> None:
        """Takes the next samples, shape (frames, channels); a run is cut where a block ends."""
        greatest = float(block.max())
        if greatest <= 0 or greatest < self._ceiling:
            return
        if greatest > self.value:
            if not self._full or self._bits is None:
                self._runs = self._samples = 0
            self.value = greatest
        ceiling = self._ceiling
        # Padded with zeros at both ends, every channel's runs start and end inside its own row.
        padded = np.zeros((block.shape[1], len(block) + 2), dtype=np.float32)
        padded[:, 1:-1] = block.T
        values = padded.ravel()
        steps = np.diff((values >= ceiling).astype(np.int8))
        before, last = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
        lengths = last - before
        flat = lengths >= RUN_SAMPLES
        if not self._full:
            highest = np.maximum(values[before], values[last + 1])
            flat &= ceiling - highest > CREST_STEPS * self._step
        self._runs += int(flat.sum())
        self._samples += int(lengths[flat].sum())

    def clipping(self) -> tuple[int, int]:
        """Returns runs and samples, both zero where flat crests may be chance."""
        coarse = self._companded or self.value < LEAST_STEPS * self._step
        if not self._full and (self._runs < PLATEAU_RUNS or coarse):
            return 0, 0
        return self._runs, self._samples

    @property
    def _ceiling(self) -> float:
        """The value from which on samples are at the ceiling."""
        return FULL_SCALE if self._full and self._bits is not None else self.value

    @property
    def _step(self) -> float:
        """The difference between neighbouring values, at least that of 16 bits; floats may be integers in disguise."""
        return 2.0 ** (1 - min(self._bits or 16, 16)) * max(1.0, 2 * self.value)


# a float file may hold any numbers; squares of those outside do not fit in single precision
_LEAST_IN_SINGLE, _GREATEST_IN_SINGLE = 1e-12, 1e12


class _Spectrum:
    """Mean power spectrum (Welch's method, Hann windows side by side)."""

    def __init__(self) -> None:
        self._window = np.hanning(SPECTRUM_POINTS + 1)[:-1].astype(np.float32)
        self._power = np.zeros(SPECTRUM_POINTS // 2 + 1)
        self._count = 0

    def add(self, mono: NDArray[np.float32]) -> None:
        """Adds the next samples; an incomplete window counts only if the file is shorter than one window."""
        from scipy.fft import rfft

        count = len(mono) // SPECTRUM_POINTS
        if count:
            windows = mono[: count * SPECTRUM_POINTS].reshape(count, SPECTRUM_POINTS)
        elif not self._count:
            windows = np.pad(mono, (0, SPECTRUM_POINTS - len(mono)))[None]
        else:
            return
        if not _LEAST_IN_SINGLE < np.abs(windows).max() < _GREATEST_IN_SINGLE:
            windows = windows.astype(np.float64)
        spectra = rfft(windows * self._window, axis=1)
        self._power += (spectra.real**2 + spectra.imag**2).sum(axis=0, dtype=np.float64)
        self._count += len(windows)

    def bandwidth(self, subtype: str) -> float:
        """Returns the highest frequency with content, as a share of half the sample rate."""
        # Scaled so that white noise of power p has power p in every bin.
        power = self._power[1:] / (self._count * float(np.square(self._window).sum()))
        bands = power.reshape(SPECTRUM_BANDS, -1).mean(axis=1)
        threshold = float(bands.max()) * 10 ** (-EMPTY_BAND_DECIBELS / 10)
        if subtype in INTEGER_BITS:
            # The rounding noise of a step s has power s^2 / 12.
            noise = 4.0 ** (1 - INTEGER_BITS[subtype]) / 12
            threshold = max(threshold, noise * 10 ** (DITHER_MARGIN_DECIBELS / 10))
        present = np.flatnonzero(bands > threshold)
        return float(present[-1] + 1) / SPECTRUM_BANDS if len(present) else 0.0


def _silence(frame_peaks: NDArray[np.float32], peak: float) -> tuple[float, int, int]:
    """Returns the share of silent frames, and the numbers of leading and trailing ones."""
    loud = np.flatnonzero(frame_peaks > peak * 10 ** (-SILENCE_DECIBELS / 20))
    if not len(loud):
        return 1.0, len(frame_peaks), len(frame_peaks)
    return 1 - len(loud) / len(frame_peaks), int(loud[0]), len(frame_peaks) - 1 - int(loud[-1])


def _byte_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _decibels(amplitude: float) -> float:
    return 20 * math.log10(amplitude) if amplitude > 0 else -math.inf
