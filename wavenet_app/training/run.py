"""Prepares a training run from its options: settings, corpus, budget and folders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wavenet_app.checkpoints.content import WaveNetContent
from wavenet_app.checkpoints.trained import KIND
from wavenet_app.config import DEFAULT_JOINED, RunConfig
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.core.loop.devices import default_processes, refuse_processes
from wavenet_app.core.loop.plan import FitPlan, uses_graphs
from wavenet_app.core.run_lock import refuse_locked
from wavenet_app.core.runs import free_name, read_resumed, refuse_beside_resume, refuse_existing
from wavenet_app.core.settings import override, validated
from wavenet_app.core.terminal import number_of
from wavenet_app.corpus.coded import for_model
from wavenet_app.corpus.corpus import Corpus, open_corpus, split_record
from wavenet_app.corpus.speakers import TABLE_RULE
from wavenet_app.corpus.windows import max_cut_length
from wavenet_app.training.nearest_voice import nearest_voice, voice_at_another_rate
from wavenet_app.training.options import RunOptions, settings_of
from wavenet_app.training.start import (
    Source,
    Start,
    at_gentle_rate,
    rate_note,
    read_source,
    settings_from,
    source_at,
    take_over,
)

DEFAULT_MINUTES = 30.0


@dataclass(frozen=True)
class Run:
    """A run that is ready to train.

    Attributes:
        config: all settings, with the sample rate and gain of the corpus.
        corpus: the audio.
        plan: budget and folders.
        resume: content of the checkpoint to resume from, or None.
        notes: one-line notes for the user before training starts.
        start: the weights to start with, or None for random ones.
    """

    config: RunConfig
    corpus: Corpus
    plan: FitPlan
    resume: dict[str, Any] | None
    notes: list[str] = field(default_factory=list)
    start: Start | None = None


def prepare_run(
    options: RunOptions, folder: DataFolder, *, device: str, on_decode: Callable[[int, int, str], None] | None = None
) -> Run:
    """Prepares a run from its options.

    Args:
        options: the user's options.
        folder: the data folder.
        device: "cpu", "cuda" or "mps"; decides what "auto" means.
        on_decode: called after each decoded file with (done, total, file name).

    Raises:
        UserError: a setting is invalid, or a path or the run to resume does not exist.
    """
    options.check_choices()
    resume, notes = _resumed(options, folder)
    source = _source(options, folder) if resume is None else None
    config = _settings(options, source, resume, device)
    refuse_processes(device, config.training.processes or 1, placed=options.placed)
    notes += _optimizer_notes(config, device, one_machine=options.one_machine)
    _refuse_kernels(config, device)
    if resume:
        refuse_locked(folder.checkpoints / config.name)
    elif options.name:
        refuse_existing(config.name, folder.checkpoints)
    sources = [folder.data_set(path) for path in config.corpus.paths]
    corpus = open_corpus(
        sources,
        audio=config.audio,
        split=config.corpus,
        cache_dir=folder.cache,
        sample_rate=_wanted_rate(config, options, source, resumed=resume is not None),
        gain=config.audio.gain if resume else None,
        progress=on_decode,
    )
    base = _base_name(config, options)
    config = _with_absolute_paths(config, sources)
    config = override(config, {"audio": {"sample_rate": corpus.sample_rate, "gain": corpus.gain}})
    config = _with_conditioning(config, corpus, resumed=resume is not None)
    corpus = for_model(corpus, config.model.mel)
    config, start, start_notes = _beginning(config, options, corpus, source, resumed=resume is not None)
    notes += [*_notes(config, corpus, resume), *start_notes]
    if not (resume or options.name):  # last, for a name that is taken for nothing is lost
        config = override(config, {"name": free_name(base, folder.checkpoints)})
    return Run(config, corpus, _plan(config, folder, options.logger, device), resume, notes, start)


def _resumed(options: RunOptions, folder: DataFolder) -> tuple[dict[str, Any] | None, list[str]]:
    """Returns the content of the checkpoint to resume from, None for a new run, and notes about it."""
    if not options.resume:
        return None, []
    return read_resumed(
        options.resume,
        folder.checkpoints,
        KIND,
        WaveNetContent,
        called="run",
        otherwise="start a new run without --resume",
    )


def _settings(options: RunOptions, source: Source | None, resume: dict[str, Any] | None, device: str) -> RunConfig:
    """Returns the settings of a run, with all that the corpus does not decide filled in."""
    if resume is None:
        start_config = None if source is None else settings_from(source, options.given("model", "head"))
        config = _with_absolute_start(settings_of(options, device, start_config))
        config = override(config, {"training": {"context": config.training_context}})
    else:
        config = _resumed_settings(options, resume)
    if config.training.max_steps is None and config.training.minutes is None:
        config = override(config, {"training": {"minutes": DEFAULT_MINUTES}})
    if config.training.processes is None:
        # runs from before this setting existed had one process
        config = override(config, {"training": {"processes": 1 if resume else default_processes(device)}})
    if config.training.optimizer is None:
        optimizer = default_optimizer(device, one_machine=options.one_machine)
        config = override(config, {"training": {"optimizer": optimizer}})
    return config


def _beginning(
    config: RunConfig, options: RunOptions, corpus: Corpus, source: Source | None, *, resumed: bool
) -> tuple[RunConfig, Start | None, list[str]]:
    """Returns the settings, the weights that a run starts with, None for random ones, and what to say of them.

    A new run for which no start is named starts from the nearest shipped voice, if one is near.
    """
    notes: list[str] = []
    if not resumed and options.given("training", "start_from") is None and config.corpus.paths:
        nearest = nearest_voice(corpus, config.model)
        if nearest is not None:
            source = source_at(nearest.path, nearest.name)
            config = override(config, {"training": {"start_from": nearest.name}})
            notes.append(nearest.reason)
        elif (other := voice_at_another_rate(corpus, config.model)) is not None:
            notes.append(other)
    if source is None:
        started = config.training.start_from
        return config, None, notes if started is None else [f"this run started from {started}"]
    if options.given("training", "learning_rate") is None:
        config, rate_notes = at_gentle_rate(config)
        notes += rate_notes
    start = take_over(source, config.model)
    return config, start, [*notes, *rate_note(source, corpus), *start.notes]


def _plan(config: RunConfig, folder: DataFolder, logger: str, device: str) -> FitPlan:
    """Returns the budget and the folders of a run."""
    training = config.training
    processes = training.processes or 1
    return FitPlan(
        run_dir=folder.checkpoints / config.name,
        tensorboard_dir=folder.tensorboard / config.name if logger == "tensorboard" else None,
        wandb_dir=folder.root if logger == "wandb" else None,
        max_steps=training.max_steps,
        minutes=training.minutes,
        gradient_clip=training.gradient_clip,
        ema_decay=training.ema_decay,
        validate_seconds=training.validate_seconds,
        checkpoint_seconds=training.checkpoint_seconds,
        processes=processes,
        cuda_graphs=training.optimizer == "adam" and uses_graphs(training.cuda_graphs, device, processes),
    )


def default_optimizer(device: str, *, one_machine: bool) -> str:
    """Returns the optimizer of a run whose settings name none.

    SOAP is not timed on a GPU yet, and untried on machines whose processors round differently: each process computes
    bases of its own, and these could drift apart.

    Args:
        device: "cpu", "cuda" or "mps".
        one_machine: whether all processes of the run are on one machine.
    """
    return "soap" if device == "cpu" and one_machine else "adam"


def _optimizer_notes(config: RunConfig, device: str, *, one_machine: bool) -> list[str]:
    """Returns what a user should know of the optimizer; raises a UserError if the device cannot run it."""
    if config.training.optimizer != "soap":
        return []
    if device == "mps":
        raise UserError(
            "training.optimizer=soap needs numbers of 64 bits, which this GPU does not have; start a new run with "
            "--set training.optimizer=adam"
        )
    return (
        [] if one_machine else ["soap is untried on several machines: use machines with the same processors, or adam"]
    )


def _refuse_kernels(config: RunConfig, device: str) -> None:
    """Raises a UserError if the kernels that the settings name do not suit the device or the model."""
    if config.training.layer_kernels != "triton":
        return
    from wavenet_app.network.stack.triton_stack import unfit

    problem = unfit(config.model.residual_channels, config.model.dilation_channels)
    if device != "cuda":
        problem = f"they are for an NVIDIA GPU, and this training is on {device}"
    if problem is not None:
        raise UserError(f"training.layer_kernels=triton: {problem}; drop that setting")


def _source(options: RunOptions, folder: DataFolder) -> Source | None:
    """Returns the model that a new run starts from, None for random weights."""
    name = options.source
    if name is None:
        return None
    source = read_source(name, folder)
    rate, wanted = source.config.audio.sample_rate, options.given("audio", "sample_rate")
    if wanted is not None and wanted != rate:
        raise UserError(
            f"{name} was trained at {rate} Hz, so a run that starts from it cannot be at {wanted} Hz; drop the sample "
            "rate or --start-from"
        )
    return source


def _with_absolute_start(config: RunConfig) -> RunConfig:
    """Returns the config with an absolute path of the model to start from, if that is given as a file or folder."""
    name = config.training.start_from
    if name is None or not Path(name).exists():
        return config
    return override(config, {"training": {"start_from": str(Path(name).absolute())}})


def _wanted_rate(config: RunConfig, options: RunOptions, source: Source | None, *, resumed: bool) -> int | None:
    """Returns the sample rate of the run in Hz, None if the recordings decide."""
    if source is not None:
        return source.config.audio.sample_rate
    return config.audio.sample_rate if resumed or options.given("audio", "sample_rate") is not None else None


def _resumed_settings(options: RunOptions, resume: dict[str, Any]) -> RunConfig:
    refuse_beside_resume(
        (
            (options.paths, "paths"),
            (options.name, "--name"),
            (options.config_file, "--config"),
            (options.speakers, "--speakers"),
            (options.condition, "--condition"),
            (options.head, "--head"),
            (options.start_from, "--start-from"),
        )
    )
    before = validated(RunConfig, resume["config"])
    # what runs had before these settings existed
    earlier = {"optimizer": "adam", "context": before.model.receptive_field, "joined": 0.0}
    missing = {name: value for name, value in earlier.items() if getattr(before.training, name) is None}
    before = override(before, {"training": missing})
    after = override(before, options.changes())
    moved = override(before, {"corpus": {"paths": after.corpus.paths}})  # the recordings may have moved since
    for section in ("model", "audio", "corpus"):
        if getattr(after, section) != getattr(moved, section):
            raise UserError(
                f"--resume cannot change model, audio or corpus settings; drop --set {section}..., or start a new run"
            )
    if after.training.start_from != before.training.start_from:
        raise UserError("--resume keeps the weights of the run; drop --set training.start_from, or start a new run")
    if after.training.optimizer != before.training.optimizer:
        raise UserError(
            f"--resume keeps the optimizer of the run, {before.training.optimizer}; drop --set training.optimizer, or "
            "start a new run"
        )
    return after


def _with_absolute_paths(config: RunConfig, sources: Sequence[Path]) -> RunConfig:
    """Returns the config with absolute paths, so a run can be resumed and evaluated from any folder."""
    changes: dict[str, Any] = {"paths": [str(source.absolute()) for source in sources]}
    rule = config.corpus.speakers
    if rule is not None and rule.startswith(TABLE_RULE):
        changes["speakers"] = TABLE_RULE + str(Path(rule.removeprefix(TABLE_RULE)).absolute())
    return override(config, {"corpus": changes})


def _with_conditioning(config: RunConfig, corpus: Corpus, *, resumed: bool) -> RunConfig:
    """Returns the config with the speakers of the corpus, and with the settings that they and its rate decide."""
    if config.training.joined and config.model.mel is not None:
        raise UserError("training.joined: the mel frames of a clip do not show the clip before it; drop that setting")
    if resumed:
        unknown = sorted(set(corpus.speakers) - set(config.model.speakers))
        if unknown:
            raise UserError(
                f"the corpus has speakers that the run does not know ({', '.join(unknown)}); remove their files to "
                "resume, or start a new run"
            )
        return config
    joined = config.training.joined
    if joined is None:
        joined = DEFAULT_JOINED if len(corpus.speakers) > 1 and config.model.mel is None else 0.0
    changes: dict[str, Any] = {"speakers": corpus.speakers}
    if config.model.mel is not None:
        mel = config.model.mel.resolved(corpus.sample_rate)
        max_cut_length(config.training.window, mel.hop)
        changes["mel"] = mel.model_dump()
    if config.model.prediction is not None:
        changes["prediction"] = config.model.prediction.resolved(corpus.sample_rate).model_dump()
    return override(config, {"model": changes, "training": {"joined": joined}})


def _base_name(config: RunConfig, options: RunOptions) -> str:
    base = Path(config.corpus.paths[0]).resolve().name if config.corpus.paths else "plucked"
    return base if options.preset == "auto" else f"{base}-{options.preset}"


def _notes(config: RunConfig, corpus: Corpus, resume: dict[str, Any] | None) -> list[str]:
    notes = list(corpus.remarks)
    field_samples = config.model.receptive_field
    milliseconds = 1000 * field_samples / corpus.sample_rate
    if milliseconds < 50:
        notes.append(
            f"the receptive field of {field_samples} samples is only {milliseconds:.0f} ms at {corpus.sample_rate} Hz: "
            "pitches may drift; use a larger preset or a lower --sample-rate"
        )
    if config.training.window < config.training_context:
        notes.append(
            f"training.window ({config.training.window}) is shorter than its context ({config.training_context}): "
            "each step spends most of its work on context; a longer window trains faster"
        )
    if resume:
        now = split_record(corpus)
        before = resume.get("split") or now
        changed = len(set(before["training"]) ^ set(now["training"])) + len(
            set(before["validation"]) ^ set(now["validation"])
        )
        if changed:
            notes.append(
                f"the corpus has changed by {number_of(changed, 'file')} since the run started; training uses the "
                "current files"
            )
    return notes
