"""The terminal output of a training run."""

import io

from rich.console import Console

from wavenet_app.core.loop.plan import FitStatus
from wavenet_app.corpus.baseline import Baseline
from wavenet_app.training.view import TrainingView

BASELINE = Baseline(unigram=7.0, order1=5.0, lpc=4.0, samples=1)


def shown(validations: list[float]) -> str:
    """Returns what is printed for consecutive validations."""
    text = io.StringIO()
    view = TrainingView(Console(file=text, width=300), BASELINE)
    status = FitStatus()
    for validation in validations:
        status.history.append({"validation": validation, "train": validation})
        status.improved = validation < status.best
        status.best = min(status.best, validation)
        view.on_validation(status)
    return text.getvalue()


def test_a_diverging_run_gets_one_note():
    output = shown([5.0, 4.4, 4.5, 4.7, 5.9, 6.4])
    assert output.count("note:") == 1
    assert (
        output.index("4.700") < output.index("risen far above its best, 4.400, which is kept") < output.index("5.900")
    )


def test_a_fluctuating_validation_gets_no_note():
    output = shown([5.0, 4.4, 4.5, 4.3, 4.4])
    assert "note:" not in output
    assert output.count("not the best") == 2
