"""How long a training runs and what it writes, and where it stands meanwhile."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray
    from torch import nn

HistoryRow = dict[str, float]


@dataclass(frozen=True)
class FitPlan:
    """The budget of a run, how often it validates and writes, and where to.

    Attributes:
        run_dir: folder of last.pth, best.pth and metrics.csv.
        tensorboard_dir: folder of the TensorBoard events; None for none.
        wandb_dir: folder that holds Weights & Biases' `wandb` folder; None for none.
        max_steps: optimizer steps in all, resumed ones included; None for no such limit.
        minutes: wall-clock minutes in all, resumed ones included; None for no such limit.
        gradient_clip: greatest norm of the gradient.
        ema_decay: decay of the averaged weights, after its warm-up (`averaging.warmed_decay`).
        validate_seconds: time between validations.
        checkpoint_seconds: time between writings of last.pth.
        processes: ranks that take each step together, each with a batch of its own.
        precision: Lightning's precision, such as "32-true" or "bf16-mixed".
        accelerator: Lightning's accelerator, such as "auto", "cpu" or "gpu".
        cuda_graphs: whether steps of one shape are recorded and replayed as a CUDA graph; needs a GPU and one rank.
    """

    run_dir: Path
    tensorboard_dir: Path | None
    wandb_dir: Path | None
    max_steps: int | None
    minutes: float | None
    gradient_clip: float
    ema_decay: float
    validate_seconds: float
    checkpoint_seconds: float
    processes: int = 1
    precision: Any = "32-true"
    accelerator: str = "auto"
    cuda_graphs: bool = False


@dataclass
class FitStatus:
    """Where a run stands; the watcher gets it during the run, the caller at the end.

    Attributes:
        step: optimizer steps done, resumed ones included.
        seconds: wall-clock seconds spent, resumed ones included.
        progress: share of the budget spent, 0 to 1.
        loss: running mean of the training loss.
        rate: work per second of training, validation not counted.
        history: one row a validation: step, seconds, train, validation, learning_rate.
        best: best validation score.
        interrupted: name of the signal that ended the run early, if one did.
        improved: whether the latest validation was the best so far.
    """

    step: int = 0
    seconds: float = 0.0
    progress: float = 0.0
    loss: float = math.nan
    rate: float = math.nan
    history: list[HistoryRow] = field(default_factory=list)
    best: float = math.inf
    interrupted: str | None = None
    improved: bool = False


class Media(Protocol):
    """Takes sounds and pictures of a run, for TensorBoard or Weights & Biases."""

    def add_sound(self, name: str, waveform: NDArray[np.float32], sample_rate: int, step: int) -> None:
        """Logs a waveform, float32 (samples,) in [-1, 1]."""

    def add_figure(self, name: str, figure: Figure, step: int) -> None:
        """Logs a figure of matplotlib."""

    def add_picture(self, name: str, picture: NDArray[np.uint8], step: int) -> None:
        """Logs a picture, uint8 (height, width, 3)."""


@dataclass(frozen=True)
class Watcher:
    """What the loop calls; it should be quick, because the loop waits for it.

    Attributes:
        on_step: called after every step.
        on_validation: called after every validation, with the averaged model and the places that take sounds and
            pictures.
        on_note: called with a line for the user.
    """

    on_step: Callable[[FitStatus], None] = lambda _status: None
    on_validation: Callable[[FitStatus, nn.Module, Sequence[Media]], None] = lambda _status, _model, _media: None
    on_note: Callable[[str], None] = lambda _note: None


def uses_graphs(setting: str, device: str, processes: int) -> bool:
    """Returns whether steps are recorded as CUDA graphs: on a GPU, by one rank, unless the setting is "off"."""
    return setting == "auto" and device == "cuda" and processes == 1


def progress_of(plan: FitPlan, status: FitStatus) -> float:
    """Returns the share of the budget that is spent, 0 to 1: of the steps or the minutes, whichever is greater."""
    by_steps = status.step / plan.max_steps if plan.max_steps else 0.0
    by_clock = status.seconds / (60 * plan.minutes) if plan.minutes else 0.0
    return min(1.0, max(by_steps, by_clock))
