"""One training run from its options to its task: settings, corpus, baseline and folders, in that order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wavenet_app.checkpoints.trained import KIND
from wavenet_app.config import RunConfig, preset
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.core.loop.loop import FitPlan, read_unfinished
from wavenet_app.core.loop.process_group import default_processes
from wavenet_app.core.settings import override, parse_assignments, read_config_file, validated
from wavenet_app.corpus.corpus import Corpus, open_corpus, split_record
from wavenet_app.corpus.speakers import TABLE_RULE
from wavenet_app.corpus.windows import max_cut_length

DEFAULT_MINUTES = 30.0
LOGGERS = ("tensorboard", "wandb", "none")
CONDITIONS = ("mel",)


@dataclass(frozen=True)
class RunOptions:
    """What a user asked of a run; None and empty mean "not said".

    Attributes:
        paths: data set arguments; empty for the built-in corpus.
        preset: name of a preset, or "auto".
        config_file: TOML file laid over the preset.
        assignments: section.field=value texts laid over that.
        name: name of the run.
        sample_rate: Hz.
        max_steps: optimizer steps.
        minutes: wall-clock minutes.
        split_by: regular expression for the split.
        seed: seed of weights and order.
        speakers: who speaks in a file: folder, csv:FILE or regex:PATTERN.
        condition: what else the model is told: "mel".
        head: what is predicted: "mu-law", "logistics" or "gaussian".
        resume: name or last.pth of a run to go on with.
        logger: where curves and sounds go: tensorboard, wandb or none.
    """

    paths: tuple[str, ...] = ()
    preset: str = "auto"
    config_file: Path | None = None
    assignments: tuple[str, ...] = ()
    name: str | None = None
    sample_rate: int | None = None
    max_steps: int | None = None
    minutes: float | None = None
    split_by: str | None = None
    seed: int | None = None
    speakers: str | None = None
    condition: str | None = None
    head: str | None = None
    resume: str | None = None
    logger: str = "tensorboard"


@dataclass(frozen=True)
class Run:
    """A run that is ready to train.

    Attributes:
        config: all settings, sample rate and gain being the corpus's own.
        corpus: the audio.
        plan: budget and folders.
        resume: content of the checkpoint to go on from, or None.
        notes: what the user should know before it starts, a line each.
    """

    config: RunConfig
    corpus: Corpus
    plan: FitPlan
    resume: dict[str, Any] | None
    notes: list[str] = field(default_factory=list)


def prepare_run(
    options: RunOptions, folder: DataFolder, *, device: str, on_decode: Callable[[int, int, str], None] | None = None
) -> Run:
    """Resolves options into a run.

    Args:
        options: what the user asked for.
        folder: the data folder.
        device: "cpu", "cuda" or "mps"; decides what "auto" means.
        on_decode: told of each decoded file: how many are done, of how many, and its name.

    Raises:
        UserError: a setting, a path or the run to resume does not exist or fit.
    """
    if options.logger not in LOGGERS:
        raise UserError(f"--logger takes {', '.join(LOGGERS)}, not '{options.logger}'")
    if options.condition not in (None, *CONDITIONS):
        raise UserError(f"--condition takes {' or '.join(CONDITIONS)}, not '{options.condition}'")
    resume = None
    if options.resume:
        last = _last_checkpoint(options.resume, folder)
        resume = read_unfinished(last, KIND, "begin a new run without --resume")
    config = _settings(options, device) if resume is None else _resumed_settings(options, resume)
    if config.training.max_steps is None and config.training.minutes is None:
        config = override(config, {"training": {"minutes": DEFAULT_MINUTES}})
    if config.training.processes is None:
        # a run from before there was a choice had one
        config = override(config, {"training": {"processes": 1 if resume else default_processes(device)}})
    sources = [folder.data_set(path) for path in config.corpus.paths]
    corpus = open_corpus(
        sources,
        audio=config.audio,
        split=config.corpus,
        cache_dir=folder.cache,
        sample_rate=config.audio.sample_rate if resume or _rate_asked_for(options) else None,
        gain=config.audio.gain if resume else None,
        progress=on_decode,
    )
    name = config.name if resume or options.name else _free_name(config, options, folder)
    config = _wherever_it_is_read(config, sources)
    config = override(config, {"name": name, "audio": {"sample_rate": corpus.sample_rate, "gain": corpus.gain}})
    config = _told_of_corpus(config, corpus, resumed=resume is not None)
    if not resume and (folder.checkpoints / name / "last.pth").exists():
        raise UserError(f"a run called '{name}' exists already; choose another --name, or go on with --resume {name}")
    plan = FitPlan(
        run_dir=folder.checkpoints / name,
        tensorboard_dir=folder.tensorboard / name if options.logger == "tensorboard" else None,
        wandb_dir=folder.root if options.logger == "wandb" else None,
        max_steps=config.training.max_steps,
        minutes=config.training.minutes,
        gradient_clip=config.training.gradient_clip,
        ema_decay=config.training.ema_decay,
        validate_seconds=config.training.validate_seconds,
        checkpoint_seconds=config.training.checkpoint_seconds,
        processes=config.training.processes or 1,
    )
    return Run(config, corpus, plan, resume, _notes(config, corpus, resume))


def _settings(options: RunOptions, device: str) -> RunConfig:
    chosen = options.preset if options.preset != "auto" else ("base" if device == "cuda" else "small")
    config = preset(chosen)
    if device == "cuda":
        # meant to keep a GPU busy, which one window would not; not yet measured on one
        config = override(config, {"training": {"batch_size": 16}})
    if options.config_file:
        config = override(config, read_config_file(options.config_file))
    return override(config, _changes(options))


def _resumed_settings(options: RunOptions, resume: dict[str, Any]) -> RunConfig:
    for given, flag in (
        (options.paths, "paths"),
        (options.name, "--name"),
        (options.config_file, "--config"),
        (options.speakers, "--speakers"),
        (options.condition, "--condition"),
        (options.head, "--head"),
    ):
        if given:
            raise UserError(f"--resume takes everything from the checkpoint; leave out {flag}")
    before = validated(RunConfig, resume["config"])
    after = override(before, _changes(options))
    moved = override(before, {"corpus": {"paths": after.corpus.paths}})  # recordings may lie elsewhere by now
    for section in ("model", "audio", "corpus"):
        if getattr(after, section) != getattr(moved, section):
            raise UserError(
                f"--resume goes on with model, audio and corpus as they are; leave out --set {section}..., or begin a "
                "new run"
            )
    return after


def _wherever_it_is_read(config: RunConfig, sources: Sequence[Path]) -> RunConfig:
    """Returns settings whose paths mean the same in any current folder, for resuming and evaluating from elsewhere."""
    changes: dict[str, Any] = {"paths": [str(source.absolute()) for source in sources]}
    rule = config.corpus.speakers
    if rule is not None and rule.startswith(TABLE_RULE):
        changes["speakers"] = TABLE_RULE + str(Path(rule.removeprefix(TABLE_RULE)).absolute())
    return override(config, {"corpus": changes})


def _changes(options: RunOptions) -> dict[str, Any]:
    changes = parse_assignments(list(options.assignments))
    for section, name, value in (
        ("corpus", "paths", options.paths or None),
        ("corpus", "split_by", options.split_by),
        ("corpus", "speakers", options.speakers),
        ("model", "head", options.head),
        ("audio", "sample_rate", options.sample_rate),
        ("training", "max_steps", options.max_steps),
        ("training", "minutes", options.minutes),
        ("training", "seed", options.seed),
    ):
        if value is not None:
            changes.setdefault(section, {})[name] = value
    if options.condition == "mel":
        changes.setdefault("model", {}).setdefault("mel", {})
    if options.name is not None:
        changes["name"] = options.name
    return changes


def _told_of_corpus(config: RunConfig, corpus: Corpus, *, resumed: bool) -> RunConfig:
    """Returns the config with what the corpus decides about conditions: the speakers' names, the mel settings."""
    if resumed:
        strangers = sorted(set(corpus.speakers) - set(config.model.speakers))
        if strangers:
            raise UserError(
                f"the corpus has speakers that the run does not know ({', '.join(strangers)}); take their files away "
                "to go on, or train anew"
            )
        return config
    changes: dict[str, Any] = {"speakers": corpus.speakers}
    if config.model.mel is not None:
        mel = config.model.mel.resolved(corpus.sample_rate)
        max_cut_length(config.training.window, mel.hop)
        changes["mel"] = mel.model_dump()
    return override(config, {"model": changes})


