"""Random numbers of a training step as a function of its batch's number, so that a resumed run repeats them."""

from __future__ import annotations

import numpy as np
import torch

_DROPOUT_STREAM = 2  # beside the streams 0 and 1 of `TrainingCrops`


def own_randomness(seed: int, number: int, device: str) -> Seeded:
    """Returns a context in which dropout, which draws from torch's global generators, depends on a batch alone.

    Args:
        seed: of the run.
        number: of the batch.
        device: "cpu", "cuda" or "mps".
    """
    key = np.random.SeedSequence([seed, _DROPOUT_STREAM, number])
    return Seeded(int(key.generate_state(1, np.uint64)[0] >> 1), device)


class Seeded:
    """Seeds torch's global generators on entry and restores them on exit.

    Args:
        seed: 0 to 2^63 - 1.
        device: "cpu", "cuda" or "mps", whose generator is seeded as well.
    """

    def __init__(self, seed: int, device: str) -> None:
        self._seed = seed
        self._generators = [torch.default_generator]
        if device == "cuda":
            self._generators.append(torch.cuda.default_generators[torch.cuda.current_device()])
        elif device == "mps":
            self._generators.append(torch.mps._get_default_mps_generator())

    def __enter__(self) -> None:
        self._before = [generator.get_state() for generator in self._generators]
        for generator in self._generators:
            generator.manual_seed(self._seed)

    def __exit__(self, *_: object) -> None:
        for generator, state in zip(self._generators, self._before, strict=True):
            generator.set_state(state)
