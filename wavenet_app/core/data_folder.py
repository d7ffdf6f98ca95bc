"""The data folder: which sub-folder holds what, and what a data set's name stands for."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from wavenet_app.core.errors import UserError
from wavenet_app.core.near import did_you_mean_path
from wavenet_app.core.published import PUBLISHED, AbsentDataSetError, published_audio
from wavenet_app.core.text import did_you_mean

ENVIRONMENT_VARIABLE = "WAVEGEN_DATA"

_NO_DATA_SETS = {
    "checkpoints", "pretrained", "published", "tensorboard", "wandb", "generated", "segmentation_results",
    "receptive_field_viz",
}  # fmt: skip


@dataclass(frozen=True)
class DataFolder:
    """The sub-folders of one root.

    Attributes:
        root: the folder itself.
    """

    root: Path

    @classmethod
    def at(cls, given: Path | None) -> DataFolder:
        """Returns the folder given, else the one that WAVEGEN_DATA names, else ./data."""
        return cls(given or Path(os.environ.get(ENVIRONMENT_VARIABLE) or "data"))

    @property
    def checkpoints(self) -> Path:
        """Folder of runs, one sub-folder each."""
        return self.root / "checkpoints"

    @property
    def segmentation_runs(self) -> Path:
        """Folder of segmentation's runs, one sub-folder each; apart, so that the newest WaveNet is a WaveNet."""
        return self.checkpoints / "segmentation"

    @property
    def pretrained(self) -> Path:
        """Folder of wavenet_*.pth and deeplab_*.pth files."""
        return self.root / "pretrained"

    @property
    def published(self) -> Path:
        """Folder of models to share, one sub-folder each."""
        return self.root / "published"

    @property
    def tensorboard(self) -> Path:
        """Folder of TensorBoard events, one sub-folder a run."""
        return self.root / "tensorboard"

    @property
    def generated(self) -> Path:
        """Folder of generated audio."""
        return self.root / "generated"

    @property
    def segmentation_results(self) -> Path:
        """Folder of masks, overlays and the sheets of `wavegen seg-check`."""
        return self.root / "segmentation_results"

    @property
    def receptive_field_viz(self) -> Path:
        """Folder of the pictures of receptive fields."""
        return self.root / "receptive_field_viz"

    @property
    def cache(self) -> Path:
        """Folder of decoded audio and of weights ready to generate; safe to delete at any time."""
        return self.root / ".cache"

    def data_set(self, argument: str) -> Path:
        """Returns what a data set argument stands for: a path that exists, else a name under the root in any case.

        The name of a published audio data set, such as `ljspeech` or `speech/ljspeech`, stands for its folder.

        Raises:
            AbsentDataSetError: it is a published data set that is not here; the message says how to get it.
            UserError: neither exists.
        """
        path = Path(argument)
        if path.exists():
            return path
        named = self.data_set_path(argument)
        if named.exists():
            return named
        in_any_case = below_in_any_case(self.root, argument)
        if in_any_case is not None:
            return in_any_case
        published = published_audio(argument)
        if published is not None:
            if (self.root / published.folder).is_dir():
                return self.root / published.folder
            raise self.absent(published.name)
        for one in PUBLISHED.values():
            if not one.images and self.root / one.folder == named:
                raise self.absent(one.name)
        hint = self.suggestion(argument, data_set_names(self.root))
        raise UserError(f"there is no file or folder '{argument}', neither here nor as {named}{hint}")

    def suggestion(self, argument: str, known: Iterable[str]) -> str:
        """Returns "; did you mean ...?" for a data set that does not exist, or nothing if none is close.

        A known name goes before a path, as the argument of one part is a name most often.

        Args:
            argument: a name or a path, as the user gave it.
            known: names of data sets.
        """
        name = argument.strip("/")
        by_name = "" if "/" in name else did_you_mean(name, known)
        return by_name or did_you_mean_path(argument, self.root, _NO_DATA_SETS)

    def absent(self, name: str) -> AbsentDataSetError:
        """Returns the error for a published data set that is not here, with the command that gets it."""
        elsewhere = self.root != DataFolder.at(None).root
        return AbsentDataSetError(name, self.root, f" --data-dir {shlex.quote(str(self.root))}" if elsewhere else "")

    def data_set_path(self, name: str) -> Path:
        """Returns where a data set of that name lies under the root, whether it exists or not."""
        return self.root / name.strip("/")


def elsewhere(path: Path, root: Path | None = None) -> str:
    """Returns where the data folder is, to end an error about an absent file below `data/`; "" if it is there.

    Args:
        path: the absent file.
        root: the data folder; None for the one without --data-dir.
    """
    folder = DataFolder.at(root).root
    return f"; the data folder is {folder}" if path.parts[:1] == ("data",) and folder != Path("data") else ""


def folder_names(folder: Path) -> set[str]:
    """Returns the names of the folders in a folder, without hidden ones; nothing if it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")}
    except OSError:
        return set()


def data_set_names(folder: Path) -> set[str]:
    """Returns the names of the folders in a data folder that may be data sets."""
    return folder_names(folder) - _NO_DATA_SETS


def below_in_any_case(folder: Path, name: str) -> Path | None:
    """Returns the folder or file of that name below a folder, in upper or lower case; None if there is none.

    Args:
        folder: where to look.
        name: one name, or several separated by slashes.
    """
    found = folder
    for part in name.strip("/").split("/"):
        try:
            inside = sorted(path for path in found.iterdir() if path.name.lower() == part.lower())
        except OSError:
            return None
        if not inside:
            return None
        found = next((path for path in inside if path.name == part), inside[0])
    return found
