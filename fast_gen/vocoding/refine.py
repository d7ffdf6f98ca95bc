"""Refinement: vocoded audio is moved, iteration by iteration, towards the mel frames of its conditioning.

A model that samples one value after another cannot correct earlier ones, so the frames of its audio are some decibels
off. Each iteration scales the bands of every frame to the level that the conditioning has, and returns to a waveform
with about that spectrum: Griffin and Lim 1984, "Signal estimation from modified short-time Fourier transform", section
III, but with the audio's own magnitudes within each band. Harmonics, phases and noise stay the model's. Iterations have
momentum: Perraudin, Balazs and Sondergaard 2013, "A fast Griffin-Lim algorithm", section 3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from wavenet_app.audio.mel import Frames, MelFrames
from wavenet_app.compiling.librosa_code import compiled_librosa

Waveform = NDArray[np.float32]

USUAL_TURNS = 64
"""The default, and the iterations of Griffin-Lim that vocoded audio is compared with."""

_BLOCK_FRAMES = 2048  # many times the overlap, which is computed twice
_NOISE_LEVEL = 0.1  # RMS
_MOMENTUM = np.float32(0.99)  # as librosa's Griffin-Lim takes it; with 1.1 the frames come less near
_GREATEST_FACTOR = 20.0  # of a band in an iteration, where the audio has almost nothing


def refined(waveform: Waveform, frames: Frames, mel: MelFrames, turns: int) -> Waveform:
    """Returns a waveform whose mel frames are nearer to `frames`, float32 (frames x hop,), within [-1, 1].

    Args:
        waveform: (frames x hop,).
        frames: (frames, n_mels).
        mel: computes the frames.
        turns: iterations; 0 returns the waveform unchanged.
    """
    if not turns or not len(frames):
        return waveform
    librosa = compiled_librosa()
    shares = band_shares(mel)
    points = 2 * mel.margin + mel.hop
    wanted = np.exp(frames.T)
    sound = np.pad(waveform, mel.margin)
    before = None
    for _ in range(turns):
        reached = librosa.stft(sound, n_fft=points, hop_length=mel.hop, center=False)
        spectrum = reached if before is None else reached + _MOMENTUM * (reached - before)
        before = reached
        found = mel.bank.T @ np.abs(spectrum)
        factors = np.clip(wanted / np.maximum(found, np.float32(1e-9)), 1 / _GREATEST_FACTOR, _GREATEST_FACTOR)
        moved = spectrum * (shares @ factors)
        sound = librosa.istft(moved, n_fft=points, hop_length=mel.hop, center=False, length=len(sound))
    made: Waveform = np.clip(sound[mel.margin : len(sound) - mel.margin], -1, 1).astype(np.float32)
    return made


def refined_noise(frames: Frames, mel: MelFrames, turns: int, seed: int) -> Waveform:
    """Returns refined white noise, (frames x hop,): what the frames give without any model.

    Args:
        frames: (frames, n_mels).
        mel: computes the frames.
        turns: iterations.
        seed: of the noise.
    """
    noise = np.random.default_rng(seed).normal(scale=_NOISE_LEVEL, size=len(frames) * mel.hop).astype(np.float32)
    return refined(noise, frames, mel, turns)


def refined_blocks(
    read: Callable[[int, int], Waveform], frames: Iterable[Frames], mel: MelFrames, turns: int
) -> Iterator[Waveform]:
    """Yields what `refined` returns for a waveform of any length, in blocks, in constant memory.

    Args:
        read: returns the samples from first to last, (last - first,), fewer at the end of the waveform.
        frames: all its frames, in pieces (frames, n_mels).
        mel: computes the frames.
        turns: iterations.
    """
    # an iteration spreads a change over one window
    around = turns * -(-(2 * mel.margin + mel.hop) // mel.hop)
    held, first, done = (
        mel.silent(0),
        0,
        0,
    )  # `first` is the first frame of `held`, `done` the number of finished frames

    def block(last: int) -> Waveform:
        sound = read(first * mel.hop, (first + len(held)) * mel.hop)
        whole = np.pad(sound, (0, len(held) * mel.hop - len(sound)))
        moved = refined(whole, held, mel, turns)
        return moved[(done - first) * mel.hop : (last - first) * mel.hop]

    for piece in frames:
        held = np.concatenate([held, piece])
        while first + len(held) >= done + _BLOCK_FRAMES + around:
            rest = held[done + _BLOCK_FRAMES + around - first :]
            held = held[: len(held) - len(rest)]
            yield block(done + _BLOCK_FRAMES)
            done += _BLOCK_FRAMES
            behind = max(0, done - around - first)
            held, first = np.concatenate([held[behind:], rest]), first + behind
    if first + len(held) > done:
        yield block(first + len(held))


def band_shares(mel: MelFrames) -> NDArray[np.float32]:
    """Returns the share of each band in the factor of a frequency, (n_fft // 2 + 1, n_mels); rows sum to one.

    A frequency outside all bands has the shares of the nearest one inside.
    """
    covered = mel.bank.sum(axis=1)
    inside = np.flatnonzero(covered)
    nearest = inside[np.abs(np.arange(len(covered))[:, None] - inside).argmin(axis=1)]
    shares: NDArray[np.float32] = (mel.bank / np.maximum(covered, 1e-12)[:, None])[nearest]
    return shares
