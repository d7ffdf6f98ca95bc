"""Runs in their folder: the options of a training, free names, and where a run's checkpoints lie."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

from wavenet_app.core.checkpoint import read_checkpoint
from wavenet_app.core.content import Content
from wavenet_app.core.device_list import parsed_devices
from wavenet_app.core.errors import UserError
from wavenet_app.core.files import make_folder
from wavenet_app.core.launch import Launch
from wavenet_app.core.names import as_name
from wavenet_app.core.settings import AnySettings, override, parse_assignments, read_config_file
from wavenet_app.core.text import did_you_mean

LOGGERS = ("tensorboard", "wandb", "none")
BEST = "best.pth"
LAST = "last.pth"


@dataclass(frozen=True)
class TrainingOptions:
    """What a user asks of any training; None and empty mean that an option is not given.

    Attributes:
        preset: name of a preset, or "auto".
        config_file: TOML file or config.json that overrides the preset.
        assignments: section.field=value texts that override both.
        name: name of the run.
        max_steps: optimizer steps.
        minutes: wall-clock minutes.
        seed: seed of the initial weights and of the order of the data.
        resume: name or last.pth of a run to resume.
        logger: where curves are logged: tensorboard, wandb or none.
        devices: number of processes or GPUs of this machine, a list of GPUs, or auto.
        nodes: number of machines that train together.
        placed: whether a launcher or --devices has given each process a device of its own.
        one_machine: whether all processes are on this machine.
    """

    preset: str = "auto"
    config_file: Path | None = None
    assignments: tuple[str, ...] = ()
    name: str | None = None
    max_steps: int | None = None
    minutes: float | None = None
    seed: int | None = None
    resume: str | None = None
    logger: str = "tensorboard"
    devices: str | None = None
    nodes: int | None = None
    placed: bool = False
    one_machine: bool = True

    def check_logger(self) -> None:
        """Raises a UserError unless the logger is one of `LOGGERS`."""
        if self.logger not in LOGGERS:
            raise UserError(f"--logger takes {', '.join(LOGGERS)}, not '{self.logger}'")

    def own_changes(self) -> Iterable[tuple[str, str, Any]]:
        """Returns (section, field, value) of the options that only this kind of training has; None is not given."""
        return ()

    def changes(self) -> dict[str, Any]:
        """Returns section -> field -> value of all options that are settings.

        Raises:
            UserError: an assignment is not section.field=value.
        """
        changes = parse_assignments(list(self.assignments))
        for section, name, value in (
            *self.own_changes(),
            ("training", "max_steps", self.max_steps),
            ("training", "minutes", self.minutes),
            ("training", "seed", self.seed),
        ):
            if value is not None:
                section_of(changes, section)[name] = value
        if self.name is not None:
            changes["name"] = self.name
        return changes

    def applied_to(self, config: AnySettings) -> AnySettings:
        """Returns a preset's settings with the config file and then the options laid over them.

        Raises:
            UserError: the file cannot be read, or a field or value does not fit.
        """
        if self.config_file:
            config = override(config, read_config_file(self.config_file))
        return override(config, self.changes())

    def resumed(self) -> Self:
        """Returns what resumes the run of this name, after a launcher has started its processes again."""
        raise NotImplementedError

    def launched(self, launch: Launch | None, runs: Path) -> Self:
        """Returns these options for a process of a launcher: as many ranks, and a restarted run is resumed.

        Args:
            launch: the place of this process; None without a launcher, which changes nothing.
            runs: folder of the runs.

        Raises:
            UserError: the options ask for another number of processes or machines.
        """
        if launch is None:
            if self.devices is not None:
                parsed_devices(self.devices)
            if self.nodes not in (None, 1):
                raise UserError(
                    f"--nodes {self.nodes} needs a launcher, which starts wavegen on each machine: run it there as "
                    f"torchrun --nnodes {self.nodes} --nproc-per-node N --rdzv-backend c10d --rdzv-endpoint HOST:29500 "
                    "-m wavenet_app ..., or with srun"
                )
            return self
        if self.devices not in (None, "auto"):
            raise UserError(f"--devices {self.devices} does not go with {launch.launcher}, which starts the processes")
        if self.nodes not in (None, launch.nodes):
            started = "an unknown number of" if launch.nodes is None else launch.nodes
            raise UserError(
                f"--nodes is {self.nodes}, but {launch.launcher} started processes on {started} machines; leave it out"
            )
        options = self.resumed() if is_restart(self.name, runs, launch.restarts) else self
        options = options.with_ranks(launch.size, f"{launch.launcher} started {launch.size} processes")
        return replace(options, placed=True, one_machine=launch.nodes == 1)

    def with_ranks(self, ranks: int, why: str) -> Self:
        """Returns these options for a training in a number of processes.

        Args:
            ranks: processes in all.
            why: where the number comes from, for the error.

        Raises:
            UserError: the options ask for another number.
        """
        asked = self.given("training", "processes")
        if asked not in (None, ranks):
            raise UserError(f"{why}, but training.processes is {asked}; leave it out")
        return replace(self, assignments=(*self.assignments, f"training.processes={ranks}"))

    def given(self, section: str, name: str) -> Any:
        """Returns what the config file or an option gives for a setting, None if neither does."""
        from_file = read_config_file(self.config_file) if self.config_file else {}
        return {**section_of(from_file, section), **section_of(self.changes(), section)}.get(name)


def section_of(values: dict[str, Any], name: str) -> dict[str, Any]:
    """Returns a section of nested values to read or change, an empty one of its own where a user wrote a plain value.

    That value stays, so that `override` says what is wrong with it.
    """
    section = values.setdefault(name, {})
    return section if isinstance(section, dict) else {}


def refuse_beside_resume(options: Iterable[tuple[Any, str]]) -> None:
    """Raises a UserError for the first option, of (value, what it is called), that is given beside --resume."""
    for value, flag in options:
        if value:
            raise UserError(f"--resume takes all settings from the checkpoint; leave out {flag}")


def free_name(base: str, runs: Path) -> str:
    """Returns a name that no run has, `base`, else base-2, base-3 and so on, and makes the folder of that run.

    The folder makes the name this run's own: of two runs that begin at the same time, one gets the next name.

    Args:
        base: the name to begin with, any text.
        runs: folder of the runs.

    Raises:
        UserError: no folder can be made there.
    """
    plain = as_name(base)
    make_folder(runs)
    for name in (plain, *(f"{plain}-{number}" for number in range(2, 10_000))):
        try:
            (runs / name).mkdir()
        except FileExistsError:
            continue
        except OSError as error:
            raise UserError(f"cannot make the folder {runs / name}: {error.strerror}; give the run a --name") from None
        return name
    raise UserError(f"all names from {plain} to {plain}-9999 are taken in {runs}; give the run a --name")


def refuse_existing(name: str, runs: Path) -> None:
    """Raises a UserError if a run of that name has a checkpoint, which a new run would overwrite."""
    if (runs / name / LAST).exists():
        raise UserError(
            f"a run called '{name}' already exists; choose another --name, or resume it with --resume {name}"
        )


def is_restart(name: str | None, runs: Path, restarts: int) -> bool:
    """Returns whether a launcher has started its processes again after a named run had written a checkpoint."""
    return restarts > 0 and name is not None and (runs / name / LAST).exists()


def first_file(*places: Path) -> Path | None:
    """Returns the first of these places that is a file; None if none is."""
    return next((place for place in places if place.is_file()), None)


def places_of(name: str, runs: Path, file: str) -> tuple[Path, ...]:
    """Returns where the file of a run may lie, if `name` is the file itself, the run's folder, or the run's name."""
    return Path(name), Path(name) / file, runs / name / file


def run_names(runs: Path, file: str) -> list[str]:
    """Returns the names of the runs that have a file, such as `BEST`, sorted."""
    return sorted(path.parent.name for path in runs.glob(f"*/{file}"))


class Resumed(NamedTuple):
    """A run for `fit` to resume.

    Attributes:
        content: of its checkpoint.
        notes: what the user should know, a line each.
    """

    content: dict[str, Any]
    notes: list[str]


def find_resumed(name: str, runs: Path, *, called: str) -> Path:
    """Returns the last.pth of a run to resume.

    Args:
        name: a last.pth, a run's folder, or a run's name.
        runs: folder of the runs.
        called: what a run is called in errors, such as "run".

    Raises:
        UserError: there is no such run; the message lists the runs, and the closest name.
    """
    path = first_file(*places_of(name, runs, LAST))
    if path is None:
        known = run_names(runs, LAST)
        hint = did_you_mean(name, known, f"there are: {', '.join(known) or 'none'}")
        raise UserError(f"there is no {called} '{name}' to resume{hint}")
    return path


def refuse_of_other_half(name: str, runs: Path, others: Path, file: str, use: str) -> None:
    """Raises a UserError if a name is that of a run of the other half of the program, audio or images, and of no own.

    Args:
        name: a run's folder or name.
        runs: folder of the runs of the half that asks.
        others: folder of the runs of the other half.
        file: `BEST` or `LAST`, which the run must have.
        use: what such a run is, and how to use it.
    """
    if first_file(*places_of(name, runs, file)) is None and first_file(*places_of(name, others, file)) is not None:
        raise UserError(f"'{name}' is {use}")


def previous_of(path: Path) -> Path:
    """Returns where the last.pth before the newest one is kept, in case the newest one is damaged."""
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def read_resumed(
    name: str, runs: Path, kind: str, schema: type[Content] = Content, *, called: str, otherwise: str
) -> Resumed:
    """Returns the last checkpoint of a run, or the one before where the last is damaged.

    Args:
        name: a last.pth, a run's folder, or a run's name.
        runs: folder of the runs.
        kind: kind of the checkpoint.
        schema: what a checkpoint of that kind must hold.
        called: what a run is called in errors, such as "run".
        otherwise: what the user can do instead, if the file has no training state; "{path}" stands for the file.

    Raises:
        UserError: there is no such run, or its checkpoint cannot be read, is of another kind, or was exported.
    """
    path = find_resumed(name, runs, called=called)
    notes = []
    try:
        content = read_checkpoint(path, kind, schema)
    except UserError as error:
        try:
            content = read_checkpoint(previous_of(path), kind, schema)
        except UserError:
            raise error from None
        notes.append(f"{error}; the run continues from the checkpoint before, {previous_of(path)}")
    if content.get("training") is None:
        raise UserError(f"{path} was exported without its training state; {otherwise.format(path=path)}")
    return Resumed(content, notes)
