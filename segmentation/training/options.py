"""The options of a segmentation run, and the checks that need neither torch nor the images."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Self

from segmentation.config import preset
from segmentation.datasets.catalogue import locate
from segmentation.datasets.format import Options
from wavenet_app.core.data_folder import DataFolder
from wavenet_app.core.runs import (
    LAST,
    TrainingOptions,
    find_resumed,
    refuse_existing,
    refuse_of_other_half,
)


@dataclass(frozen=True)
class SegmentationOptions(TrainingOptions):
    """What a user asks of a run; None and empty mean that an option is not given.

    Attributes:
        dataset: data set argument; None for the built-in data set.
        format_options: choices of single formats, such as the classes of COCO.
    """

    dataset: str | None = None
    format_options: Options = field(default_factory=dict)

    def resumed(self) -> Self:
        """Returns what resumes the run of this name, after a launcher has started its processes again."""
        return replace(
            self, resume=self.name, name=None, dataset=None, config_file=None, format_options={}, preset="auto"
        )

    def own_changes(self) -> Iterable[tuple[str, str, Any]]:
        """Returns (section, field, value) of the data set and the options of its format."""
        return ("data", "dataset", self.dataset), *(("data", *option) for option in self.format_options.items())


def check_early(options: SegmentationOptions, folder: DataFolder) -> None:
    """Answers mistakes in the options at once, before torch is imported and images are read.

    Raises:
        UserError: a setting is invalid, or the data set or the run to resume does not exist, or the name is taken.
    """
    options.check_logger()
    if options.resume:
        again = f"an audio run; resume it with: wavegen train --resume {shlex.quote(options.resume)}"
        refuse_of_other_half(options.resume, folder.segmentation_runs, folder.checkpoints, LAST, again)
        find_resumed(options.resume, folder.segmentation_runs, called="segmentation run")
        return
    config = options.applied_to(preset("dilated" if options.preset == "auto" else options.preset))
    locate(config.data.dataset, folder)
    if options.name is not None:
        refuse_existing(options.name, folder.segmentation_runs)
