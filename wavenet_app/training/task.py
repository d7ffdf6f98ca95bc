"""The training task of WaveNet: corpus, model, loss and baseline, as `fit` needs them."""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wavenet_app.audio.mel import MelFrames
from wavenet_app.checkpoints.content import WaveNetContent
from wavenet_app.checkpoints.trained import KIND, plain_config
from wavenet_app.config import ModelConfig, RunConfig
from wavenet_app.core.checkpoint import read_checkpoint, write_checkpoint
from wavenet_app.core.cores import usable_cores
from wavenet_app.core.files import write_json
from wavenet_app.core.loop.kept import explained
from wavenet_app.core.loop.loading import Loader
from wavenet_app.core.loop.plan import FitPlan, FitStatus, Media, Watcher
from wavenet_app.core.loop.process_group import StartRanks, process_group
from wavenet_app.core.loop.schedules import learning_rate_share
from wavenet_app.core.loop.scoring import score_of
from wavenet_app.core.loop.start import no_trace_without_checkpoint
from wavenet_app.core.loop.task import BatchSize, Task
from wavenet_app.core.run_lock import run_lock
from wavenet_app.core.runs import BEST, LAST, first_file, refuse_existing
from wavenet_app.core.soap import Soap
from wavenet_app.core.terminal import clock, number_of
from wavenet_app.core.version import software
from wavenet_app.corpus.baseline import Baseline
from wavenet_app.corpus.conditions import ClipConditioning, PreviewConditioning
from wavenet_app.corpus.corpus import Corpus, split_record
from wavenet_app.corpus.windows import TrainingWindows, ValidationWindows
from wavenet_app.heads import mean_bits
from wavenet_app.network.conditioning import Conditioning
from wavenet_app.network.model import PredictionRows, WaveNet, product_dtype

Preview = Callable[[WaveNet, RunConfig, int, PreviewConditioning], NDArray[np.float32]]
"""Generates a number of samples from a model in training, float32 (samples,)."""

VALIDATION_SECONDS = 24.0  # audio of each validation during training; the final one uses all of it
PREVIEW_SECONDS = 1.0  # audio of each preview
_MOST_WORKERS = 4
PREVIEW_SHARE = 0.05  # maximum share of the training time that previews take


@dataclass(frozen=True)
class TrainingResult:
    """The result of a finished run.

    Attributes:
        checkpoint: the best checkpoint.
        status: final status of the loop.
        validation: bits per sample of that checkpoint over the whole validation split.
        baseline: bits per sample of the classical predictors on the same samples.
        model: settings of the model.
    """

    checkpoint: Path
    status: FitStatus
    validation: float
    baseline: Baseline
    model: ModelConfig


