"""Sounds and pictures of a run in TensorBoard and in Weights & Biases, by one interface."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger
from numpy.typing import NDArray

from wavenet_app.core.loop.plan import Media

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def media_of(loggers: Sequence[Logger]) -> list[Media]:
    """Returns where the loggers take sounds and pictures; empty without loggers."""
    media: list[Media] = []
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            media.append(_TensorBoardMedia(logger.experiment))
        elif isinstance(logger, WandbLogger):
            media.append(_WandbMedia(logger.experiment))
    return media


class _TensorBoardMedia:
    def __init__(self, writer: Any) -> None:
        self.writer = writer

    def add_sound(self, name: str, waveform: NDArray[np.float32], sample_rate: int, step: int) -> None:
        self.writer.add_audio(name, waveform.copy()[None], step, sample_rate=sample_rate)

    def add_figure(self, name: str, figure: Figure, step: int) -> None:
        self.writer.add_figure(name, figure, step, close=False)

    def add_picture(self, name: str, picture: NDArray[np.uint8], step: int) -> None:
        self.writer.add_image(name, picture, step, dataformats="HWC")


class _WandbMedia:
    def __init__(self, run: Any) -> None:
        self.run = run

    def add_sound(self, name: str, waveform: NDArray[np.float32], sample_rate: int, step: int) -> None:
        import wandb

        self._log(name, wandb.Audio(waveform, sample_rate=sample_rate), step)

    def add_figure(self, name: str, figure: Figure, step: int) -> None:
        import wandb

        self._log(name, wandb.Image(figure), step)

    def add_picture(self, name: str, picture: NDArray[np.uint8], step: int) -> None:
        import wandb

        self._log(name, wandb.Image(picture), step)

    def _log(self, name: str, value: Any, step: int) -> None:
        # as Lightning logs curves: W&B counts its own steps, and refuses earlier ones after a resume
        self.run.log({name: value, "trainer/global_step": step})
