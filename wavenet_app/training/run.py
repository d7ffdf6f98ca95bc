"""Prepares a training run from its options: settings, corpus, budget and folders."""

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
from wavenet_app.core.terminal import number_of
from wavenet_app.corpus.corpus import Corpus, open_corpus, split_record
from wavenet_app.corpus.speakers import TABLE_RULE
from wavenet_app.corpus.windows import max_cut_length

DEFAULT_MINUTES = 30.0
LOGGERS = ("tensorboard", "wandb", "none")
CONDITIONS = ("mel",)


@dataclass(frozen=True)
class RunOptions:
    """Options of a run as the user gave them; None and empty mean "not given".

    Attributes:
        paths: data set arguments; empty for the built-in corpus.
        preset: name of a preset, or "auto".
        config_file: TOML file that overrides the preset.
        assignments: section.field=value texts that override both.
        name: name of the run.
        sample_rate: in Hz.
        max_steps: limit of optimizer steps.
        minutes: limit of wall-clock minutes.
        split_by: regular expression for the split.
        seed: seed of the initial weights and of the order of the windows.
        speakers: rule that finds the speaker of a file: folder, csv:FILE or regex:PATTERN.
        condition: local conditioning: "mel".
        head: output distribution: "mu-law", "logistics" or "gaussian".
        resume: name or last.pth of the run to resume.
        logger: where curves and audio are logged: tensorboard, wandb or none.
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
        config: all settings, with the sample rate and gain of the corpus.
        corpus: the audio.
        plan: budget and folders.
        resume: content of the checkpoint to resume from, or None.
        notes: one-line notes for the user before training starts.
    """

    config: RunConfig
    corpus: Corpus
    plan: FitPlan
    resume: dict[str, Any] | None
    notes: list[str] = field(default_factory=list)


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
    if options.logger not in LOGGERS:
        raise UserError(f"--logger takes {', '.join(LOGGERS)}, not '{options.logger}'")
    if options.condition not in (None, *CONDITIONS):
        raise UserError(f"--condition takes {' or '.join(CONDITIONS)}, not '{options.condition}'")
    resume = None
    if options.resume:
        last = _last_checkpoint(options.resume, folder)
        resume = read_unfinished(last, KIND, "start a new run without --resume")
    config = _settings(options, device) if resume is None else _resumed_settings(options, resume)
    if config.training.max_steps is None and config.training.minutes is None:
        config = override(config, {"training": {"minutes": DEFAULT_MINUTES}})
    if config.training.processes is None:
        # runs from before this setting existed had one process
        config = override(config, {"training": {"processes": 1 if resume else default_processes(device)}})
    sources = [folder.data_set(path) for path in config.corpus.paths]
    corpus = open_corpus(
        sources,
        audio=config.audio,
        split=config.corpus,
        cache_dir=folder.cache,
        sample_rate=config.audio.sample_rate if resume or _sets_sample_rate(options) else None,
        gain=config.audio.gain if resume else None,
        progress=on_decode,
    )
    name = config.name if resume or options.name else _free_name(config, options, folder)
    config = _with_absolute_paths(config, sources)
    config = override(config, {"name": name, "audio": {"sample_rate": corpus.sample_rate, "gain": corpus.gain}})
    config = _with_conditioning(config, corpus, resumed=resume is not None)
    if not resume and (folder.checkpoints / name / "last.pth").exists():
        raise UserError(
            f"a run called '{name}' already exists; choose another --name, or resume it with --resume {name}"
        )
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
        # one window does not keep a GPU busy; the number is not measured yet
        config = override(config, {"training": {"batch_size": 16}})
    if options.config_file:
        config = override(config, read_config_file(options.config_file))
    return override(config, _overrides(options))


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
            raise UserError(f"--resume takes all settings from the checkpoint; drop {flag}")
    before = validated(RunConfig, resume["config"])
    after = override(before, _overrides(options))
    moved = override(before, {"corpus": {"paths": after.corpus.paths}})  # the recordings may have moved since
    for section in ("model", "audio", "corpus"):
        if getattr(after, section) != getattr(moved, section):
            raise UserError(
                f"--resume cannot change model, audio or corpus settings; drop --set {section}..., or start a new run"
            )
    return after


def _with_absolute_paths(config: RunConfig, sources: Sequence[Path]) -> RunConfig:
    """Returns the config with absolute paths, so a run can be resumed and evaluated from any folder."""
    changes: dict[str, Any] = {"paths": [str(source.absolute()) for source in sources]}
    rule = config.corpus.speakers
    if rule is not None and rule.startswith(TABLE_RULE):
        changes["speakers"] = TABLE_RULE + str(Path(rule.removeprefix(TABLE_RULE)).absolute())
    return override(config, {"corpus": changes})


def _overrides(options: RunOptions) -> dict[str, Any]:
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


def _with_conditioning(config: RunConfig, corpus: Corpus, *, resumed: bool) -> RunConfig:
    """Returns the config with the speakers of the corpus and the mel settings for its sample rate."""
    if resumed:
        unknown = sorted(set(corpus.speakers) - set(config.model.speakers))
        if unknown:
            raise UserError(
                f"the corpus has speakers that the run does not know ({', '.join(unknown)}); remove their files to "
                "resume, or start a new run"
            )
        return config
    changes: dict[str, Any] = {"speakers": corpus.speakers}
    if config.model.mel is not None:
        mel = config.model.mel.resolved(corpus.sample_rate)
        max_cut_length(config.training.window, mel.hop)
        changes["mel"] = mel.model_dump()
    return override(config, {"model": changes})


def _sets_sample_rate(options: RunOptions) -> bool:
    from_file = read_config_file(options.config_file) if options.config_file else {}
    given = {**from_file.get("audio", {}), **_overrides(options).get("audio", {})}
    return "sample_rate" in given


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
            "the pitch of a voice may drift; use a larger preset or a lower --sample-rate"
        )
    if config.training.window < field_samples:
        notes.append(
            f"training.window ({config.training.window}) is shorter than the receptive field ({field_samples}): "
            "each step spends most of its work on context; a longer window trains faster"
        )
    if resume:
        before, now = resume["split"], split_record(corpus)
        changed = len(set(before["training"]) ^ set(now["training"])) + len(
            set(before["validation"]) ^ set(now["validation"])
        )
        if changed:
            notes.append(
                f"the corpus has changed by {number_of(changed, 'file')} since the run started; training uses the "
                "current files"
            )
    return notes