class WaveNetTask(Task):
    """Next-code prediction on the windows of a corpus.

    Args:
        config: settings of the run, with the gain and sample rate of the corpus.
        corpus: the audio.
        baseline: classical predictors' bits, stored in the checkpoints.
        device: "cpu", "cuda" or "mps", where the loop runs.
        start: weights by name in the place of random ones; None for none.

    Attributes:
        before_training: bits per sample of the model that the run starts from, by `start_score`; None from scratch, or
            where it was not measured.
    """

    kind = KIND
    loss_measure = score_measure = "bits"

    def __init__(
        self,
        config: RunConfig,
        corpus: Corpus,
        baseline: Baseline,
        device: str,
        start: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.config, self.corpus, self.baseline, self.device = config, corpus, baseline, device
        self.before_training: float | None = None
        self.model: WaveNet = WaveNet(config.model, torch.Generator().manual_seed(config.training.seed))
        self.model.product_dtype = product_dtype(config.training.precision, device, self.model.head)
        self.model.in_triton = config.training.layer_kernels == "triton" and device == "cuda"
        if start is not None:
            self.model.load_state_dict({**self.model.state_dict(), **start})
        self.conditioning = _conditioning(config, corpus)

    def training_batches(self, start_step: int, rank: int, world_size: int) -> Iterable[Any]:
        """Returns the training windows of a rank from a step on; see `TrainingWindows`."""
        return self._loader(self._windows(start_step, rank, world_size), self.workers)

    def _windows(self, start_step: int, rank: int, world_size: int) -> TrainingWindows:
        return TrainingWindows(
            self.corpus,
            context=self.config.training_context,
            window=self.config.training.window,
            batch_size=self.config.training.batch_size,
            coding=self.config.model.coding,
            seed=self.config.training.seed,
            start_step=start_step,
            rank=rank,
            world_size=world_size,
            conditioning=self.conditioning,
            prediction=self.config.model.prediction,
            joined=self.config.training.joined or 0.0,
        )

    @property
    def workers(self) -> int:
        """Processes that make batches: none without a GPU, whose cores they would take."""
        if self.config.training.workers is not None:
            return self.config.training.workers
        return min(_MOST_WORKERS, usable_cores()) if self.device == "cuda" else 0

    def _loader(self, windows: torch.utils.data.Dataset[Any], workers: int) -> Loader:
        return Loader(windows, workers=workers, pins=self.device == "cuda")

    def validation_batches(self, limit_seconds: float | None = VALIDATION_SECONDS) -> Iterable[Any]:
        """Returns windows of the validation clips: at most `limit_seconds` of audio, None for all of it."""
        return self._loader(validation_windows(self.config, self.corpus, limit_seconds, self.conditioning), 0)

    def optimizer(self) -> torch.optim.Optimizer:
        """Returns SOAP (Vyas et al. 2024) or Adam (Kingma and Ba 2015), without weight decay, which is untested."""
        rate, betas = self.config.training.learning_rate, (0.9, 0.99)
        if self.config.training.optimizer == "soap":
            return Soap(self.model.parameters(), lr=rate, betas=betas)
        return torch.optim.AdamW(self.model.parameters(), lr=rate, betas=betas, weight_decay=0.0, fused=True)

    def learning_rate_share(self, step: int, progress: float) -> float:
        """Returns linear warm-up times the schedule, which falls to `final_learning_rate`."""
        settings = self.config.training
        return learning_rate_share(
            settings.schedule, step, progress, warmup_steps=settings.warmup_steps, final=settings.final_learning_rate
        )

    def loss(self, batch: Any) -> Tensor:
        """Returns the mean bits per sample of a batch of windows."""
        return self._bits(self.model, batch)

    def weight(self, batch: Any) -> Tensor:
        """Returns the number of samples of a batch that count, shape ()."""
        return batch["mask"].sum()

    def batch_size(self) -> BatchSize:
        """Returns the windows of a batch in words, and how to have fewer or shorter ones."""
        size, window = self.config.training.batch_size, self.config.training.window
        fewer = f"--set training.batch_size={size // 2}" if size > 1 else f"--set training.window={window // 2}"
        context = self.config.training_context
        text = f"{size} window{'s' * (size > 1)} of {window:,} samples after {context:,} of context"
        return BatchSize(text, fewer, self._windows(0, 0, 1).count)

    def tally(self, model: nn.Module, batch: Any) -> Tensor:
        """Returns the total bits of a batch and the number of samples that count, shape (2,)."""
        assert isinstance(model, WaveNet)
        count = self.weight(batch)
        return torch.stack([self._bits(model, batch) * count, count])

    def score(self, tally: Tensor) -> float:
        """Returns the mean bits per sample."""
        bits, count = tally.tolist()
        return bits / count if count else math.nan

    def _bits(self, model: WaveNet, batch: Any) -> Tensor:
        codes, mask = batch["codes"], batch["mask"]
        context = codes.shape[1] - mask.shape[1]
        condition = model.condition(
            Conditioning(batch.get("speaker"), batch.get("mel")), self.conditioning.phase(context)
        )
        rows = PredictionRows(*batch["predicted_rows"].unbind(1)) if "predicted_rows" in batch else None
        outputs = model(codes[:, :-1], context - 1, condition, rows)
        return mean_bits(model.head.bits(outputs, codes[:, context:]), mask)

    def work(self, batch: Any) -> float:
        """Returns the seconds of audio in a batch."""
        return batch["mask"].numel() / self.corpus.sample_rate

    def content(self) -> dict[str, Any]:
        """Returns config, baseline, split and the score before training, as plain values."""
        return {
            "config": plain_config(self.config),
            "baseline": asdict(self.baseline),
            "split": split_record(self.corpus),
            "before_training": self.before_training,
        }


def validation_windows(
    config: RunConfig,
    corpus: Corpus,
    limit_seconds: float | None = VALIDATION_SECONDS,
    conditioning: ClipConditioning | None = None,
) -> ValidationWindows:
    """Returns the windows of the validation clips that a validation uses.

    Args:
        config: of the run.
        corpus: its validation clips are used.
        limit_seconds: of audio at most; None for all of it.
        conditioning: makes what goes into a batch beside codes; None for a new one.
    """
    return ValidationWindows(
        corpus,
        context=config.model.receptive_field,
        window=config.training.window,
        batch_size=config.training.batch_size,
        coding=config.model.coding,
        limit_seconds=limit_seconds,
        conditioning=conditioning or _conditioning(config, corpus),
        prediction=config.model.prediction,
    )


def _conditioning(config: RunConfig, corpus: Corpus) -> ClipConditioning:
    mel = config.model.mel
    return ClipConditioning(config.model.speakers, None if mel is None else MelFrames(mel, corpus.sample_rate))


def train(
    task: WaveNetTask,
    plan: FitPlan,
    *,
    on_step: Callable[[FitStatus], None],
    on_validation: Callable[[FitStatus], None],
    preview: Preview | None,
    on_note: Callable[[str], None] = lambda _note: None,
    on_phase: Callable[[str], None] = lambda _phase: None,
    resume: dict[str, Any] | None = None,
    start_ranks: StartRanks = process_group,
) -> TrainingResult:
    """Trains until the budget is spent or a signal arrives, then scores the best checkpoint on all of validation.

    Args:
        task: the model and its data.
        plan: budget and folders; config.json and split.json are written to its run folder.
        on_step: called after every step.
        on_validation: called after every validation.
        preview: generates audio for the logger; None for none.
        on_note: called with a line for the user.
        on_phase: called with what begins after the last step, in words.
        resume: content of the last.pth to resume from.
        start_ranks: starts the other ranks; by default as processes of this one.

    Raises:
        UserError: another process trains this run, the training diverged, or a checkpoint cannot be written.
    """
    from wavenet_app.core.loop.loop import fit  # imports Lightning, which other users of this task do not need

    preview_writer = _PreviewWriter(task, preview)

    def after_validation(status: FitStatus, model: nn.Module, media: Sequence[Media]) -> None:
        on_validation(status)
        assert isinstance(model, WaveNet)
        if media:
            preview_writer.write(status, model, media)

    with run_lock(plan.run_dir), no_trace_without_checkpoint(plan):
        if resume is None:
            refuse_existing(plan.run_dir.name, plan.run_dir.parent)
        write_json(plan.run_dir / "config.json", {**plain_config(task.config), "software": software()})
        write_json(plan.run_dir / "split.json", split_record(task.corpus))
        watcher = Watcher(on_step, after_validation, on_note)
        status = fit(task, plan, watcher=watcher, resume=resume, start_ranks=start_ranks)
        with explained(lambda: _unmeasured(plan)):
            return _finish(task, plan, status, on_phase)


def start_score(task: WaveNetTask) -> float:
    """Returns the bits per sample of the net as it is now, on the audio that validations during training use."""
    model = _net_to_score(task)
    model.load_state_dict(task.model.state_dict())
    return score_of(task, model, task.validation_batches())


def _net_to_score(task: WaveNetTask) -> WaveNet:
    """Returns a net of the shape and arithmetic of a run, on its device, whose weights are still to be loaded."""
    model = WaveNet(task.config.model).to(task.device)
    model.product_dtype = task.model.product_dtype
    return model


def _unmeasured(plan: FitPlan) -> str:
    """Returns what an interrupt of the final measurement leaves, and the command that measures."""
    name = plan.run_dir.name
    best = first_file(plan.run_dir / BEST, plan.run_dir / LAST)
    return (
        f"stopped; {best} is kept, and was not measured on all held-out clips; "
        f"measure it with: wavegen eval {shlex.quote(name)}"
    )


def _finish(task: WaveNetTask, plan: FitPlan, status: FitStatus, on_phase: Callable[[str], None]) -> TrainingResult:
    scores: dict[str, float] = {}
    contents: dict[str, dict[str, Any]] = {}
    model = _net_to_score(task)
    for name in ("last", "best"):
        if (plan.run_dir / f"{name}.pth").exists():
            contents[name] = read_checkpoint(plan.run_dir / f"{name}.pth", KIND, WaveNetContent)
    if len(contents) == 2 and _same_weights(*contents.values()):
        del contents["last"]
    clips = task.corpus.validation
    length = clock(task.corpus.duration(clips))
    both = " with the last and with the best checkpoint" if len(contents) == 2 else ""
    on_phase(f"measuring all held-out clips ({number_of(len(clips), 'clip')}, {length}){both}")
    for name, content in contents.items():
        model.load_state_dict(content["weights"])
        scores[name] = score_of(task, model, task.validation_batches(limit_seconds=None))
    winner = min(scores, key=lambda name: (math.isnan(scores[name]), scores[name]))
    best = {**contents[winner], "validation": scores[winner]}
    write_checkpoint(plan.run_dir / "best.pth", KIND, best)
    return TrainingResult(plan.run_dir / "best.pth", status, scores[winner], task.baseline, task.config.model)


def _same_weights(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Returns whether two checkpoints hold the same weights, as after a last validation that was the best."""
    return all(torch.equal(weight, other["weights"][name]) for name, weight in one["weights"].items())


class _PreviewWriter:
    """Logs one real clip once, and generated audio as often as its share of the time allows."""

    def __init__(self, task: WaveNetTask, preview: Preview | None) -> None:
        self.task, self.preview = task, preview
        self.spent = 0.0
        self.began = time.monotonic()
        self.real_written = False
        self.clip = max(task.corpus.validation, key=lambda clip: clip.num_samples)

    def write(self, status: FitStatus, model: WaveNet, media: Sequence[Media]) -> None:
        length = round(PREVIEW_SECONDS * self.task.corpus.sample_rate)
        if not self.real_written:
            self._sound(media, "real", self.task.corpus.waveform(self.clip, 0, 3 * length), status.step)
            self.real_written = True
        if self.preview is None or self.spent > PREVIEW_SHARE * (time.monotonic() - self.began):
            return
        before = time.monotonic()
        self._sound(
            media, "generated", self.preview(model, self.task.config, length, self._conditioning(length)), status.step
        )
        # the next preview has to wait until its cost fits into the share
        self.spent += time.monotonic() - before

    def _conditioning(self, length: int) -> PreviewConditioning:
        """Returns the speaker and the frames of the real clip's beginning."""
        shares = frames = None
        places, mel = self.task.conditioning.places, self.task.conditioning.mel
        if self.clip.speaker is not None:
            shares = np.eye(len(places), dtype=np.float32)[places[self.clip.speaker]]
        if mel is not None:
            frames = np.concatenate(list(mel.conditioning([mel.of(self.task.corpus.waveform(self.clip, 0, length))])))
        return PreviewConditioning(shares, frames)

    def _sound(self, media: Sequence[Media], name: str, waveform: NDArray[np.float32], step: int) -> None:
        from wavenet_app.audio.pictures import spectrogram_figure

        rate = self.task.corpus.sample_rate
        figure = spectrogram_figure(waveform, rate, name)
        for one in media:
            one.add_sound(name, waveform, rate, step)
            one.add_figure(f"{name} spectrogram", figure, step)
