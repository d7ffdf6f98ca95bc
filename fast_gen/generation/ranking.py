"""Generated clips ranked by their likelihood under the model; clips of noise, hum or silence are replaced."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wavenet_app.evaluation.likelihood import code_bits
from wavenet_app.evaluation.runaway import Failure, failure
from wavenet_app.network.model import WaveNet

ROUNDS = 4
"""How often failed clips are generated again."""


@dataclass(frozen=True, eq=False)
class ScoredClip:
    """A generated clip.

    Attributes:
        waveform: float32 (samples,).
        row: of the clip; the same seed and row give the same clip again.
        bits: exact bits per sample under the model at temperature 1; lower is more likely.
        failure: "noise", "hum" or "silence" by the definitions in `wavenet_app.evaluation.runaway`, or None.
    """

    waveform: NDArray[np.float32]
    row: int
    bits: float
    failure: Failure | None


@dataclass(frozen=True)
class Ranking:
    """Clips from the best to the worst.

    Attributes:
        clips: those that did not fail from the most likely to the least, then the failed ones likewise.
        redone: how many clips failed and were generated again.
    """

    clips: tuple[ScoredClip, ...]
    redone: int

    @property
    def failed(self) -> int:
        """How many of the clips failed in every try."""
        return sum(clip.failure is not None for clip in self.clips)


def scored(
    model: WaveNet,
    waveform: NDArray[np.float32],
    row: int,
    sample_rate: int,
    prime_codes: NDArray[np.integer] | None = None,
    shares: NDArray[np.float32] | None = None,
) -> ScoredClip:
    """Returns a generated clip with its likelihood and failure.

    Args:
        model: the network that generated it, on any device.
        waveform: float32 (samples,), as `fast_gen.generation.stream` returns it.
        row: of the clip.
        sample_rate: in Hz.
        prime_codes: codes (time,) that the clip continues.
        shares: (speakers,), the share of each speaker in its voice, for a model with speakers.
    """
    codes = model.config.coding.encode(waveform)
    context = np.zeros(0, dtype=codes.dtype) if prime_codes is None else prime_codes
    bits = code_bits(model, np.concatenate([context, codes]), first=len(context), shares=shares)
    return ScoredClip(waveform, row, float(bits.mean(dtype=np.float64)), failure(waveform, sample_rate))


def ranked(
    make: Callable[[int, int], NDArray[np.float32]], score: Callable[[NDArray[np.float32], int], ScoredClip], count: int
) -> Ranking:
    """Returns clips in order of their likelihood; failed ones are generated again, at most `ROUNDS` times.

    A new clip gets a row that no clip had before, so the same seed gives the same ranking.

    Args:
        make: returns clips (rows, samples) for a first row and a number of rows.
        score: returns the scored clip of a waveform (samples,) and its row.
        count: how many clips.
    """
    clips: list[ScoredClip] = []
    failed: list[ScoredClip] = []
    next_row = redone = 0
    for attempt in range(1 + ROUNDS):
        missing = count - len(clips)
        if not missing:
            break
        redone += missing if attempt else 0
        made = [score(waveform, next_row + place) for place, waveform in enumerate(make(next_row, missing))]
        next_row += missing
        clips += [clip for clip in made if clip.failure is None]
        failed = [clip for clip in made if clip.failure is not None]
    clips.sort(key=lambda clip: clip.bits)
    failed.sort(key=lambda clip: clip.bits)
    return Ranking((*clips, *failed), redone)
