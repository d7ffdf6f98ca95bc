"""The terminal output of a training run."""

import io
import re

from rich.console import Console
from tiny_run import TINY

from wavenet_app.core.errors import UserError
from wavenet_app.core.loop.plan import FitStatus
from wavenet_app.corpus.baseline import Baseline
from wavenet_app.training import command, task, view
from wavenet_app.training.view import TrainingView

BASELINE = Baseline(unigram=7.0, order1=5.0, lpc=4.0, samples=1)


def shown(validations: list[float]) -> str:
    """Returns what is printed for consecutive validations."""
    text = io.StringIO()
    lines = TrainingView(Console(file=text, width=300), BASELINE)
    status = FitStatus()
    for validation in validations:
        status.history.append({"validation": validation, "train": validation})
        status.improved = validation < status.best
        status.best = min(status.best, validation)
        lines.on_validation(status)
    return text.getvalue()


def test_lines_above_the_model_that_a_run_starts_from_are_worse():
    text = io.StringIO()
    lines = TrainingView(Console(file=text, width=80), BASELINE)
    lines.show_source(4.5)
    for validation in (4.7, 4.6, 4.5004, 4.4):
        lines.on_validation(FitStatus(history=[{"validation": validation, "train": 5.0}], improved=True))
    rows = text.getvalue().splitlines()
    assert [row.endswith("  worse") for row in rows] == [False, True, True, False, False]


def test_a_diverging_run_gets_one_note():
    output = shown([5.0, 4.4, 4.5, 4.7, 5.9, 6.4])
    assert output.count("note:") == 1
    assert (
        output.index("4.700") < output.index("risen far above its best, 4.400, which is kept") < output.index("5.900")
    )


def test_each_figure_stands_beside_a_baseline_over_the_same_samples(wavegen, tone_folder, monkeypatch):
    spans = []

    def measured(corpus, some, *, coding):
        spans.extend(some)
        return Baseline(7.0, 5.0, 4.321, 2), Baseline(7.0, 5.0, 1.234, 1)

    monkeypatch.setattr(command, "corpus_baselines", measured)
    monkeypatch.setattr(task.WaveNetTask, "validation_batches", validation_batches := Recorded(task.WaveNetTask))
    said = wavegen("train", tone_folder, "--preset", "tiny", "--max-steps", 1, "--set", "training.processes=1").out
    lines = [line for line in said.splitlines() if "LPC-24" in line]
    assert "validation" in lines[0]
    assert "(LPC-24 1.234)" in lines[0]
    assert "4.321" in lines[-1] or "4.321" in lines[-2]
    assert tuple(spans) == validation_batches.spans[0]


class Recorded:
    """Stands in for a task's `validation_batches` and keeps the spans of what it returns."""

    def __init__(self, owner):
        self.original, self.spans = owner.validation_batches, []

    def __get__(self, instance, _owner):
        def batches(*arguments, **options):
            loader = self.original(instance, *arguments, **options)
            self.spans.append(loader.source.spans)
            return loader

        return batches


def test_a_model_whose_clips_all_fail_or_that_lpc_beats_is_to_be_trained_on(wavegen, tone_folder, monkeypatch):
    from fast_gen.evaluation import for_training

    options = ("--preset", "tiny", "--max-steps", 1, "--logger", "none", "--set", "training.processes=1")
    train_on, hear_it = (
        "train on: wavegen train --resume {} --minutes 60 --max-steps 2\n",
        "hear it: wavegen sample {}\n",
    )
    failing, usable = ("noise",) * 4, ("noise", None, "silence", "noise")
    for name, failures, lpc, wanted, unwanted in (
        ("failing", failing, 100.0, train_on, "hear it"),
        ("usable", usable, 100.0, hear_it, "train on:"),
        ("beaten", usable, 0.0, hear_it + "the model needs more training; " + train_on, "nothing"),
    ):
        baseline = Baseline(7.0, 5.0, lpc, 1)
        monkeypatch.setattr(command, "corpus_baselines", lambda *_, both=(baseline, baseline), **__: both)
        monkeypatch.setattr(for_training, "failures_of", lambda _clips, failures=failures: failures)
        said = wavegen("train", tone_folder, *options, "--minutes", 30, "--name", name).out
        assert wanted.format(name, name) in said
        assert unwanted not in said


def test_the_last_figure_is_over_all_held_out_clips_and_those_before_over_some(wavegen, tone_folder, monkeypatch):
    options = ("--preset", "tiny", "--max-steps", 1, "--logger", "none", "--set", "training.processes=1")
    said = wavegen("train", tone_folder, *options, "--name", "short").out
    assert "bits per sample over all held-out clips, 0.5 s, of" in said
    monkeypatch.setattr(view, "VALIDATION_SECONDS", 0.25)
    said = wavegen("train", tone_folder, *options, "--name", "long").out
    assert "over all held-out clips, 0.5 s (during training: over 0.25 s of them), of" in said


def test_a_fluctuating_validation_gets_no_note():
    output = shown([5.0, 4.4, 4.5, 4.3, 4.4])
    assert "note:" not in output
    assert output.count("  worse") == 2


def no_batches(*_):
    raise UserError("no batches")


def test_the_header_is_in_plain_words(wavegen, tone_folder, monkeypatch):
    monkeypatch.setattr(task.WaveNetTask, "training_batches", no_batches)
    said = wavegen("train", tone_folder, "--minutes", "1.0", "--max-steps", 2000, "--logger", "none", *TINY).out
    assert re.search(
        r"run tones: [\d,]+ parameters, on cpu in b?float\d+, optimizer soap\n"
        r"predicts 256 mu-law codes from [\d,]+ samples \(\d+ ms\) before; head mu-law\n"
        r"trains for 1 minute or 2,000 steps; Ctrl-C stops early and keeps the model\n",
        said,
    ), said
