"""The options of a WaveNet run, and the checks that need neither torch nor the audio."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from wavenet_app.checkpoints.trained import find_checkpoint
from wavenet_app.config import RunConfig, preset
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.errors import UserError
from wavenet_app.core.runs import (
    LAST,
    TrainingOptions,
    find_resumed,
    refuse_existing,
    refuse_of_other_half,
    section_of,
)
from wavenet_app.core.settings import override
from wavenet_app.core.walk import walk

CONDITIONS = ("mel",)

FROM_SCRATCH = "none"
"""What --start-from takes for random weights."""


@dataclass(frozen=True)
class RunOptions(TrainingOptions):
    """Options of a WaveNet run; None and empty mean "not given".

    Attributes:
        paths: data set arguments; empty for the built-in corpus.
        sample_rate: in Hz.
        split_by: regular expression for the split.
        speakers: rule that finds the speaker of a file: folder, csv:FILE or regex:PATTERN.
        condition: local conditioning: "mel".
        head: output distribution: "mu-law", "logistics" or "gaussian".
        start_from: file, run or shipped voice whose weights the run starts with; "none" for random weights, None for
            the nearest shipped voice, if one is near.
    """

    paths: tuple[str, ...] = ()
    sample_rate: int | None = None
    split_by: str | None = None
    speakers: str | None = None
    condition: str | None = None
    head: str | None = None
    start_from: str | None = None

    def check_choices(self) -> None:
        """Raises a UserError unless the logger and the conditioning are known."""
        self.check_logger()
        if self.condition not in (None, *CONDITIONS):
            raise UserError(f"--condition takes {' or '.join(CONDITIONS)}, not '{self.condition}'")

    def own_changes(self) -> Iterable[tuple[str, str, Any]]:
        """Returns (section, field, value) of the options that only a WaveNet has."""
        return (
            ("corpus", "paths", self.paths or None),
            ("corpus", "split_by", self.split_by),
            ("corpus", "speakers", self.speakers),
            ("model", "head", self.head),
            ("audio", "sample_rate", self.sample_rate),
            ("training", "start_from", self.start_from),
        )

    def changes(self) -> dict[str, Any]:
        """Returns section -> field -> value of all options that are settings."""
        changes = super().changes()
        if self.condition == "mel":
            section_of(changes, "model").setdefault("mel", {})
        return changes

    def resumed(self) -> Self:
        """Returns what resumes the run of this name, after a launcher has started its processes again."""
        return replace(
            self,
            resume=self.name,
            name=None,
            paths=(),
            config_file=None,
            speakers=None,
            condition=None,
            head=None,
            start_from=None,
            sample_rate=None,
            split_by=None,
            preset="auto",
        )

    @property
    def source(self) -> str | None:
        """The model to start from, as the user gave it; None for none."""
        name = self.given("training", "start_from")
        return None if name is None or name == FROM_SCRATCH else str(name)


def settings_of(options: RunOptions, device: str, start: RunConfig | None = None) -> RunConfig:
    """Returns the settings of a new run, before the corpus completes them.

    Args:
        options: the user's options.
        device: "cpu", "cuda" or "mps"; decides what the preset "auto" means.
        start: what the preset "auto" means in a run that starts from another model.

    Raises:
        UserError: a preset, file, field or value does not fit.
    """
    if options.preset == "auto" and start is not None:
        config = start
    else:
        config = preset(options.preset if options.preset != "auto" else ("base" if device == "cuda" else "small"))
    if device == "cuda":
        # one window does not keep a GPU busy; the number is not measured yet
        config = override(config, {"training": {"batch_size": 16}})
    config = options.applied_to(config)
    if config.training.start_from == FROM_SCRATCH:
        config = override(config, {"training": {"start_from": None}})
    return config


def check_early(options: RunOptions, folder: DataFolder) -> None:
    """Answers mistakes in the options at once, before torch is imported and audio is decoded.

    Raises:
        UserError: a setting is invalid, or a path or the run to resume does not exist, or the name is taken.
    """
    options.check_choices()
    if options.resume:
        again = f"an image run; resume it with: wavegen seg-train --resume {shlex.quote(options.resume)}"
        refuse_of_other_half(options.resume, folder.checkpoints, folder.segmentation_runs, LAST, again)
        find_resumed(options.resume, folder.checkpoints, called="run")
        return
    start = options.source
    if start is None or options.preset != "auto":
        paths = settings_of(options, "cpu").corpus.paths
    else:  # the other settings are checked once that model is read
        given = options.given("corpus", "paths")
        paths = tuple(map(str, given)) if isinstance(given, list | tuple) else ()
    _refuse_without_audio([folder.data_set(path) for path in paths])
    if start is not None:
        find_checkpoint(folder.root, start)
    if options.name is not None:
        refuse_existing(options.name, folder.checkpoints)


def _refuse_without_audio(paths: Sequence[Path]) -> None:
    """Raises a UserError if no file in these folders has the suffix of audio; a file given directly may have any."""
    from wavenet_app.corpus.sources import is_audio, no_audio_in, scan_sources

    if paths and not any(not path.is_dir() or any(map(is_audio, walk(path))) for path in paths):
        raise UserError(no_audio_in(paths, scan_sources(paths)))