def _rate_asked_for(options: RunOptions) -> bool:
    from_file = read_config_file(options.config_file) if options.config_file else {}
    said = {**from_file.get("audio", {}), **_changes(options).get("audio", {})}
    return "sample_rate" in said


def _free_name(config: RunConfig, options: RunOptions, folder: DataFolder) -> str:
    source = Path(config.corpus.paths[0]).resolve().name if config.corpus.paths else "plucked"
    base = f"{source}-{options.preset}" if options.preset != "auto" else source
    taken = {path.name for path in folder.checkpoints.glob("*")}
    return next(name for name in (base, *(f"{base}-{number}" for number in range(2, 10_000))) if name not in taken)


def _last_checkpoint(name: str, folder: DataFolder) -> Path:
    for path in (Path(name), Path(name) / "last.pth", folder.checkpoints / name / "last.pth"):
        if path.is_file():
            return path
    runs = sorted(path.parent.name for path in folder.checkpoints.glob("*/last.pth"))
    raise UserError(f"there is no run '{name}' to resume; there are: {', '.join(runs) or 'none'}")


def _notes(config: RunConfig, corpus: Corpus, resume: dict[str, Any] | None) -> list[str]:
    notes = list(corpus.remarks)
    field_samples = config.model.receptive_field
    milliseconds = 1000 * field_samples / corpus.sample_rate
    if milliseconds < 50:
        notes.append(
            f"the receptive field of {field_samples} samples is only {milliseconds:.0f} ms at {corpus.sample_rate} Hz: "
            "a voice's pitch may not hold; take a larger preset or a lower --sample-rate"
        )
    if config.training.window < field_samples:
        notes.append(
            f"training.window ({config.training.window}) is shorter than the receptive field ({field_samples}): "
            "most of each step goes into context; a longer window trains faster"
        )
    if resume:
        before, now = resume["split"], split_record(corpus)
        changed = len(set(before["training"]) ^ set(now["training"])) + len(
            set(before["validation"]) ^ set(now["validation"])
        )
        if changed:
            notes.append(
                f"the corpus has changed by {changed} files since the run began; it goes on with what is there now"
            )
    return notes
