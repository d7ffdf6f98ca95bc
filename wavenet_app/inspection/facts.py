"""Measures one audio file in one pass: level, clipping, silence, bandwidth and fingerprints."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from wavenet_app.audio.files import UnreadableAudioError, probe

# A 16-bit sample of 32767 counts as full scale, in any format.
FULL_SCALE = 32_767 / 32_768
# One crest of three equal samples can be chance (a low tone, a quiet file); this many are not.
PLATEAU_RUNS = 3
RUN_SAMPLES = 3
SILENCE_DECIBELS = 50.0
SPECTRUM_POINTS = 1024
SPECTRUM_BANDS = 128
# Resamplers leave images below -100 dB, microphones leave noise above -80 dB, both relative to the strongest band.
EMPTY_BAND_DECIBELS = 80.0
DITHER_MARGIN_DECIBELS = 9.0
# Small, because a damaged file loses its last block.
BLOCK_FRAMES = 8_192
# The length in an MP3 header is off by the padding of the encoder.
TOLERATED_SECONDS = 0.1
INTEGER_BITS = {"PCM_U8": 8, "PCM_S8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}


@dataclass(frozen=True)
class FileFacts:
    """Measurements of one readable file, over all its channels at its own sample rate.

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
        clipped_runs: runs of three or more samples at (or beyond) full scale, or at a flat maximum of the file.
        clipped_samples: number of samples in these runs.
        silent_share: share of 10 ms frames that are entirely 50 dB below the peak of the file.
        leading_silence: seconds of such frames at the beginning.
        trailing_silence: seconds of such frames at the end.
        bandwidth: highest frequency in Hz with energy above quantisation noise and above -80 dB of the strongest band.
        damage: why reading stopped early; empty for an intact file.
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
    info = probe(path)
    hop = max(info.sample_rate // 100, 1)
    length = hop * max(BLOCK_FRAMES // hop, 1)
    sound = hashlib.blake2b(f"{info.sample_rate} {info.channels} ".encode(), digest_size=16)
    upper, lower, spectrum = _Ceiling(), _Ceiling(), _Spectrum()
    frame_peaks: list[NDArray[np.float32]] = []
    frames, total, squares, damage = 0, 0.0, 0.0, ""
    with soundfile.SoundFile(path) as file:
        while True:
            try:
                block = file.read(length, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError as error:
                damage = str(error.error_string).strip().rstrip(".")
                break
            if not len(block):
                break
            if not np.isfinite(block).all():
                seconds = (frames + int(np.argmin(np.isfinite(block).all(axis=1)))) / info.sample_rate
                raise UnreadableAudioError(path, f"holds NaN or infinite samples, the first at {seconds:.3f} s")
            frames += len(block)
            sound.update(block.tobytes())
            total += float(block.sum(dtype=np.float64))
            squares += float(np.square(block, dtype=np.float64).sum())
            upper.add(block)
            lower.add(-block)
            spectrum.add(block.mean(axis=1))
            frame_peaks.append(np.maximum.reduceat(np.abs(block).max(axis=1), np.arange(0, len(block), hop)))
    if not frames:
        raise UnreadableAudioError(path, damage or "holds no samples")
    if not damage and info.frames - frames > TOLERATED_SECONDS * info.sample_rate:
        damage = f"ends after {frames / info.sample_rate:.2f} s of {info.frames / info.sample_rate:.2f} s"
    peak = max(upper.value, lower.value)
    silent, leading, trailing = _silence(np.concatenate(frame_peaks), peak)
    runs, clipped = (sum(pair) for pair in zip(upper.clipping(), lower.clipping(), strict=True))
    return FileFacts(
        path=str(path),
        sample_rate=info.sample_rate,
        channels=info.channels,
        frames=frames,
        format=info.format,
        subtype=info.subtype,
        peak=_decibels(peak),
        rms=_decibels(math.sqrt(squares / (frames * info.channels))),
        offset=total / (frames * info.channels),
        clipped_runs=runs,
        clipped_samples=clipped,
        silent_share=silent,
        leading_silence=min(leading * hop, frames) / info.sample_rate,
        trailing_silence=min(trailing * hop, frames) / info.sample_rate,
        bandwidth=spectrum.bandwidth(info.subtype) * info.sample_rate / 2,
        damage=damage,
        sound_digest=sound.hexdigest(),
        byte_digest=_byte_digest(path),
    )


class _Ceiling:
    """Counts flat runs at the maximum so far; a new maximum resets the count."""

    def __init__(self) -> None:
        self.value = 0.0
        self._runs = 0
        self._samples = 0

    def add(self, block: NDArray[np.float32]) -> None:
        """Adds the next samples, shape (frames, channels); a run ends with its block."""
        maximum = float(block.max())
        if maximum <= 0 or maximum < min(self.value, FULL_SCALE):
            return
        if maximum > self.value:
            if self.value < FULL_SCALE:
                self._runs = self._samples = 0
            self.value = maximum
        at_ceiling = np.zeros((block.shape[1], len(block) + 2), dtype=np.int8)
        at_ceiling[:, 1:-1] = (block >= min(self.value, FULL_SCALE)).T
        # The zero padding at both ends keeps the runs of each channel inside its row.
        steps = np.diff(at_ceiling.ravel())
        lengths = np.flatnonzero(steps == -1) - np.flatnonzero(steps == 1)
        long = lengths[lengths >= RUN_SAMPLES]
        self._runs += len(long)
        self._samples += int(long.sum())

    def clipping(self) -> tuple[int, int]:
        """Returns the numbers of runs and samples, both zero if the flat crests may be chance."""
        if self.value < FULL_SCALE and self._runs < PLATEAU_RUNS:
            return 0, 0
        return self._runs, self._samples


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
