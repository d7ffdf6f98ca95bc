"""Shows a training run in the terminal."""

from __future__ import annotations

import math
import shlex

from rich.console import Console
from rich.table import Table

from wavenet_app.config import ModelConfig
from wavenet_app.core.console import print_labelled
from wavenet_app.core.loop.plan import FitPlan, FitStatus, HistoryRow
from wavenet_app.core.loop.view import RunView, budget_line, show_interruption
from wavenet_app.core.terminal import clock, print_notes
from wavenet_app.corpus.baseline import Baseline
from wavenet_app.corpus.verdict import few_clips, gained, verdict
from wavenet_app.evaluation.runaway import Judgement
from wavenet_app.training.run import Run
from wavenet_app.training.task import VALIDATION_SECONDS, TrainingResult

_RISEN_BITS = 0.25  # above the best validation: more than its usual fluctuation


class TrainingView(RunView):
    """The progress bar of a run, and a line for each validation with the baseline.

    Args:
        console: console to print to.
        baseline: bits to show beside those of the model.
        before: bits per sample of the model that a resumed run started from, before training; None for none.
    """

    def __init__(self, console: Console, baseline: Baseline, before: float | None = None) -> None:
        super().__init__(console)
        self.baseline = baseline
        self.rise_noted = False
        self.before_training = math.inf if before is None else before

    def figures(self, status: FitStatus) -> str:
        """Returns the loss in bits per sample, the validation, and the speed in seconds of audio per second."""
        return f"{status.loss:.3f} bits  {self._held_out()}  {status.rate:.1f} s audio/s"

    def scores(self, row: HistoryRow) -> str:
        """Returns the bits per sample of training and validation, and those of the baseline."""
        return f"train {row['train']:.3f}  {self._validation(row['validation'])}"

    def show_source(self, bits: float) -> None:
        """Prints what the model that the run starts from scores before any training."""
        self.before_training = bits
        self.print_row(FitStatus(), f"{self._validation(bits)}  before training")

    def is_worse(self, status: FitStatus) -> bool:
        """Returns whether an earlier validation, or the model that the run starts from, was better than the newest."""
        return super().is_worse(status) or round(self.validation, 3) > round(self.before_training, 3)

    def on_step(self, status: FitStatus) -> None:
        """Advances the bar every tenth step, because steps of small models are too short to draw each."""
        if status.step % 10 == 0:
            super().on_step(status)

    def on_validation(self, status: FitStatus) -> None:
        """Prints the result of a validation, and once a note if it is much worse than the best."""
        super().on_validation(status)
        if self.validation > status.best + _RISEN_BITS and not self.rise_noted:
            self.rise_noted = True
            print_labelled(
                self.console,
                "note",
                f"validation has risen far above its best, {status.best:.3f}, which is kept: "
                "the learning rate is too high for this run, or the model overfits; start again with half the "
                "learning rate (--set training.learning_rate=...), or with more audio",
            )

    def _validation(self, bits: float) -> str:
        return f"validation {bits:.3f}  (LPC-24 {self.baseline.lpc:.3f})"

    def _held_out(self) -> str:
        if math.isnan(self.validation):
            return f"LPC-24 {self.baseline.lpc:.2f}"
        return f"validation {self.validation:.3f} / LPC-24 {self.baseline.lpc:.2f}"


def show_start(console: Console, run: Run, *, device: str, dtype: str, parameters: int) -> None:
    """Prints the name, model, receptive field and budget of a run, and its notes."""
    config = run.config
    field_samples = config.model.receptive_field
    milliseconds = 1000 * field_samples / run.corpus.sample_rate
    console.print(
        f"run {config.name}: {parameters:,} parameters, on {device} in {dtype}, optimizer {config.training.optimizer}\n"
        f"predicts {config.model.coding.name} from {field_samples:,} samples ({milliseconds:.0f} ms) before; "
        f"head {config.model.head}\n"
        f"{budget_line(run.plan, run.resume)}",
        highlight=False,
    )
    print_notes(console, run.notes)


def show_result(
    console: Console, result: TrainingResult, run: Run, judgement: Judgement | None, before: float | None = None
) -> None:
    """Prints the final table, the verdict, the judgement of its clips if there is one, and the next commands.

    Args:
        console: to print on.
        result: of the training.
        run: that was trained.
        judgement: of clips that the model made; None if none were made.
        before: bits per sample of the model that the run starts from, before training; None from scratch.
    """
    held_out = run.corpus.duration(run.corpus.validation)
    length = clock(held_out) if held_out >= 60 else f"{held_out:.3g} s"
    sampled = f" (during training: over {VALIDATION_SECONDS:g} s of them)" if held_out > VALIDATION_SECONDS else ""
    console.print(
        f"bits per sample over all held-out clips, {length}{sampled}, of {result.model.coding.name}, lower is better:",
        highlight=False,
    )
    table = Table()
    table.add_column("predictor")
    table.add_column("bits", justify="right")
    for label, bits in (
        ("unigram", result.baseline.unigram),
        ("order-1", result.baseline.order1),
        ("LPC-24", result.baseline.lpc),
        ("this model", result.validation),
    ):
        table.add_row(label, f"{bits:.3f}")
    console.print(table)
    if judgement is not None:  # first, because a net can predict well and yet generate noise
        console.print(judgement.text, highlight=False)
    console.print(verdict(result.validation, result.baseline), highlight=False)
    if (added := gained(before, result.status.best)) is not None:
        console.print(added, highlight=False)
    if (few := few_clips(len(run.corpus.validation), held_out)) is not None:
        print_labelled(console, "note", few)
    name = run.config.name
    show_interruption(console, result.status, f"train --resume {name}")
    lines = [f"checkpoint: {result.checkpoint}"]
    usable = judgement is None or judgement.usable
    train_on = f"train on: wavegen train --resume {shlex.quote(name)} {_twice_as_long(run.plan)}"
    if usable:
        lines.append(f"hear it: wavegen {_first_use(result.model, name)}")
    if not usable or (result.validation >= result.baseline.lpc and result.status.interrupted is None):
        lines.append(f"the model needs more training; {train_on}")
    lines.append(f"evaluate it: wavegen eval {name} --report {name}.html")
    console.print("\n".join(lines), highlight=False, soft_wrap=True)


def unheard(result: TrainingResult, run: Run) -> str:
    """Returns what an interrupt leaves while the clips for the verdict are made, and the command that makes some."""
    return (
        f"stopped; {result.checkpoint} is kept: {result.validation:.3f} bits per sample over all held-out clips "
        f"(LPC-24 {result.baseline.lpc:.3f}); the clips for the verdict were not made; "
        f"hear it with: wavegen {_first_use(result.model, run.config.name)}"
    )


def _twice_as_long(plan: FitPlan) -> str:
    """Returns the options that double the budget of a run."""
    minutes = [f"--minutes {2 * plan.minutes:g}"] if plan.minutes else []
    steps = [f"--max-steps {2 * plan.max_steps}"] if plan.max_steps else []
    return " ".join([*minutes, *steps])


def _first_use(model: ModelConfig, name: str) -> str:
    """Returns the command that generates audio, ready to copy except for the name of the recording."""
    if model.mel is None:
        return f"sample {name}"
    return f"vocode {name} RECORDING" + (f" --speaker {shlex.quote(model.speakers[0])}" if model.speakers else "")
