"""Batches made by processes of their own, in memory that a GPU reads by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from wavenet_app.core.errors import UserError
from wavenet_app.core.loop.interrupts import leave_interrupts_to_the_parent


class Loader:
    """Iterates over the batches of a data set, in order; can be iterated several times.

    Args:
        source: whose items are batches.
        workers: processes that make them; 0 for this one.
        pins: whether batches lie in memory that a GPU reads by itself, so that no step waits for its batch.
    """

    def __init__(self, source: Dataset[Any], *, workers: int, pins: bool) -> None:
        self.source, self.workers, self.pins = source, workers, pins
        self._loader: DataLoader[Any] = DataLoader(
            source,
            batch_size=None,
            num_workers=workers,
            pin_memory=pins,
            # its own, because a loader otherwise draws from torch's global one
            generator=torch.Generator(),
            worker_init_fn=leave_interrupts_to_the_parent,
        )

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from self._loader
        except UserError as error:
            # errors of a worker have their traceback in the message; only its last line is for the user
            raise UserError(str(error).rpartition(f"{UserError.__name__}: ")[2].strip()) from None
