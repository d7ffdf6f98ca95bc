"""Griffin-Lim: audio from log-mel frames without a model, the baseline of a vocoder."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wavenet_app.audio.mel import Frames, MelFrames
from wavenet_app.compiling.librosa_code import compiled_librosa

ITERATIONS = 64


def griffin_lim(frames: Frames, mel: MelFrames) -> NDArray[np.float32]:
    """Returns a waveform whose mel frames approximate the given ones, by librosa.

    Non-negative least squares gives the magnitudes of all frequencies, and 64 iterations of the fast Griffin-Lim
    algorithm (Perraudin et al. 2013, "A fast Griffin-Lim algorithm") from fixed random phases give the phases.

    Args:
        frames: (frames, n_mels), as `MelFrames` makes them.
        mel: computes the frames.

    Returns:
        float32 (frames x hop,), clipped to [-1, 1].
    """
    librosa = compiled_librosa()
    magnitudes = librosa.util.nnls(mel.bank.T, np.exp(frames.T).astype(np.float64)).astype(np.float32)
    found = librosa.griffinlim(
        magnitudes,
        n_iter=ITERATIONS,
        hop_length=mel.hop,
        n_fft=2 * mel.margin + mel.hop,
        center=False,
        momentum=0.99,
        random_state=0,
    )
    waveform: NDArray[np.float32] = found[mel.margin : mel.margin + len(frames) * mel.hop].astype(np.float32)
    return np.clip(waveform, -1, 1)
