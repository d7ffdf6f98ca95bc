"""How many codes before each one are quiet, counted one by one: the definition that tests compare engines with."""

import numpy as np
import torch
from numpy.typing import NDArray

from fast_gen.engines.quiet import MOST_QUIET, quiet_reach
from wavenet_app.coding import Coding


def runs_before(codes: NDArray[np.integer], coding: Coding, history: NDArray[np.integer] | None = None) -> torch.Tensor:
    """Returns the number of quiet codes, one after the other, before each code.

    Args:
        codes: (batch, time).
        coding: what they mean.
        history: (batch, earlier time), the codes before; None for silence alone.

    Returns:
        int64 (batch, time).
    """
    reach = quiet_reach(coding)
    before = np.zeros((len(codes), 0), np.int64) if history is None else history
    found = []
    for clip in np.concatenate([before, codes], axis=1).astype(np.int64):
        runs = [MOST_QUIET]
        for code in clip:
            runs.append(min(runs[-1] + 1, MOST_QUIET) if abs(code - coding.silence) <= reach else 0)
        found.append(runs[before.shape[1] : -1])
    return torch.tensor(found)
