"""A training that fails at its start leaves nothing behind."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from wavenet_app.core.loop.plan import FitPlan
from wavenet_app.core.run_lock import LOCK
from wavenet_app.core.runs import BEST, LAST


@contextmanager
def no_trace_without_checkpoint(plan: FitPlan) -> Iterator[None]:
    """Removes the folders that a run made, if it ends with an error before its first checkpoint.

    Folders that were there before stay, but for one that holds nothing yet: it was made to take the run's name. To be
    used while the run's lock is held, so that no other training is in the folder.

    Args:
        plan: with the folders of the run and of its TensorBoard events.
    """
    folders = [folder for folder in (plan.run_dir, plan.tensorboard_dir) if folder is not None]
    made = [folder for folder in folders if not folder.exists() or {path.name for path in folder.iterdir()} <= {LOCK}]
    try:
        yield
    except BaseException:
        if not any((plan.run_dir / name).exists() for name in (BEST, LAST)):
            for folder in made:
                shutil.rmtree(folder, ignore_errors=True)
        raise
