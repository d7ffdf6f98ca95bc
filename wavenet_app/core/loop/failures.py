"""What to say of errors that end a training: a GPU that is full, a disk that cannot be written."""

from __future__ import annotations

from contextlib import suppress

import torch

from wavenet_app.core.errors import UserError
from wavenet_app.core.loop.plan import FitPlan, FitStatus
from wavenet_app.core.loop.task import Task


def without_memory(task: Task, status: FitStatus) -> UserError:
    """Returns what to say of a GPU that is full."""
    free = ""
    with suppress(RuntimeError, AssertionError):  # a GPU that does not say
        left, all_of_it = torch.cuda.mem_get_info()
        free = f" ({left / 1e9:.1f} GB of {all_of_it / 1e9:.1f} are free)"
    size = task.batch_size()
    return UserError(
        f"the training stopped at step {status.step}: the GPU has not enough memory for {size.text}{free}; take "
        f"{size.smaller}, have the size found with --set training.fit_batch=true, or close what else runs on the GPU"
    )


def stopped(plan: FitPlan, status: FitStatus, error: OSError) -> UserError:
    """Returns what to say of an error of the disk, such as a full one under TensorBoard."""
    what = error.filename or plan.tensorboard_dir or plan.run_dir
    return UserError(
        f"the training stopped at step {status.step}: cannot write {what}: {error.strerror or error}; free some space, "
        f"then continue it with --resume {plan.run_dir.name}"
    )
