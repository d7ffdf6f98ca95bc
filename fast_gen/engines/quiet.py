"""Where a clip is quiet, counted in its codes: the same on every engine. Imports no torch.

A clip is quiet as long as its newest codes lie near silence. There, sampling can have a temperature of its own: a
temperature below 1 removes noise from speech, but in a pause it makes the sound that ends the pause rarer still.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wavenet_app.coding import Coding

QUIET_AMPLITUDE = 1 / 32
"""The loudest quiet sample, of a waveform in [-1, 1]: -30 dB of full scale."""

QUIET_SAMPLES = 256
"""How many samples one after the other are quiet before a clip is; see docs/results/notebook.md."""

MOST_QUIET = 2**30
"""Quiet samples are counted up to here."""

NEVER_QUIET = MOST_QUIET + 1
"""A number of quiet samples that no clip reaches."""


def quiet_reach(coding: Coding) -> int:
    """Returns how many codes above or below silence a quiet sample lies at most.

    >>> from wavenet_app.coding import MuLawCoding, SixteenBitCoding
    >>> quiet_reach(MuLawCoding(256)), quiet_reach(SixteenBitCoding())
    (50, 1024)
    """
    return int(coding.encode(np.array(QUIET_AMPLITUDE))) - coding.silence


def quiet_runs(
    before: NDArray[np.integer], codes: NDArray[np.integer], silence: int, reach: int
) -> NDArray[np.integer]:
    """Returns how many of the newest codes of each clip, one after the other, are quiet.

    Args:
        before: (batch,), the number before `codes`; `MOST_QUIET` at the start of a clip, which silence precedes.
        codes: (batch, time), the next codes of each clip.
        silence: the code of silence.
        reach: what `quiet_reach` returns.

    Returns:
        (batch,), at most `MOST_QUIET`.

    >>> quiet_runs(np.array([7, 7]), np.array([[129, 131, 128], [200, 131, 128]]), 128, 50)
    array([10,  2])
    """
    time = codes.shape[1]
    is_loud = np.abs(np.asarray(codes, np.int64) - silence) > reach
    after_loud = np.argmax(is_loud[:, ::-1], axis=1) if time else np.zeros(len(codes), np.int64)
    return np.minimum(np.where(is_loud.any(axis=1), after_loud, before + time), MOST_QUIET)
