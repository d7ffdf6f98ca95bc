"""What an image format is: how its folders are recognised, where they lie by default, and what opens them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from segmentation.datasets.dataset import SegmentationDataset, Split
from wavenet_app.core.errors import UserError

Options = Mapping[str, str | None]
"""Name of a `FormatOption` -> the user's choice; an option that is absent or None has its default."""

Opener = Callable[[Path, Split, str, Options], SegmentationDataset]
"""Opens a split: (root of the data set, split, name of the data set, options) -> the data set."""


@dataclass(frozen=True)
class FormatOption:
    """A choice that a single format offers.

    Attributes:
        name: in the settings, such as "coco_classes"; on the command line with a dash for each underscore.
        choices: choice -> what it means, in words; the first one is the default.
    """

    name: str
    choices: Mapping[str, str]

    @property
    def flag(self) -> str:
        """The option on the command line, such as "--coco-classes"."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def default(self) -> str:
        """The choice that applies if the user makes none."""
        return next(iter(self.choices))

    def chosen(self, options: Options) -> str:
        """Returns the user's choice, or the default.

        Raises:
            UserError: there is no such choice.
        """
        choice = options.get(self.name) or self.default
        if choice not in self.choices:
            listed = " or ".join(f"{name} ({meaning})" for name, meaning in self.choices.items())
            raise UserError(f"{self.flag} takes {listed}, not '{choice}'")
        return choice


@dataclass(frozen=True)
class Format:
    """A layout of images and masks on the disk, or a data set that needs no files.

    Attributes:
        name: as people say it, such as "Cityscapes"; `SegmentationDataset.format` has the same value.
        argument: what a user types for the default folder, such as "voc".
        open: opens a split of such a data set.
        default_folder: where it lies under the data root; None for a data set that needs no files.
        layout: the files and folders that mark it, in words.
        holds: whether a folder is the root of such a data set.
        markers: sub-folders that mark it, so that an error can say which are missing; empty for no such error.
        holds_many: whether the default folder holds one data set in each sub-folder.
        takes_newest: whether the last by name is taken where a folder holds several of this format.
        num_classes: number of classes, if it is always the same.
        options: choices that only this format offers.
        mask_files: returns the files of all masks below the root of a data set, for formats whose classes a list
            beside the masks may name; None for the others.
    """

    name: str
    argument: str
    open: Opener
    default_folder: str | None
    layout: str = ""
    holds: Callable[[Path], bool] = lambda _folder: False
    markers: tuple[str, ...] = ()
    holds_many: bool = False
    takes_newest: bool = False
    num_classes: int | None = None
    options: tuple[FormatOption, ...] = ()
    mask_files: Callable[[Path], list[Path]] | None = None


def has_folders(*parts: str) -> Callable[[Path], bool]:
    """Returns a test of whether a folder has all of these sub-folders."""
    return lambda folder: all((folder / part).is_dir() for part in parts)
