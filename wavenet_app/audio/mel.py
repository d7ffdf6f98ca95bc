"""Log-mel frames of a waveform: frame f covers samples f x hop to (f + 1) x hop."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from wavenet_app.audio.frame_filter import FrameFilter, Synthesis
from wavenet_app.audio.melody import Melody
from wavenet_app.coding import Coding
from wavenet_app.config import MelConfig

Frames = NDArray[np.float32]


class MelFrames:
    """Computes the frames of waveforms: ln(max(floor, magnitude of a band)), by torchaudio's MelSpectrogram.

    A waveform of N samples has ceil(N / hop) frames. The Hann window of frame f is centred on its hop and extends
    (n_fft - hop) / 2 samples beyond both ends; digital silence surrounds the waveform. So frames do not depend on how a
    waveform is cut into pieces.

    Args:
        mel: resolved settings.
        sample_rate: in Hz.

    >>> MelFrames(MelConfig(n_mels=20).resolved(8_000), 8_000).of(np.zeros(300, np.float32)).shape
    (3, 20)

    Attributes:
        melody: finds the pitch of frames; None if the settings have no melody.
        filter: makes the filter of frames; None if codes stand for the waveform itself.
    """

    def __init__(self, mel: MelConfig, sample_rate: int) -> None:
        from torchaudio.transforms import MelSpectrogram

        assert mel.n_fft is not None
        self.mel = mel
        self.sample_rate = sample_rate
        self.hop = mel.hop
        self.margin = (mel.n_fft - mel.hop) // 2
        self.silence = np.float32(math.log(mel.floor))
        with warnings.catch_warnings():
            # a band narrower than the spacing of the frequencies stays at the floor, in training as in vocoding
            warnings.filterwarnings("ignore", message=".*mel filterbank has all zero values.*")
            self._spectrogram = MelSpectrogram(
                sample_rate,
                n_fft=mel.n_fft,
                hop_length=mel.hop,
                f_min=mel.fmin,
                f_max=mel.fmax,
                n_mels=mel.n_mels,
                power=1.0,
                center=False,
            )
        self.melody = Melody(mel, self.bank, sample_rate) if mel.melody else None
        self.filter = FrameFilter(mel, self.bank, sample_rate) if mel.filter_order else None

    @property
    def described(self) -> str:
        """The frames and their settings in words.

        >>> MelFrames(MelConfig(n_mels=20).resolved(8_000), 8_000).described.partition(": ")[2]
        '20 bands of 0 to 4,000 Hz, hop 100, window 400, at 8,000 Hz'
        """
        mel = self.mel
        assert mel.fmax is not None
        return (
            f"natural logarithms of magnitudes, at least ln {mel.floor:g} = {self.silence:.2f}: {mel.n_mels} bands of "
            f"{mel.fmin:,g} to {mel.fmax:,g} Hz, hop {mel.hop}, window {mel.n_fft}, at {self.sample_rate:,} Hz"
        )

    @property
    def bank(self) -> NDArray[np.float32]:
        """The weight of each frequency in each band, (n_fft // 2 + 1, n_mels)."""
        weights: NDArray[np.float32] = self._spectrogram.mel_scale.fb.numpy()
        return weights

    def of(self, waveform: NDArray[np.float32]) -> Frames:
        """Returns the frames (ceil(samples / hop), n_mels) of a whole waveform (samples,)."""
        count = -(-len(waveform) // self.hop)
        after = self.margin + count * self.hop - len(waveform)
        return self.of_widened(np.pad(waveform, (self.margin, after)))

    def of_widened(self, waveform: NDArray[np.float32]) -> Frames:
        """Returns the frames of whole hops, given with `margin` more samples at both ends."""
        if len(waveform) < 2 * self.margin + self.hop:
            return np.zeros((0, self.mel.n_mels), np.float32)
        with torch.no_grad():
            bands = self._spectrogram(torch.from_numpy(np.ascontiguousarray(waveform, np.float32)))
            frames: Frames = bands.clamp(min=self.mel.floor).log().T.contiguous().numpy()
        return frames

    def stream(self, blocks: Iterable[NDArray[np.float32]], frames_at_once: int = 64) -> Iterator[Frames]:
        """Yields what `of` returns for the joined blocks, in pieces (frames, n_mels), in constant memory."""
        held = [np.zeros(self.margin, np.float32)]
        length, total = self.margin, 0
        piece = frames_at_once * self.hop + 2 * self.margin
        for block in blocks:
            held.append(np.asarray(block, np.float32))
            length += len(block)
            total += len(block)
            if length < piece:
                continue
            waveform = np.concatenate(held)
            start = 0
            while length - start >= piece:
                yield self.of_widened(waveform[start : start + piece])
                start += frames_at_once * self.hop
            held = [waveform[start:]]
            length -= start
        held.append(np.zeros(self.margin + -total % self.hop, np.float32))
        rest = self.of_widened(np.concatenate(held))
        if len(rest):
            yield rest

    def silent(self, frames: int) -> Frames:
        """Returns frames (frames, n_mels) of silence, which surround a clip."""
        return np.full((frames, self.mel.n_mels), self.silence, np.float32)

    def conditioning(self, pieces: Iterable[Frames]) -> Iterator[Frames]:
        """Yields the conditioning of frames, (frames, columns): with the melody from the pitch of the frames.

        Args:
            pieces: (frames, n_mels), all frames of a clip.
        """
        return iter(pieces) if self.melody is None else self.melody.of_frames(pieces, self.silent(1))

    def coded(self, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns what the codes of a whole waveform (samples,) stand for: itself, or its excitation."""
        if self.filter is None:
            return waveform
        around = np.concatenate([self.silent(1), self.of(waveform), self.silent(1)])
        past = np.pad(waveform, (self.filter.order, 0))
        return self.filter.excitation(past, self.filter.of(around))

    def as_coded(self, waveform: NDArray[np.float32], coding: Coding) -> NDArray[np.float32]:
        """Returns a whole waveform (samples,) after encoding and decoding what its codes stand for."""
        coded = coding.decode(coding.encode(self.coded(waveform)))
        if self.filter is None:
            return coded
        around = np.concatenate([self.silent(1), self.of(waveform), self.silent(1)])
        return Synthesis(self.filter).sound(coded, self.filter.of(around))

    def conditioning_of(self, frames: Frames, waveform: NDArray[np.float32]) -> Frames:
        """Returns the conditioning of frames, (frames, columns): with the melody from the waveform.

        The first and last two frames have no melody; pass them as context.

        Args:
            frames: (frames, n_mels).
            waveform: (frames x hop,), of these frames.
        """
        return frames if self.melody is None else self.melody.of_waveform(frames, waveform)


def silent_conditioning(mel: MelConfig, frames: int) -> Frames:
    """Returns the conditioning (frames, columns) of silence: without a melody."""
    silence = np.zeros((frames, mel.columns), np.float32)
    silence[:, : mel.n_mels] = math.log(mel.floor)
    return silence
