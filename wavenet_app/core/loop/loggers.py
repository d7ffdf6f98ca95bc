"""Where curves are logged: TensorBoard and Weights & Biases, by Lightning's loggers."""

from __future__ import annotations

from collections.abc import Sequence

from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger

from wavenet_app.core.errors import UserError
from wavenet_app.core.extras import how_to_install
from wavenet_app.core.loop.plan import FitPlan


def loggers_of(plan: FitPlan) -> list[Logger]:
    """Returns the loggers that a plan asks for.

    Raises:
        UserError: the package wandb is missing.
    """
    loggers: list[Logger] = []
    if plan.tensorboard_dir is not None:
        folder = plan.tensorboard_dir
        loggers.append(TensorBoardLogger(folder.parent, name="", version=folder.name))
    if plan.wandb_dir is not None:
        try:
            plan.wandb_dir.mkdir(parents=True, exist_ok=True)
            loggers.append(WandbLogger(name=plan.run_dir.name, project="wavegen", save_dir=plan.wandb_dir))
        except ModuleNotFoundError:
            raise UserError(f"--logger wandb needs the package wandb; {how_to_install('wandb')}") from None
    return loggers


def finish_loggers(loggers: Sequence[Logger]) -> None:
    """Ends the run in Weights & Biases; otherwise the next training of this process would be logged to it too."""
    if any(isinstance(logger, WandbLogger) for logger in loggers):
        import wandb

        wandb.finish()
